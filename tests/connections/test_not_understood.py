"""A newer release has written what this one cannot read: its commands are refused as such, all others are decided."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import orjson
import psycopg
import pytest
from structlog.testing import capture_logs

from services.connections.app import connections
from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.outcome import Outcome
from services.connections.store.event_store import EventStore
from services.connections.store.state_cache import UnreadableEvent, UnreadableStreams
from shared.language import commands as c
from shared.language import subjects
from shared.language.events import Aggregate
from shared.language.reasons import CODES, Reason
from shared.language.recorded import stream_id
from shared.process.clock import new_id
from tests.connections.conftest import OpenDecider, Store, settle
from tests.connections.given_when_then import ACCOUNT, ADA, ANA, BOB, CLEO, COMPANY, DAN, read
from tests.inbox_views.stories import eventually, is_ready, on_bus, service_open
from tests.real_servers import RunningNats

BOBS: Final = "bob@acme.example"
HELP: Final = "help@acme.example"
BLESSED: Final = "switchboard.AddressBlessed.v1"
HISTORY: Final = (
    *COMPANY,
    c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB, provider="google", provider_identity="g-1"),
    c.ConnectPersonal(actor=CLEO, address="cleo@acme.example", owner=CLEO),
    c.ConnectTeam(actor=ANA, address=HELP, inbox="support", visibility_acknowledged=True),
)


class Writer(NamedTuple):
    decider: Decider
    met: UnreadableStreams

    def hears(self, command: c.Command, **more: Any) -> Outcome:
        return settle(self.decider, read(command, **more))[0]


@pytest.fixture
def store_of_both(database: str, open_decider: OpenDecider) -> Store:
    assert {answer.kind for answer in settle(open_decider(), *map(read, HISTORY))} == {"accepted"}
    return Store(database)


@pytest.fixture
def writer(store_of_both: Store) -> Iterator[Writer]:
    """One that has started anew and knows nothing yet."""
    met = UnreadableStreams()
    decider = Decider(EventStore(store_of_both.url, PAGES, met))
    yield Writer(decider, met)
    decider.store.close()


def write(
    store: Store, aggregate: Aggregate, name: str, topic: str = BLESSED, data: dict[str, Any] | None = None
) -> int:
    """An event as a newer release stores it, behind the last one of the stream; its position."""
    stream = stream_id(ACCOUNT, aggregate, name)
    with psycopg.connect(store.url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(5824113001)")
        version, state = connection.execute(
            "SELECT originator_version, state FROM connections.events WHERE originator_id = %s"
            " ORDER BY originator_version DESC LIMIT 1",
            (stream,),
        ).fetchall()[0]
        anew = orjson.loads(state) | {"id": new_id()} | ({} if data is None else {"data": data})
        rows = connection.execute(
            "INSERT INTO connections.events SELECT %s, %s, %s, %s, max(notification_id) + 1 FROM connections.events"
            " RETURNING notification_id",
            (stream, version + 1, topic, orjson.dumps(anew)),
        ).fetchall()
    return int(rows[0][0])


def assert_not_understood(
    answer: Outcome, position: int, stored_name: str = BLESSED, aggregate: str = "address"
) -> None:
    told = orjson.loads(answer.reply())
    assert (answer.reason, told["reason"]) == (Reason.STREAM_NOT_UNDERSTOOD, "STREAM_NOT_UNDERSTOOD")
    assert told["details"] == {"aggregate": aggregate, "position": position, "stored_name": stored_name}
    assert "Run the newer release" in told["message"]
    assert BOBS not in told["message"]


def test_what_was_answered_before_the_newer_release_wrote_is_answered_so_again(
    store_of_both: Store, open_decider: OpenDecider, writer: Writer
) -> None:
    renames = read(c.SetFromName(actor=BOB, address=BOBS, from_name="Bob"), command_id=new_id())
    (first,) = settle(open_decider(), renames)
    position = write(store_of_both, "address", BOBS)
    again = read(c.SetFromName(actor=BOB, address=BOBS, from_name="Bob"), command_id=renames.command_id)
    other = read(c.SetFromName(actor=BOB, address=BOBS, from_name="Robert"), command_id=renames.command_id)
    new = read(c.SetFromName(actor=BOB, address=BOBS, from_name="Robert"), command_id=new_id())
    known, reused, refused = settle(writer.decider, again, other, new)
    assert (known.kind, known.reply()) == ("accepted", first.reply())
    assert reused.reason is Reason.COMMAND_ID_REUSED
    assert_not_understood(refused, position)


NAMED: Final = [
    c.SetFromName(actor=BOB, address=BOBS, from_name="Bob"),
    c.Disconnect(actor=BOB, address=BOBS),
    c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO),
    c.ConnectTeam(actor=ANA, address=BOBS, inbox="support", visibility_acknowledged=True),
    c.TransferOwnership(actor=ADA, address=BOBS, new_owner=CLEO),
    c.SetDefaultSender(actor=BOB, user=BOB, address=BOBS),
    # In a set that is looked at: the mailbox behind another address.
    c.ConnectPersonal(actor=BOB, address="b@acme.example", owner=BOB, provider="google", provider_identity="g-1"),
]


@pytest.mark.parametrize("command", NAMED, ids=lambda command: f"{type(command).__name__}-by-{command.actor}")
@pytest.mark.parametrize("dry_run", [False, True], ids=["really", "dry run"])
def test_a_command_on_an_address_with_an_event_of_a_newer_release_is_refused_and_says_so(
    store_of_both: Store, writer: Writer, command: c.Command, dry_run: bool
) -> None:
    position = write(store_of_both, "address", BOBS)
    answer = writer.hears(command, **({"dry_run": True} if dry_run else {}))
    assert_not_understood(answer, position)
    assert CODES[answer.reason or ""] == 501


@pytest.mark.parametrize("known_before", [False, True], ids=["read anew", "known before"])
def test_an_event_whose_body_cannot_be_read_is_of_a_newer_release_too(
    store_of_both: Store, writer: Writer, known_before: bool
) -> None:
    command = c.SetFromName(actor=BOB, address=BOBS, from_name="Bob")
    if known_before:
        assert writer.hears(command).kind == "accepted"
    topic = "switchboard.FromNameChanged.v1"
    position = write(store_of_both, "address", BOBS, topic, {"address": BOBS, "from_name": {"first": "Bob"}})
    assert_not_understood(writer.hears(command), position, topic)


def test_the_first_such_event_is_named_whatever_came_after_it(store_of_both: Store, writer: Writer) -> None:
    position = write(store_of_both, "address", BOBS)
    assert_not_understood(writer.hears(NAMED[0]), position)
    write(store_of_both, "address", BOBS, "switchboard.Disconnected.v1", {"address": BOBS, "kind": "personal"})
    write(store_of_both, "address", BOBS, "switchboard.AddressCursed.v2")
    assert_not_understood(writer.hears(NAMED[0]), position)


@pytest.mark.parametrize(
    ("address", "command"),
    [
        (HELP, c.ArchiveInbox(actor=ANA, inbox="support", cascade=True)),
        (BOBS, c.RemoveUser(actor=ADA, user=BOB, policy="release")),
        (BOBS, c.RemoveUser(actor=ADA, user=BOB)),
    ],
    ids=lambda case: case if isinstance(case, str) else type(case).__name__,
)
def test_nothing_is_done_to_many_addresses_when_one_of_them_is_not_understood(
    store_of_both: Store, writer: Writer, address: str, command: c.Command
) -> None:
    assert writer.hears(c.DeactivateUser(actor=ADA, user=BOB)).kind == "accepted"
    position = write(store_of_both, "address", address)
    assert_not_understood(writer.hears(command), position)


@pytest.mark.parametrize(
    ("aggregate", "name", "command"),
    [
        ("account", ACCOUNT, c.SetSignature(actor=BOB, user=BOB, signature="Bob")),
        ("user", BOB, c.SetSignature(actor=BOB, user=BOB, signature="Bob")),
        ("user", DAN, c.AssignSeat(actor=ADA, user=DAN)),
        ("inbox", "support", c.RenameInbox(actor=ANA, inbox="support", name="Help")),
    ],
)
def test_every_kind_of_stream_may_be_of_a_newer_release(
    store_of_both: Store, writer: Writer, aggregate: Aggregate, name: str, command: c.Command
) -> None:
    position = write(store_of_both, aggregate, name)
    assert_not_understood(writer.hears(command), position, aggregate=aggregate)


def test_the_other_commands_of_the_group_are_decided_in_the_same_commit_and_the_log_has_one_line(
    store_of_both: Store, writer: Writer
) -> None:
    position = write(store_of_both, "address", BOBS)
    group = [
        read(c.SetFromName(actor=CLEO, address="cleo@acme.example", from_name=f"Cleo {n}")) if n % 2 else read(NAMED[0])
        for n in range(100)
    ]
    with capture_logs() as logs:
        answers = settle(writer.decider, *group)
    assert {answer.kind for answer in answers[1::2]} == {"accepted"}
    for answer in answers[::2]:
        assert_not_understood(answer, position)
    (line,) = [line for line in logs if line["log_level"] != "info"]
    assert (line["event"], line["log_level"], line["position"]) == ("stream.not_understood", "warning", position)
    assert BOBS not in str(line)


def test_it_is_on_record_and_is_decided_under_the_same_id_once_the_newer_release_runs(
    store_of_both: Store, writer: Writer, open_decider: OpenDecider
) -> None:
    command_id = new_id()
    position = write(store_of_both, "address", BOBS)
    assert_not_understood(writer.hears(NAMED[0], command_id=command_id), position)
    recorded = store_of_both.rows(
        f"SELECT kept, outcome, reason, body FROM connections.journal WHERE command_id = '{command_id}'"
    )
    assert recorded == [(False, "refused", "STREAM_NOT_UNDERSTOOD", None)]
    # What the newer release makes of it, this one can be given only in words of its own.
    store_of_both.run(
        "UPDATE connections.events SET topic = 'switchboard.ReauthenticationRequired.v1', state = convert_to(replace("
        f"convert_from(state, 'UTF8'), '\"display\"', '\"cause\"'), 'UTF8') WHERE topic = '{BLESSED}'"
    )
    newer = open_decider()
    answer = settle(newer, read(NAMED[0], command_id=command_id))[0]
    assert answer.kind == "accepted"
    assert settle(newer, read(NAMED[0], command_id=command_id))[0].reply() == answer.reply()


def test_readiness_names_the_stream_once_it_was_met_and_no_address(store_of_both: Store, writer: Writer) -> None:
    position, another = write(store_of_both, "address", BOBS), write(store_of_both, "address", HELP)
    assert writer.met.summary() is None
    writer.hears(NAMED[0])
    told = writer.met.summary() or ""
    assert all(part in told for part in ("address", BLESSED, f"position {position}", "newer release"))
    assert "@" not in told
    writer.hears(c.MoveTeamAddress(actor=ANA, address=HELP, to_inbox="sales"))
    told = writer.met.summary() or ""
    assert f"position {position}" in told
    assert "1 more" in told
    assert another != position


def test_a_whole_log_of_a_newer_release_fills_neither_memory_nor_log() -> None:
    met = UnreadableStreams()
    with capture_logs() as logs:
        for number in range(5_000):
            stream = stream_id(ACCOUNT, "address", str(number))
            for _ in range(2):
                met.add(stream, UnreadableEvent("address", number, BLESSED), "unknown")
    assert len(logs) == 1_000


async def test_over_the_wire_it_is_501_not_busy_and_readiness_is_not_green(
    store_of_both: Store, private_nats: RunningNats
) -> None:
    position = write(store_of_both, "address", BOBS)
    body = NAMED[0].model_dump_json(exclude_none=True).encode()
    async with (
        service_open("connections", connections, private_nats.url, store_of_both.url) as service,
        on_bus(private_nats.url) as bus,
    ):
        await eventually(lambda: is_ready(service))
        reply = await bus.client.request(subjects.command(ACCOUNT, "SetFromName"), body, timeout=10)
        headers = reply.headers or {}
        told = headers.get("Nats-Service-Error-Code"), headers.get("Nats-Service-Error")
        assert told == ("501", "STREAM_NOT_UNDERSTOOD")
        health = await service.health()
        assert not health.ready
        named = {part: state for part, state in health.parts.items() if state != "ok"}
    assert list(named) == ["streams"]
    assert f"{BLESSED} at position {position}" in named["streams"]
