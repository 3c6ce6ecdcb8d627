"""Other services use Switchboard by this client: typed, patient, and as true as the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from pydantic import TypeAdapter, ValidationError

from services.ops.contract import client_calls
from shared.client import (
    Accepted,
    Account,
    CommandRefused,
    ConnectionFailed,
    InvalidRequest,
    MessageTooLarge,
    NotAnswered,
    Page,
    QueryResult,
    Reason,
    ReceivedEvent,
    Refused,
    RequestTimeout,
    Switchboard,
    Unchanged,
    connect,
    iterate,
    require,
)
from shared.client.account import REPLY, adapter
from shared.client.retries import LONGEST_PAUSE_SECONDS, pause_before_retry, wait_seconds
from shared.language.catalog import QUESTIONS, RESULTS
from shared.language.commands import COMMANDS
from shared.language.questions import DEFAULT_WAIT_MS, ListQuestion
from shared.language.rules import UsersAndTeams
from shared.process.clock import new_id
from shared.projections.projection_service import ServiceLimits
from shared.wire.backoff import Backoff
from shared.wire.connection import connect_to_nats, flush_confirmed
from tests.journeys.wire import Wire, connected
from tests.real_servers import RunningNats, RunningSwitchboard, free_port

ADDRESS = "support@acme.example"


@pytest.fixture
async def switchboard_client(running: RunningSwitchboard) -> AsyncIterator[Switchboard]:
    async with connect(running.nats_url) as client:
        yield client


@pytest.fixture
async def acme(switchboard_client: Switchboard) -> Account:
    """A registered account of its own, with bob, an orphan, an alias and a rule."""
    account = switchboard_client.account(f"client-{new_id()[-12:]}", "service:tests")
    require(await account.register_account("professional", "ana"))
    require(await account.add_user("bob", "Bob", ["personal_email_access"]))
    require(await account.add_user("cleo", "Cleo", ["personal_email_access"]))
    require(await account.assign_seat("bob"))
    require(await account.set_default_font("bob", "Lato", size=12))
    require(await account.create_team("help", "Help", members=["bob"]))
    require(await account.connect_team(ADDRESS, "inbox", visibility_acknowledged=True))
    require(await account.add_alias(ADDRESS, "help@acme.example"))
    require(await account.acting_as("bob").connect_personal("bob@acme.example", "bob"))
    require(await account.acting_as("cleo").connect_personal("cleo@acme.example", "cleo"))
    require(await account.deactivate_user("cleo"))
    require(await account.remove_user("cleo"))
    return account


def test_the_calls_are_those_of_the_language() -> None:
    assert client_calls.main(["--check"]) == 0
    assert {client_calls.snake(name) for name in (*COMMANDS, *QUESTIONS)} <= vars(Account.__mro__[1]).keys()


# ---- what comes back


async def test_each_outcome_is_a_value_with_its_own_type(acme: Account) -> None:
    bob = acme.acting_as("bob")
    accepted = await bob.connect_personal("b@acme.example", "bob", from_name="Bob", correlation_id="deal-7")
    assert isinstance(accepted, Accepted)
    assert [event.type for event in accepted.events] == ["PersonalConnected"]
    assert accepted.next_steps[0].command == "BindTool"
    assert isinstance(await bob.connect_personal("b@acme.example", "bob"), Unchanged)
    refused = await bob.connect_personal(ADDRESS, "bob")
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.ADDRESS_ALREADY_TEAM
    assert refused.next_actions
    with pytest.raises(CommandRefused, match="ADDRESS_ALREADY_TEAM"):
        require(refused)


async def test_an_unreadable_command_is_a_refusal_too(acme: Account) -> None:
    refused = await acme.assign_seat("no such id!")
    assert isinstance(refused, Refused)
    assert refused.reason == Reason.COMMAND_INVALID


async def test_a_dry_run_says_what_would_happen_and_changes_nothing(acme: Account) -> None:
    would = await acme.disconnect(ADDRESS, dry_run=True)
    assert isinstance(would, Accepted)
    assert (would.dry_run, would.position, would.events[0].id) == (True, None, None)
    assert require(await acme.address(ADDRESS)).result.kind == "team"


async def test_a_question_reflects_the_commands_of_the_same_account(acme: Account) -> None:
    for number in range(20):
        name = f"n{number}@acme.example"
        done = require(await acme.acting_as("bob").connect_personal(name, "bob"))
        found = await acme.address(name)
        assert isinstance(found, QueryResult)
        assert found.position >= acme.position == done.position
        assert found.result.kind == "personal"


async def test_an_error_of_a_question_is_a_value(acme: Account) -> None:
    missing = await acme.user("nobody")
    assert isinstance(missing, NotAnswered)
    assert missing.error == "USER_NOT_FOUND"
    hidden = await acme.acting_as("bob").addresses()
    assert isinstance(hidden, NotAnswered)
    assert hidden.error == "PERMISSION_MISSING"


async def test_a_list_is_read_page_by_page(acme: Account) -> None:
    page = await acme.addresses(limit=2)
    assert isinstance(page, Page)
    assert len(page.items) == 2
    assert page.next is not None
    names = [entry.address async for entry in iterate(acme.addresses, limit=2)]
    assert names == sorted(names)
    assert len(names) == 4


async def test_the_typed_results_leave_out_nothing_of_the_wire(acme: Account, running: RunningSwitchboard) -> None:
    fields: dict[str, dict[str, Any]] = {
        "Address": {"address": ADDRESS}, "Inbox": {"inbox": "inbox"}, "Routing": {"inbox": "inbox"},
        "Identities": {"user": "bob"}, "User": {"user": "bob"}, "RemovalImpact": {"user": "bob"},
        "Resolve": {"recipients": [ADDRESS, "bob@acme.example", "free@acme.example"], "sender": "jo@client.example"},
        "Trace": {"correlation_id": "tests"}, "About": {"user": "bob"}, "Access": {"inbox": "inbox"},
        "AccessOf": {"user": "bob"},
        "Bisect": {"question": "Address", "fields": {"address": ADDRESS}, "path": "/state", "value": "connected"},
    }  # fmt: skip
    assert isinstance(await acme.assign_seat("nobody"), Refused)
    require(await acme.set_routing("inbox", UsersAndTeams(users=("bob",)), correlation_id="tests"))
    async with connected(running.nats_url) as wire:
        await wire.audited(acme.name, acme.position)
    for name, question in QUESTIONS.items():
        body = {"actor": "service:audit.tests", "wait_ms": 10_000, "at_least": acme.position, **fields.get(name, {})}
        raw = await asked(running, f"switchboard.query.v1.{acme.name}.{name}", body)
        adapter: TypeAdapter[Any] = TypeAdapter(RESULTS[question])
        results = raw["result"] if issubclass(question, ListQuestion) else [raw["result"]]
        assert results, name
        for result in results:
            typed = adapter.dump_python(adapter.validate_python(result), mode="json", by_alias=True)
            assert without_defaults(typed) == without_defaults(result), name


async def test_the_typed_replies_leave_out_nothing_of_the_wire(acme: Account, running: RunningSwitchboard) -> None:
    bodies: Sequence[tuple[str, dict[str, Any]]] = (
        ("ConnectPersonal", {"actor": "bob", "owner": "bob", "address": "info@gmail.com"}),
        ("ConnectPersonal", {"actor": "bob", "owner": "bob", "address": "info@gmail.com"}),
        ("ConnectPersonal", {"actor": "bob", "owner": "bob", "address": ADDRESS}),
        ("ConnectPersonal", {"actor": "bob", "owner": "bob", "address": "x@acme.example", "dry_run": True}),
        ("AddUser", {"actor": "ana", "user": "cleo", "name": "Cleo", "permissions": ["personal_email_access"]}),
        ("NoSuchCommand", {"actor": "bob"}),
    )
    for name, fields in bodies:
        raw = await asked(running, f"switchboard.command.v1.{acme.name}.{name}", fields)
        typed = REPLY.dump_python(REPLY.validate_python(raw), mode="json")
        assert without_defaults(typed) == without_defaults(raw), name


# ---- trouble on the way


async def test_a_command_without_a_reply_is_sent_again_under_its_id(nats: RunningNats) -> None:
    received: list[dict[str, Any]] = []

    async def reply_to_the_third(message: Msg) -> None:
        received.append(json.loads(message.data))
        if len(received) == 2:
            busy = {"outcome": "refused", "reason": "BUSY", "message": "later", "details": {"retry_after_ms": 20}}
            await message.respond(json.dumps(busy).encode())
        if len(received) == 3:
            reply = {"outcome": "unchanged", "command_id": received[-1]["command_id"], "position": 9}
            await message.respond(json.dumps(reply).encode())

    server = await connect_to_nats(nats.url, "answers")
    await server.subscribe("switchboard.command.v1.patient.*", cb=reply_to_the_third)
    await flush_confirmed(server)
    async with connect(nats.url) as switchboard:
        reply = await switchboard.account("patient", "ana").assign_seat("bob")
    await server.close()
    assert isinstance(reply, Unchanged)
    assert len(received) == 3
    assert received[0] == received[1] == received[2]


async def test_a_question_waits_for_a_view_that_is_behind_unless_it_is_raw(nats: RunningNats) -> None:
    received = 0

    async def reply_to_the_second(message: Msg) -> None:
        nonlocal received
        received += 1
        behind: dict[str, Any] = {"error": "VIEW_BEHIND", "message": "later", "details": {}}
        usage = {"position": 9, "result": {"plan": "free", "inboxes": {"used": 1, "limit": 1}}}
        await message.respond(json.dumps(usage if received == 2 else behind).encode())

    server = await connect_to_nats(nats.url, "answers")
    await server.subscribe("switchboard.query.v1.behind.*", cb=reply_to_the_second)
    await flush_confirmed(server)
    async with connect(nats.url) as switchboard:
        assert require(await switchboard.account("behind", "ana").usage()).result.inboxes.used == 1
        assert (await switchboard.request("switchboard.query.v1.behind.Usage", {}))["error"] == "VIEW_BEHIND"
    await server.close()
    assert received == 3


async def test_a_list_as_of_a_time_stays_at_the_moment_of_its_first_page(nats: RunningNats) -> None:
    received: list[Any] = []

    async def reply_with_a_page(message: Msg) -> None:
        received.append(json.loads(message.data).get("as_of"))
        page = {"position": 7, "result": [], "next": None if len(received) == 2 else "page-2"}
        await message.respond(json.dumps(page).encode())

    server = await connect_to_nats(nats.url, "answers")
    await server.subscribe("switchboard.query.v1.past.*", cb=reply_with_a_page)
    await flush_confirmed(server)
    moment = datetime(2026, 3, 3, 9, tzinfo=UTC)
    async with connect(nats.url) as switchboard:
        assert [entry async for entry in iterate(switchboard.account("past", "ana").addresses, as_of=moment)] == []
    await server.close()
    assert received == ["2026-03-03T09:00:00+00:00", 7]


@pytest.mark.parametrize(
    ("moment", "sent"),
    [
        (5, 5),
        ("2026-03-03T09:00:00Z", "2026-03-03T09:00:00Z"),
        (datetime(2026, 3, 3, 9, tzinfo=timezone(timedelta(hours=1))), "2026-03-03T09:00:00+01:00"),
    ],
)
async def test_a_moment_is_a_position_a_text_or_a_time(nats: RunningNats, moment: Any, sent: Any) -> None:
    received: list[Any] = []

    async def reply(message: Msg) -> None:
        received.append(json.loads(message.data).get("as_of"))
        usage = {"position": 5, "result": {"plan": "free", "inboxes": {"used": 1, "limit": 1}}}
        await message.respond(json.dumps(usage).encode())

    server = await connect_to_nats(nats.url, "answers")
    await server.subscribe("switchboard.query.v1.moment.*", cb=reply)
    await flush_confirmed(server)
    async with connect(nats.url) as switchboard:
        assert require(await switchboard.account("moment", "ana").usage(as_of=moment)).position == 5
    await server.close()
    assert received == [sent]


async def test_a_time_without_an_offset_is_not_sent(nats: RunningNats) -> None:
    local = datetime(2026, 3, 3, 9)  # noqa: DTZ001  that is the mistake
    async with connect(nats.url, timeout=0.3) as switchboard:
        with pytest.raises(InvalidRequest, match="as_of is a time without an offset"):
            await switchboard.account("nobody", "ana").usage(as_of=local)


async def test_a_question_whose_history_is_behind_is_asked_again(nats: RunningNats) -> None:
    received = 0

    async def reply_to_the_second(message: Msg) -> None:
        nonlocal received
        received += 1
        behind: dict[str, Any] = {"error": "HISTORY_BEHIND", "message": "later", "details": {"retry_after_ms": 1}}
        usage = {"position": 5, "result": {"plan": "free", "inboxes": {"used": 1, "limit": 1}}}
        await message.respond(json.dumps(usage if received == 2 else behind).encode())

    server = await connect_to_nats(nats.url, "answers")
    await server.subscribe("switchboard.query.v1.lagging.*", cb=reply_to_the_second)
    await flush_confirmed(server)
    async with connect(nats.url) as switchboard:
        assert require(await switchboard.account("lagging", "ana").usage(as_of=5)).position == 5
    await server.close()
    assert received == 2


async def test_a_caller_without_a_reply_learns_the_id_to_send_again(nats: RunningNats) -> None:
    async with connect(nats.url, timeout=0.3) as switchboard:
        with pytest.raises(RequestTimeout, match="send it again with command_id") as raised:
            await switchboard.account("nobody", "ana").assign_seat("bob")
        assert raised.value.command_id
        with pytest.raises(RequestTimeout):
            await switchboard.account("nobody", "ana").usage()


async def test_a_caller_may_hear_at_once_that_no_reply_comes(nats: RunningNats) -> None:
    causes: list[tuple[str, str]] = []

    async def serve_once_it_was_missed() -> Client:
        while not causes:
            await asyncio.sleep(0.01)
        server = await connect_to_nats(nats.url, "answers")

        async def reply(message: Msg) -> None:
            await message.respond(b'{"position": 1, "result": []}')

        await server.subscribe("switchboard.query.v1.missed.*", cb=reply)
        return server

    serving = asyncio.create_task(serve_once_it_was_missed())
    async with connect(nats.url, on_no_reply=lambda *what: causes.append(what)) as switchboard:
        assert (await switchboard.request("switchboard.query.v1.missed.Users", {}))["position"] == 1
    await (await serving).close()
    assert {subject for subject, _ in causes} == {"switchboard.query.v1.missed.Users"}
    assert "no responders" in causes[0][1]


async def test_each_of_thousands_of_requests_gets_its_own_reply(nats: RunningNats) -> None:
    async def unchanged(message: Msg) -> None:
        reply = {"outcome": "unchanged", "command_id": json.loads(message.data)["command_id"], "position": 1}
        await message.respond(json.dumps(reply).encode())

    server = await connect_to_nats(nats.url, "answers")
    await server.subscribe("switchboard.command.v1.many.*", cb=unchanged)
    await flush_confirmed(server)
    ids = [new_id() for _ in range(3_000)]
    async with connect(nats.url) as switchboard:
        account = switchboard.account("many", "ana")
        replies = await asyncio.gather(*(account.assign_seat("bob", command_id=id_) for id_ in ids))
    await server.close()
    assert [reply.command_id for reply in replies] == ids


async def test_a_message_larger_than_nats_carries_is_not_sent(nats: RunningNats) -> None:
    async with connect(nats.url) as switchboard:
        with pytest.raises(MessageTooLarge, match="more than one message carries"):
            await switchboard.account("large", "ana").set_signature("bob", "x" * 2_000_000)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "*", ">", "a\tb", "a 0\r\n\r\nPUB x 0", "\ud800"])
async def test_a_name_that_would_change_the_subject_is_not_sent(nats: RunningNats, name: str) -> None:
    """A line break ends a subject on the wire: what follows would be a message of its own."""
    async with connect(nats.url) as switchboard:
        with pytest.raises(InvalidRequest, match="cannot be the id of an account"):
            switchboard.account(name, "ana")
        with pytest.raises(InvalidRequest, match="cannot be the id of an account"):
            switchboard.events(account=name)
        if name != "a.b":
            with pytest.raises(InvalidRequest, match="not a subject"):
                await switchboard.request(f"switchboard.command.v1.acme.{name}", {})


@pytest.mark.parametrize("value", ["\ud800", 10**30, object(), float("nan"), {"in": [float("-inf")]}])
async def test_a_value_that_json_cannot_hold_is_not_sent(nats: RunningNats, value: Any) -> None:
    async with connect(nats.url) as switchboard:
        with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
            await switchboard.account("acme", "ana").send("AddUser", {"name": value})


async def test_null_may_be_sent(nats: RunningNats) -> None:
    async with connect(nats.url, timeout=0.2) as switchboard:
        with pytest.raises(RequestTimeout):
            await switchboard.account("acme", "ana").send("AddUser", {"name": None, "size": 1.5})


def test_the_pause_before_a_retry_stays_short() -> None:
    backoff = Backoff(0.1, LONGEST_PAUSE_SECONDS)
    assert all(0 < pause_before_retry(None, backoff) <= 1.5 * LONGEST_PAUSE_SECONDS for _ in range(100))


@pytest.mark.parametrize(
    ("fields", "wait_ms"), [({}, DEFAULT_WAIT_MS), ({"wait_ms": 0}, 0), ({"wait_ms": 9_000}, 9_000)]
)
def test_a_question_is_not_asked_again_while_its_service_works_on_it(fields: dict[str, int], wait_ms: int) -> None:
    assert wait_seconds(fields) == wait_ms / 1_000 + ServiceLimits().answer_seconds


@pytest.mark.parametrize("url", ["", " , ", "nats://:x"])
async def test_an_invalid_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ConnectionFailed):
        async with connect(url, connect_timeout=5):
            raise AssertionError("there is none")


async def test_an_error_shows_no_password() -> None:
    with pytest.raises(ConnectionFailed) as raised:
        async with connect(f"nats://bob:hu@sh@127.0.0.1:{free_port()}", connect_timeout=0.5):
            raise AssertionError("there is none")
    assert "bob:***@127.0.0.1" in str(raised.value)
    assert "hu@sh" not in str(raised.value)


@pytest.mark.parametrize(
    ("question", "field", "word"),
    [("Addresses", "health", "stalled"), ("Addresses", "tools", ["telepathy"]), ("Users", "permissions", ["fly"]),
     ("Account", "plan", "galactic")],
)  # fmt: skip
async def test_a_word_of_a_later_release_is_kept_as_it_is(acme: Account, question: str, field: str, word: Any) -> None:
    answer = await acme.query_raw(question, {})
    row = answer["result"][0] if isinstance(answer["result"], list) else answer["result"]
    read = adapter(question).validate_python(row | {field: word})
    assert getattr(read, field) == (tuple(word) if isinstance(word, list) else word)
    with pytest.raises(ValidationError):
        adapter(question).validate_python(row | {field: 7})


async def test_a_missing_nats_is_reported(folder: Path) -> None:
    with pytest.raises(ConnectionFailed, match="No NATS at"):
        async with connect(f"nats://127.0.0.1:{free_port()}", connect_timeout=0.5):
            raise AssertionError("there is none")


# ---- events


async def test_events_are_typed_and_start_after_a_position(switchboard_client: Switchboard, acme: Account) -> None:
    seen = []
    async with asyncio.timeout(20):
        async for event in switchboard_client.events(account=acme.name):
            seen.append(event)
            if event.position >= acme.position:
                break
    assert [event.type for event in seen][:2] == ["switchboard.AccountRegistered.v1", "switchboard.UserAdded.v1"]
    assert all(event.recorded is not None and event.account == acme.name for event in seen)
    middle = seen[5].position
    async with asyncio.timeout(20):
        again = await anext(aiter(switchboard_client.events(after=middle, account=acme.name)))
    assert again == seen[6]


async def test_a_subscription_survives_a_killed_nats_and_a_lost_stream(
    switchboard: RunningSwitchboard,
) -> None:
    async with connect(switchboard.nats_url) as client, asyncio.timeout(60):
        account = client.account("acme", "service:tests")
        require(await account.register_account("professional", "ana"))
        events, positions = client.events(), list[int]()
        for number in range(3):
            require(await account.create_inbox(f"i{number}", f"Inbox {number}"))
            while not positions or positions[-1] < account.position:
                positions.append((await anext(events)).position)
            if number == 0:
                next(one for one in switchboard.processes() if one.name() == "nats-server").kill()
            if number == 1:
                await lose_the_stream(switchboard)
        assert positions == list(range(1, account.position + 1))


@pytest.mark.parametrize("of_one", [True, False])
async def test_events_lost_with_a_connection_are_delivered_again(of_one: bool, running: RunningSwitchboard) -> None:
    """NATS goes on meanwhile, and to it those events were told."""
    name = f"client-{new_id()[-12:]}"
    async with connect(running.nats_url) as client, asyncio.timeout(60):
        account = client.account(name, "service:tests")
        require(await account.register_account("professional", "ana"))
        before = account.position
        for number in range(300):
            require(await account.create_team(f"t{number}", f"Team {number}", members=[]))
        async with cutting(running.nats_url) as proxy, connect(proxy.url) as follower:
            seen: list[int] = []
            async for event in follower.events(before, name if of_one else None):
                seen.append(event.position)
                if len(seen) == 1:
                    proxy.lose_the_next(b"MSG ")
                if event.position >= account.position:
                    break
            assert proxy.lost
        assert len(seen) == len(set(seen))
        expected = [event.position async for event in until(client.events(before, name), account.position)]
        assert [position for position in seen if position in set(expected)] == expected
        if not of_one:
            assert seen == list(range(before + 1, account.position + 1))


async def until(events: AsyncIterator[ReceivedEvent], position: int) -> AsyncIterator[ReceivedEvent]:
    async for event in events:
        yield event
        if event.position >= position:
            return


class Cutting:
    """Forwards connections to NATS. The next that the server says with a mark in it is lost, and the connection too."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mark = b""
        self.lost = 0
        self.url = ""

    def lose_the_next(self, mark: bytes) -> None:
        self._mark = mark

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._port)
        both = [asyncio.create_task(one) for one in (self._pump(reader, to_there), self._pump(there, writer, True))]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.cancel()
        for end in (writer, to_there):
            end.close()

    async def _pump(self, from_: asyncio.StreamReader, to: asyncio.StreamWriter, losing: bool = False) -> None:
        while data := await from_.read(1 << 16):
            if losing and self._mark and self._mark in data:
                self._mark = b""
                self.lost += 1
                return
            to.write(data)


@asynccontextmanager
async def cutting(url: str) -> AsyncIterator[Cutting]:
    proxy = Cutting(urlsplit(url).port or 0)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()


async def lose_the_stream(switchboard: RunningSwitchboard) -> None:
    client = await nats.connect(switchboard.nats_url)
    await client.jetstream().delete_stream("SWITCHBOARD_EVENTS")
    await client.close()


# ---- tools


async def asked(running: RunningSwitchboard, subject: str, fields: dict[str, Any]) -> Any:
    client = await nats.connect(running.nats_url)
    try:
        return (await Wire(client).ask(subject, json.dumps(fields).encode())).body
    finally:
        await client.close()


def without_defaults(value: Any) -> Any:
    """Null and what is empty, which an answer may leave out."""
    if isinstance(value, dict):
        return {key: without_defaults(one) for key, one in value.items() if one not in (None, [], {}, False)}
    return [without_defaults(one) for one in value] if isinstance(value, list | tuple) else value
