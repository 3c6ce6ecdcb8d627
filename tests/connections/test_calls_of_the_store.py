"""One command over many addresses asks the store a fixed number of times: all accounts wait for the thread it holds."""

from collections.abc import Callable, Sequence
from typing import Final

import orjson
import pytest

from services.connections.store.recorder import GroupRecorder
from services.connections.store.rows import ConcurrentChanges, ReadSet
from shared.language import commands as c
from shared.language.reasons import Reason
from tests.connections.conftest import OpenDecider, settle
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, COMPANY, DAN, HR, read

MANY: Final = 600
OF_EACH: Final = 10
INBOXES: Final = [f"inbox-{number:02}" for number in range(MANY // OF_EACH)]
BOBS: Final = "bob@acme.example"

Counted = Callable[[], int]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many streams and sets each call of the store asked for."""
    asked: list[int] = []
    since = GroupRecorder.since

    def counted(self: GroupRecorder, what: ReadSet) -> ConcurrentChanges:
        asked.append(len(what.streams) + len(what.sets))
        return since(self, what)

    monkeypatch.setattr(GroupRecorder, "since", counted)
    return asked


def team(number: int) -> str:
    return f"team-{number:03}@acme.example"


def to_inboxes() -> list[c.Command]:
    return [
        c.ConnectTeam(actor=ANA, address=team(number), inbox=INBOXES[number // OF_EACH], visibility_acknowledged=True)
        for number in range(MANY)
    ]


def many_inboxes() -> list[c.Command]:
    return [
        c.ChangePlan(actor=ADA, plan="enterprise"),
        *(c.CreateInbox(actor=ANA, inbox=inbox, name=inbox) for inbox in INBOXES),
        *to_inboxes(),
        c.AddAlias(actor=ANA, address=team(0), alias="t0@acme.example"),
        c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB),
    ]


def one_inbox() -> list[c.Command]:
    return [
        *(one.model_copy(update={"inbox": "support"}) for one in to_inboxes()),
        *(c.AddAlias(actor=ANA, address=team(n), alias=f"t{n}@acme.example") for n in range(MANY)),
    ]


def mine(**identity: bool) -> list[c.Command]:
    return [
        c.ConnectPersonal(
            actor=BOB,
            address=f"b{number}@acme.example",
            owner=BOB,
            provider="google" if identity else None,
            provider_identity=f"g-{number}" if identity else None,
        )
        for number in range(MANY)
    ]


DEACTIVATED: Final = c.DeactivateUser(actor=ADA, user=BOB)
REMOVED: Final = [*mine(of_each=True), DEACTIVATED, c.RemoveUser(actor=ADA, user=BOB)]
CASES: Final[Sequence[tuple[str, list[c.Command], c.Command, int]]] = (
    ("own default sender", many_inboxes(), c.SetDefaultSender(actor=BOB, user=BOB, address=BOBS), 0),
    ("an alias of the team's", many_inboxes(), c.SetDefaultSender(actor=DAN, user=DAN, address="t0@acme.example"), 0),
    ("archived with all of it", one_inbox(), c.ArchiveInbox(actor=ANA, inbox="support", cascade=True), 1_201),
    ("removed, freed", [*mine(), DEACTIVATED], c.RemoveUser(actor=ADA, user=BOB, policy="release"), 601),
    ("removed, kept", [*mine(), DEACTIVATED], c.RemoveUser(actor=ADA, user=BOB, policy="orphan"), 601),
    (
        "removed, handed over",
        [*mine(), DEACTIVATED],
        c.RemoveUser(actor=ADA, user=BOB, policy="transfer_to", new_owner=CLEO),
        601,
    ),
    ("back as the same", REMOVED, c.ReactivateUser(actor=ADA, user=BOB), 601),
    (
        "back under the old id",
        REMOVED,
        c.AddUser(actor=ADA, user=BOB, name="Bob", permissions=("personal_email_access",)),
        601,
    ),
)


@pytest.mark.parametrize(
    ("history", "command", "events"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_one_command_over_600_addresses_asks_the_store_a_fixed_number_of_times(
    open_decider: OpenDecider, calls: list[int], history: list[c.Command], command: c.Command, events: int
) -> None:
    assert {answer.kind for answer in settle(open_decider(), *map(read, (*COMPANY, *history)))} == {"accepted"}
    restarted = open_decider()
    calls.clear()
    (answer,) = settle(restarted, read(command))
    assert answer.kind == "accepted", answer.reply()
    assert len(calls) <= 8, calls
    # What is looked at must be what the decision needs: not hundreds for one address.
    assert events or sum(calls) < 20, calls


def test_a_refused_default_sender_of_somebody_with_3000_identities_looks_at_a_few_hundred(
    open_decider: OpenDecider, calls: list[int]
) -> None:
    first = open_decider()
    settle(first, *map(read, COMPANY))
    for begin in range(0, 3_000, 500):
        group = [
            c.ConnectTeam(actor=ANA, address=f"t{n:04}@acme.example", inbox="support", visibility_acknowledged=True)
            for n in range(begin, begin + 500)
        ]
        assert {answer.kind for answer in settle(first, *map(read, group))} == {"accepted"}
    restarted = open_decider()
    refused = c.SetDefaultSender(actor=DAN, user=DAN, address="nobodys@acme.example")
    calls.clear()
    (answer,) = settle(restarted, read(refused))
    told = orjson.loads(answer.reply())["details"]
    assert (answer.reason, len(told["usable"]), told["usable_count"]) == (Reason.IDENTITY_NOT_USABLE, 100, 300)
    assert len(calls) <= 8, calls
    # The team addresses and the set of each one's aliases.
    assert sum(calls) < 700, calls
    assert orjson.loads(settle(restarted, read(refused))[0].reply())["details"] == told


def test_a_default_sender_is_not_taken_for_a_new_address_where_all_others_were(
    open_decider: OpenDecider, calls: list[int]
) -> None:
    assert {answer.kind for answer in settle(open_decider(), *map(read, (*COMPANY, *many_inboxes())))} == {"accepted"}
    restarted = open_decider()
    for number in range(20):
        settle(restarted, read(c.RegisterAccount(actor=HR, plan="starter", admin=ADA), account=f"new-{number}"))
    calls.clear()
    (answer,) = settle(restarted, read(c.SetDefaultSender(actor=BOB, user=BOB, address=BOBS)))
    assert answer.kind == "accepted", answer.reply()
    assert sum(calls) < 20, calls
