"""The permission matrix: every user of deploy/nats against every class of subjects, asked of a real nats-server."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import nats.errors
import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from shared.language.questions import ROUTING_QUESTIONS, VIEW_QUESTIONS
from shared.messaging import event_stream
from shared.wire.connection import flush_confirmed
from tests.deploy.production import DEPLOY, GuardedNats, RunningGuardedNats, Secrets, greeted
from tests.real_servers import new_folder

SERVICES: Final = ("connections", "relay", "inbox-views", "routing", "audit")
VIEWS: Final = {"inbox-views": "inbox_views", "routing": "routing"}
CALLERS: Final = ("crm", "helpdesk", "siem")
USERS: Final = (*SERVICES, "ops", "replay", "auditor", *CALLERS)
AUDIT_QUESTIONS: Final = (
    "Timeline", "Trace", "Refusals", "Access", "AccessOf", "Changes", "Bisect", "Leavers", "About", "Coverage",
)  # fmt: skip
STREAM: Final = "SWITCHBOARD_EVENTS"
REPLAYS: Final = "SWITCHBOARD_REPLAYS"
JS: Final = "$JS.API"
HEALTH: Final = "switchboard.internal.v1.health"
METRICS: Final = "switchboard.internal.v1.metrics"


class Cell(NamedTuple):
    """One class of subjects; `queue` None: it is published to, empty: subscribed to, else in that queue group.

    `users` are those who may.
    """

    what: str
    subject: str
    queue: str | None
    users: frozenset[str]


def may_publish(what: str, subject: str, *users: str) -> Cell:
    return Cell(what, subject, None, frozenset(users))


def may_hear(what: str, subject: str, *users: str, queue: str = "") -> Cell:
    return Cell(what, subject, queue, frozenset(users))


def acknowledges(consumer: str, user: str) -> Iterator[Cell]:
    """In both forms that servers give the subject: the second is that of `js_ack_fc_v2`."""
    for form, before in (("first", ""), ("second", "_.ABCDEFGH.")):
        subject = f"$JS.ACK.{before}{STREAM}.{consumer}.1.1.1.1.0"
        yield may_publish(f"acknowledge for {consumer}, {form} form", subject, user, "ops")


def of_a_view(service: str, view: str) -> Iterator[Cell]:
    for verb in ("INFO", "DELETE", "MSG.NEXT"):
        yield may_publish(f"{verb} of {view}'s consumer", f"{JS}.CONSUMER.{verb}.{STREAM}.{view}", service, "ops")
    yield may_publish(f"make {view}'s consumer", f"{JS}.CONSUMER.DURABLE.CREATE.{STREAM}.{view}", service)
    yield from acknowledges(view, service)
    yield may_publish(f"ask who answers for {view}", f"switchboard.internal.v1.attendance.{view}.1", service)
    yield may_hear(f"say that {view} is answered for", f"switchboard.internal.v1.attendance.{view}.1", service)
    applied = f"switchboard.internal.v1.applied.{view}"
    yield may_publish(f"ask when {view} applied events", applied, "audit")
    yield may_hear(f"say when {view} applied events", applied, service, queue=view)
    yield may_hear(f"watch who asks when {view} applied events", applied)


def of_a_reader(user: str) -> Iterator[Cell]:
    for verb in ("INFO", "DELETE", "MSG.NEXT"):
        yield may_publish(f"{verb} of {user}'s consumer", f"{JS}.CONSUMER.{verb}.{STREAM}.{user}", user, "ops")
    yield from acknowledges(user, user)
    for subject, readers in {
        "switchboard.event.v1.>": {"ops"} | {"siem"} & {user},
        "switchboard.event.v1.other.>": {"ops"} | {"siem"} & {user},
        "switchboard.event.v1.acme.>": {"ops", user},
    }.items():
        name = f"make a consumer called {user} of {subject}"
        yield may_publish(name, f"{JS}.CONSUMER.CREATE.{STREAM}.{user}.{subject}", *readers)
    yield may_publish(f"make a consumer called {user}", f"{JS}.CONSUMER.CREATE.{STREAM}.{user}", "ops")


def of_a_reader_of_replays(user: str) -> Iterator[Cell]:
    """A consumer of replays: of all accounts for `siem`, of the account `acme` for `crm`."""
    for verb in ("INFO", "DELETE", "MSG.NEXT"):
        yield may_publish(f"{verb} of {user}'s consumer of replays", f"{JS}.CONSUMER.{verb}.{REPLAYS}.{user}", user)
    for form, before in (("first", ""), ("second", "_.ABCDEFGH.")):
        subject = f"$JS.ACK.{before}{REPLAYS}.{user}.1.1.1.1.0"
        yield may_publish(f"acknowledge a replay for {user}, {form} form", subject, user)
    for subject, readers in {
        "switchboard.replay.v1.>": {"siem"} & {user},
        "switchboard.replay.v1.x.>": {"siem"} & {user},
        "switchboard.replay.v1.*.other.>": {"siem"} & {user},
        "switchboard.replay.v1.x.@all.>": {"siem"} & {user},
        "switchboard.replay.v1.x.acme.>": {user},
        "switchboard.replay.v1.*.acme.>": {user},
    }.items():
        name = f"make a consumer of replays called {user} of {subject}"
        yield may_publish(name, f"{JS}.CONSUMER.CREATE.{REPLAYS}.{user}.{subject}", *readers)
    yield may_publish(f"make a consumer of replays called {user}", f"{JS}.CONSUMER.CREATE.{REPLAYS}.{user}")


def asked_about(name: str, here: Sequence[str], elsewhere: Sequence[str]) -> Iterator[Cell]:
    """A question: who may ask it about the account `acme`, and who about another account."""
    yield may_publish(f"{name} about acme", f"switchboard.query.v1.acme.{name}", *here)
    yield may_publish(f"{name} about another account", f"switchboard.query.v1.other.{name}", *elsewhere)


MATRIX: Final = (
    # ---- commands and questions
    may_publish("command for acme", "switchboard.command.v1.acme.ConnectTeam", "ops", "crm"),
    may_publish("command for another account", "switchboard.command.v1.other.ConnectTeam", "ops"),
    may_publish("batch of dry runs for acme", "switchboard.command.v1.acme.DryRunBatch", "ops", "crm", "audit"),
    may_publish("batch of dry runs for another account", "switchboard.command.v1.other.DryRunBatch", "ops", "audit"),
    *(
        cell
        for name in (*VIEW_QUESTIONS, *ROUTING_QUESTIONS)
        for cell in asked_about(name, ("ops", "crm", "helpdesk", "audit"), ("ops", "helpdesk", "audit"))
    ),
    *(cell for name in AUDIT_QUESTIONS for cell in asked_about(name, ("ops", "auditor"), ("ops", "auditor"))),
    *(asked_about("Unheard", ("ops",), ("ops",))),
    may_hear("take commands", "switchboard.command.v1.*.*", "connections", queue="connections"),
    may_hear("take a partition's commands", "switchboard.command.v1.*.*.7", "connections", queue="connections"),
    may_hear("take all partitions' commands", "switchboard.command.v1.*.*.*", "connections", queue="connections"),
    may_hear("watch commands", "switchboard.command.v1.>"),
    may_hear("take commands beside the writers", "switchboard.command.v1.*.*", queue="mine"),
    may_hear("take questions", "switchboard.query.v1.*.*", "inbox-views", queue="inbox_views"),
    may_hear("take questions about routing", "switchboard.query.v1.*.Resolve", "routing", queue="routing"),
    *(
        may_hear(f"take the question {name}", f"switchboard.query.v1.*.{name}", "audit", queue="audit")
        for name in AUDIT_QUESTIONS
    ),
    may_hear("take auditors' questions beside the service", "switchboard.query.v1.*.Access", queue="mine"),
    may_hear("watch questions", "switchboard.query.v1.>"),
    may_hear("watch everything", ">"),
    # ---- events
    may_publish("write an event", "switchboard.event.v1.acme.address.TeamConnected", "relay"),
    may_hear("watch events beside the stream", "switchboard.event.v1.>"),
    # ---- checkpoints
    may_publish("publish a checkpoint", "switchboard.checkpoint.v1", "audit"),
    may_hear("hear checkpoints", "switchboard.checkpoint.v1", "ops", "auditor", "siem"),
    # ---- answers
    may_publish("answer", "_INBOX.crm.x.y", *SERVICES),
    may_hear("hear all answers", "_INBOX.>"),
    *(may_hear(f"hear answers to {user}", f"_INBOX.{user}.x.*", *({user} - {"connections"})) for user in USERS),
    # ---- among the services
    may_publish("hint that the log has grown", "switchboard.internal.v1.committed", "connections"),
    may_hear("hear that the log has grown", "switchboard.internal.v1.committed", "relay"),
    may_publish("ask whether one is ready", f"{HEALTH}.relay", "ops"),
    *(may_hear(f"say whether {one} is ready", f"{HEALTH}.{one}", one, queue=one) for one in SERVICES),
    may_publish("ask what one has counted", f"{METRICS}.relay.host-1", "ops"),
    *(may_hear(f"say what {one} has counted", f"{METRICS}.{one}.host-1", one) for one in SERVICES),
    # ---- the stream
    may_publish("account of JetStream", f"{JS}.INFO", "ops"),
    may_publish("stream's state", f"{JS}.STREAM.INFO.{STREAM}", "relay", *VIEWS, "audit", "ops"),
    may_publish("one message of the stream", f"{JS}.STREAM.MSG.GET.{STREAM}", "relay", *VIEWS, "audit", "ops"),
    may_publish("make the stream", f"{JS}.STREAM.CREATE.{STREAM}", "relay"),
    may_publish("change the stream", f"{JS}.STREAM.UPDATE.{STREAM}", "relay"),
    may_publish("delete the stream", f"{JS}.STREAM.DELETE.{STREAM}", "ops"),
    may_publish("purge the stream", f"{JS}.STREAM.PURGE.{STREAM}"),
    may_publish("delete a message", f"{JS}.STREAM.MSG.DELETE.{STREAM}"),
    may_publish("read past consumers", f"{JS}.DIRECT.GET.{STREAM}"),
    may_publish("restore a stream", f"{JS}.STREAM.RESTORE.{STREAM}"),
    may_publish("make another stream", f"{JS}.STREAM.CREATE.MINE"),
    may_publish("delete another stream", f"{JS}.STREAM.DELETE.MINE"),
    may_publish("list of consumers", f"{JS}.CONSUMER.LIST.{STREAM}", "ops"),
    *(cell for service, view in VIEWS.items() for cell in of_a_view(service, view)),
    *(cell for user in ("crm", "siem") for cell in of_a_reader(user)),
    # ---- replays
    may_publish("publish a replay", "switchboard.replay.v1.x.acme.address.TeamConnected", "replay"),
    may_publish("frame a replay", "switchboard.replay.v1.x.@all.replay.ReplayStarted", "replay"),
    may_hear("watch replays beside the stream", "switchboard.replay.v1.>"),
    may_publish("ask who publishes a replay", "switchboard.internal.v1.replaying.x", "replay"),
    may_hear("be the one who publishes a replay", "switchboard.internal.v1.replaying.x", "replay"),
    may_publish("answer who publishes a replay", "_INBOX.replay.x.y", *SERVICES, "replay"),
    *(
        may_publish(f"{verb} of the stream of replays", f"{JS}.STREAM.{verb}.{REPLAYS}", "replay")
        for verb in ("INFO", "CREATE", "UPDATE", "MSG.GET", "PURGE")
    ),
    may_publish("delete the stream of replays", f"{JS}.STREAM.DELETE.{REPLAYS}"),
    may_publish("delete a message of a replay", f"{JS}.STREAM.MSG.DELETE.{REPLAYS}"),
    may_publish("read replays past consumers", f"{JS}.DIRECT.GET.{REPLAYS}"),
    may_publish("list of consumers of replays", f"{JS}.CONSUMER.LIST.{REPLAYS}"),
    *(cell for user in ("crm", "siem") for cell in of_a_reader_of_replays(user)),
    # ---- discovery
    may_publish("ask who is there", "$SRV.PING", "ops"),
    may_publish("ask one for figures", "$SRV.STATS.switchboard-connections", "ops"),
    may_hear("be there", "$SRV.PING", *SERVICES),
    *(may_hear(f"be switchboard-{one}", f"$SRV.INFO.switchboard-{one}.x", one) for one in SERVICES),
    # ---- the server, and anything else
    may_publish("the system", "$SYS.REQ.SERVER.PING"),
    may_hear("events of the system", "$SYS.>"),
    may_publish("anything else", "somebody.elses"),
    may_hear("hear anything else", "somebody.elses"),
)  # fmt: skip


@pytest.fixture(scope="module")
def guarded_nats() -> Iterator[RunningGuardedNats]:
    with new_folder() as folder:
        server = RunningGuardedNats(folder, Secrets(folder / "secrets"))
        yield server
        server.kill()


async def let(client: Client, cell: Cell, refusals: list[str]) -> bool:
    """Whether the server let it happen."""
    before = len(refusals)
    if cell.queue is None:
        # A malformed request: whatever it might do, it does not.
        await client.publish(cell.subject, b"?", reply=f"{client.new_inbox().rpartition('.')[0]}.none")
    else:
        await client.subscribe(cell.subject, queue=cell.queue)
    await flush_confirmed(client)
    assert not client.is_closed
    return len(refusals) == before


@pytest.mark.parametrize("user", USERS)
async def test_a_user_may_do_what_is_listed_and_nothing_else(user: str, guarded_nats: RunningGuardedNats) -> None:
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        assert "permissions violation" in str(error).lower(), error
        refusals.append(str(error))

    async with guarded_nats.connected_as(user, error_cb=note) as wire:
        found = {cell.what for cell in MATRIX if await let(wire.client, cell, refusals)}
    allowed = {cell.what for cell in MATRIX if user in cell.users}
    print(f"\n{user}: {len(allowed)} of {len(MATRIX)} allowed, {len(refusals)} refused")
    assert (found - allowed, allowed - found) == (set(), set())


def test_each_class_of_subjects_is_in_the_matrix_once_and_each_user_may_do_something() -> None:
    names = [cell.what for cell in MATRIX]
    assert len(set(names)) == len(names)
    assert frozenset().union(*(cell.users for cell in MATRIX)) == set(USERS)


async def test_who_has_no_key_of_the_list_does_not_come_in(guarded_nats: RunningGuardedNats, folder: Path) -> None:
    url, strangers = guarded_nats.url, Secrets(folder / "others").seed("relay")
    assert await greeted(url, guarded_nats.seed("relay")) == b"PONG"
    assert await greeted(url, None) == b"-ERR 'Authorization Violation'"
    assert await greeted(url, strangers) == b"-ERR 'Authorization Violation'"


async def test_a_caller_of_one_account_makes_no_consumer_of_another_accounts_events(
    guarded_nats: RunningGuardedNats,
) -> None:
    """The subject of the request names the filter; one that says otherwise inside is refused by JetStream."""
    subject = f"{JS}.CONSUMER.CREATE.{STREAM}.crm.switchboard.event.v1.acme.>"
    other = ["switchboard.event.v1.other.>"]
    wishes = [{"filter_subject": other[0]}, {"filter_subjects": other}, {}]
    async with guarded_nats.connected_as("relay") as relay, guarded_nats.connected_as("crm") as crm:
        await event_stream.declare_stream(relay.client.jetstream())
        for wish in wishes:
            config = ConsumerConfig(name="crm", **wish)  # type: ignore[arg-type]  # each its own type
            reply = await crm.client.request(subject, asked(config), timeout=10)
            assert "filter" in json.loads(reply.data)["error"]["description"]
        made = await crm.client.jetstream().add_consumer(
            STREAM, ConsumerConfig(name="crm", filter_subject="switchboard.event.v1.acme.>")
        )
        assert made.config.filter_subject == "switchboard.event.v1.acme.>"


def asked(config: ConsumerConfig) -> bytes:
    return json.dumps({"stream_name": STREAM, "config": config.as_dict()}).encode()


def test_the_server_itself_finds_nothing_wrong_with_the_configuration(guarded_nats: RunningGuardedNats) -> None:
    with new_folder() as folder:
        server = GuardedNats(folder, Secrets(folder / "secrets"))
        server.prepare()
        program = server.program().argv
        configuration = program[program.index("-c") + 1]
        done = subprocess.run([program[0], "-t", "-c", configuration], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "is valid" in done.stderr


def test_every_user_of_the_configuration_is_tried() -> None:
    text = (DEPLOY / "nats" / "users.conf").read_text()
    keys = {line.split("$")[1].strip(" }]") for line in text.splitlines() if "nkey: $" in line}
    assert {key.lower().replace("_", "-") for key in keys} == {*USERS, "system"}


async def test_the_system_user_sees_the_server_and_no_message(guarded_nats: RunningGuardedNats) -> None:
    async with guarded_nats.connected_as("system") as system, guarded_nats.connected_as("ops") as ops:
        heard = await system.client.subscribe("switchboard.>")
        await flush_confirmed(system.client)
        await ops.client.publish("switchboard.command.v1.acme.Nothing", b"{}")
        await flush_confirmed(ops.client)
        answer = await system.client.request("$SYS.REQ.SERVER.PING", timeout=5)
        assert b"switchboard" in answer.data
        with pytest.raises(nats.errors.TimeoutError):
            await heard.next_msg(timeout=0.2)
