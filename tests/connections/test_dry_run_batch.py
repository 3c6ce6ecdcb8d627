"""Many commands as one dry run: each sees the events of those before, and nothing is written."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson
import pytest

from services.connections import dry_runs
from services.connections.app import connections
from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.store.event_store import EventStore
from shared.language import commands as c
from shared.language import subjects
from shared.language.answers import DryRunOutcomes
from shared.language.dry_runs import MOST_COMMANDS
from shared.language.reasons import Reason
from tests.connections.conftest import OpenDecider, Store, settle
from tests.connections.given_when_then import ACCOUNT, ADA, ANA, BOB, CLEO, COMPANY, HR, read
from tests.inbox_views.stories import eventually, is_ready, on_bus, service_open
from tests.real_servers import RunningNats

DIRECTORY: Final = "service:directory"
BOBS: Final = "bob@acme.example"
CONNECT: Final = c.ConnectPersonal(actor=DIRECTORY, address=BOBS, owner=BOB)
CLEO_WANTS_IT: Final = c.ConnectPersonal(actor=DIRECTORY, address=BOBS, owner=CLEO)


def body_of(*commands: c.Command, actor: str = DIRECTORY) -> bytes:
    rows = [
        {"command": type(one).__name__, "body": one.model_dump(mode="json", by_alias=True, exclude_none=True)}
        for one in commands
    ]
    return orjson.dumps({"actor": actor, "commands": rows})


def batch(*commands: c.Command, account: str = ACCOUNT) -> CommandEnvelope:
    return dry_runs.read(account, body_of(*commands), None)


def outcomes(decider: Decider, envelope: CommandEnvelope) -> Sequence[Any]:
    (outcome,) = settle(decider, envelope)
    assert outcome.kind == "decided", outcome.members
    return DryRunOutcomes.model_validate_json(outcome.reply()).outcomes


@pytest.fixture
def company(open_decider: OpenDecider) -> Decider:
    decider = open_decider()
    assert {one.kind for one in settle(decider, *map(read, COMPANY))} == {"accepted"}
    return decider


def test_each_command_sees_the_events_of_those_before_and_nothing_is_written(company: Decider, store: Store) -> None:
    before = store.everything()
    new_user = c.AddUser(actor=DIRECTORY, user="eve", name="Eve", permissions=("personal_email_access",))
    hers = c.ConnectPersonal(actor=DIRECTORY, address="eve@acme.example", owner="eve")
    told = outcomes(company, batch(new_user, hers, CONNECT, CLEO_WANTS_IT, CONNECT))
    assert [one.outcome for one in told] == ["accepted", "accepted", "accepted", "refused", "unchanged"]
    assert told[3].reason == Reason.ADDRESS_ALREADY_PERSONAL
    assert all(one.dry_run for one in told)
    assert store.everything() == before


def test_what_it_foresees_is_what_then_happens(company: Decider) -> None:
    group = (
        c.CreateInbox(actor=DIRECTORY, inbox="help", name="Help"),
        c.ConnectTeam(actor=DIRECTORY, address="help@acme.example", inbox="help", visibility_acknowledged=True),
        c.AddAlias(actor=DIRECTORY, address="help@acme.example", alias="h@acme.example"),
        c.CreateInbox(actor=DIRECTORY, inbox="help2", name="help"),
        c.RemoveUser(actor=DIRECTORY, user=BOB),
    )
    foreseen = outcomes(company, batch(*group))
    really = settle(company, *map(read, group))
    assert [(one.outcome, getattr(one, "reason", None)) for one in foreseen] == [
        (one.kind, one.reason) for one in really
    ]
    assert [[event.type for event in getattr(one, "events", ())] for one in foreseen] == [
        [event["type"] for event in one.members.get("events", ())] for one in really
    ]


def test_a_group_may_have_commands_and_batches_and_the_batches_see_no_command_of_it(company: Decider) -> None:
    first, second, third = settle(company, read(CONNECT), batch(CLEO_WANTS_IT), read(CLEO_WANTS_IT))
    assert (first.kind, third.reason) == ("accepted", Reason.ADDRESS_ALREADY_PERSONAL)
    assert [one["outcome"] for one in second.members["outcomes"]] == ["accepted"]


def test_it_is_decided_again_when_another_writer_changed_what_it_read(
    company: Decider, open_decider: OpenDecider
) -> None:
    other = open_decider()
    assert [one.outcome for one in outcomes(other, batch(CLEO_WANTS_IT))] == ["accepted"]
    settle(company, read(CONNECT))
    assert [one.outcome for one in outcomes(other, batch(CLEO_WANTS_IT))] == ["refused"]


def test_a_command_that_cannot_be_read_is_refused_alone(company: Decider) -> None:
    data = orjson.dumps(
        {
            "actor": DIRECTORY,
            "commands": [
                {"command": "Explode", "body": {"actor": HR}},
                {"command": "AssignSeat", "body": {"actor": HR, "user": BOB, "dry_run": False, "command_id": "x"}},
                {"command": "AssignSeat", "body": {"actor": HR, "user": BOB, "correlation_id": None}},
            ],
        }
    )
    told = outcomes(company, dry_runs.read(ACCOUNT, data, None))
    assert [getattr(one, "reason", one.outcome) for one in told] == ["COMMAND_UNKNOWN", "COMMAND_INVALID", "accepted"]


def refusal(envelope: CommandEnvelope) -> Any:
    assert envelope.refusal is not None
    return envelope.refusal


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        orjson.dumps({"actor": DIRECTORY}),
        orjson.dumps({"actor": DIRECTORY, "commands": []}),
        orjson.dumps({"actor": DIRECTORY, "commands": [{"command": "AssignSeat"}]}),
        orjson.dumps({"actor": DIRECTORY, "commands": [{"command": "X", "body": {}}] * (MOST_COMMANDS + 1)}),
        orjson.dumps({"actor": DIRECTORY, "commands": [{"command": "X", "body": {"a": "x" * 600_000}}]}),
        b'{"actor": "service:x", "commands": [{"command": "X", "body": {"a": 1, "a": 2}}]}',
    ],
    ids=["no JSON", "no commands", "none", "no body", "too many", "too large", "named twice"],
)
def test_a_batch_that_cannot_be_read_is_refused_as_a_whole(data: bytes) -> None:
    assert refusal(dry_runs.read(ACCOUNT, data, None)).reason is Reason.COMMAND_INVALID


def test_the_largest_batch_is_read_and_decided(company: Decider) -> None:
    many = [c.AssignSeat(actor=HR, user=BOB)] * MOST_COMMANDS
    told = outcomes(company, batch(*many))
    assert [one.outcome for one in told] == ["accepted", *["unchanged"] * (MOST_COMMANDS - 1)]


def test_only_a_service_may_ask() -> None:
    refused = refusal(dry_runs.read(ACCOUNT, body_of(CONNECT, actor=ADA), None))
    assert (refused.reason, refused.details) == (Reason.PERMISSION_MISSING, {"permission": "service"})


@pytest.fixture
def limited(database: str, company: Decider) -> Iterator[Decider]:
    decider = Decider(EventStore(database, PAGES), lambda: 6_000)
    yield decider
    decider.store.close()


def test_outcomes_that_no_message_carries_are_refused_and_say_so(limited: Decider) -> None:
    one = c.AssignSeat(actor=HR, user=BOB)
    (refused,) = settle(limited, batch(*[one] * 100))
    assert refused.reason is Reason.COMMAND_INVALID
    assert refused.members["details"]["max_payload"] == 6_000
    assert [one.outcome for one in outcomes(limited, batch(one))] == ["accepted"]


async def test_over_the_wire_it_is_a_request_on_the_subjects_of_commands(
    company: Decider, database: str, nats: RunningNats
) -> None:
    subject = subjects.command(ACCOUNT, dry_runs.NAME)
    async with service_open("connections", connections, nats.url, database) as service, on_bus(nats.url) as bus:
        await eventually(lambda: is_ready(service))
        reply = await bus.client.request(subject, body_of(CONNECT, CLEO_WANTS_IT), timeout=10)
        told = DryRunOutcomes.model_validate_json(reply.data)
        assert [one.outcome for one in told.outcomes] == ["accepted", "refused"]
        assert reply.headers is None
        refused = await bus.client.request(subject, body_of(CONNECT, actor=ANA), timeout=10)
    assert refused.headers is not None
    assert refused.headers["Nats-Service-Error"] == "PERMISSION_MISSING"
    assert orjson.loads(refused.data)["outcome"] == "refused"
