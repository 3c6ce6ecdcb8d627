"""Questions as of a moment, over a real bus: the answer is the one that was given live then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from services.inbox_views.app import INBOX_VIEWS
from services.routing.app import ROUTING
from shared.language import events as e
from shared.process import clock
from tests.audit.random_histories import Chance
from tests.inbox_views.stories import Bus, Story, beginning, eventually, on_bus, personal, service_running, time_at
from tests.projections.running_views import write_log
from tests.real_servers import RunningNats

BOB = "bob@acme.example"
SERVICE = "service:test"
Answer = tuple[str, dict[str, Any], Any, str | None]
NOT_NOW = {"BUSY", "VIEW_BEHIND", "HISTORY_BEHIND"}


@asynccontextmanager
async def both_views(nats: RunningNats, database: str) -> AsyncIterator[Bus]:
    async with (
        on_bus(nats.url) as bus,
        service_running(INBOX_VIEWS, nats.url, database),
        service_running(ROUTING, nats.url, database),
    ):
        yield bus


async def add(bus: Bus, database: str, story: Story, *events: e.Event) -> int:
    """Tell these events and wait until both views have them; return the position of the last one."""
    before = len(story.recorded)
    story.tell(*events)
    await publish(bus, database, story, before)
    return story.end


async def publish(bus: Bus, database: str, story: Story, first: int = 0) -> None:
    await write_log(database, story.recorded[first:])
    await bus.publish(story.recorded[first:])
    end = story.recorded[-1].position
    await eventually(lambda: answered(bus, "Usage", at_least=end))
    await eventually(lambda: answered(bus, "Resolve", at_least=end, recipients=[]))
    if first == 0:
        # A history is made soon after the live rows.
        await eventually(lambda: answered(bus, "Usage", as_of=end))
        await eventually(lambda: answered(bus, "Resolve", as_of=end, recipients=[]))


async def answered(bus: Bus, question: str, **fields: Any) -> bool:
    told = await bus.ask(question, actor=SERVICE, wait_ms=1_000, **fields)
    return told.error is None or told.error[1] not in NOT_NOW


# ---- the same answer as live


def questions(position: int) -> list[tuple[str, dict[str, Any]]]:
    """Every question, some of them about another thing at each position."""
    user = ("ana", "bob", "cleo", "dora")[position % 4]
    address = ("ann", "ben", "cat", "dan")[position % 4] + "@acme.example"
    inbox = ("inbox", "sales", "help")[position % 3]
    recipients = [f"{name}@acme.example" for name in ("ann", "ben", "cat", "dan", "ann+x")]
    return [
        ("Address", {"address": address}), ("Addresses", {}), ("Addresses", {"inbox": inbox}), ("Inboxes", {}),
        ("Inbox", {"inbox": inbox}), ("Identities", {"user": user}), ("User", {"user": user}), ("Users", {}),
        ("Teams", {}), ("Account", {}), ("Orphans", {}), ("Usage", {}), ("RemovalImpact", {"user": user}),
        ("Routing", {"inbox": inbox}), ("Resolve", {"recipients": recipients, "sender": "jo@client.example"}),
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_answer_as_of_a_position_is_the_one_given_live_there(
    seed: int, private_nats: RunningNats, database: str
) -> None:
    history = Chance(seed).story(45).recorded
    story, live = Story("acme"), dict[int, list[Any]]()
    async with both_views(private_nats, database) as bus:
        for one in history:
            story.recorded.append(one)
            await publish(bus, database, story, len(story.recorded) - 1)
            live[one.position] = await answers(bus, one.position, SERVICE, {"at_least": one.position})
        administrator = await an_administrator(bus)
        for position, told in live.items():
            for actor in (SERVICE, administrator):
                assert await answers(bus, position, actor, {"as_of": position}) == told, (position, actor)


async def answers(bus: Bus, position: int, actor: str, moment: dict[str, Any]) -> list[Answer]:
    """Return each question with its answer; a busy service is asked again."""
    told = await replies(bus, position, actor, moment)
    while NOT_NOW.intersection(error for *_, error in told):
        await asyncio.sleep(0.1)
        told = await replies(bus, position, actor, moment)
    return told


async def replies(bus: Bus, position: int, actor: str, moment: dict[str, Any]) -> list[Answer]:
    asked = questions(position)
    told = await asyncio.gather(*(bus.ask(name, actor=actor, wait_ms=2_000, **fields, **moment)
                                  for name, fields in asked))  # fmt: skip
    return [
        (name, fields, one.body if one.error is None else None, one.error and one.error[1])
        for (name, fields), one in zip(asked, told, strict=True)
    ]


async def an_administrator(bus: Bus) -> str:
    """One of now; the service where none is left."""
    users = (await bus.ask("Users", actor=SERVICE)).result
    return next(
        (
            one["user"]
            for one in users
            if one["status"] == "active" and {"account_access", "super_admin"}.intersection(one["permissions"])
        ),
        SERVICE,
    )


# ---- moments


async def test_a_time_is_the_last_position_up_to_which_no_event_is_later(
    private_nats: RunningNats, database: str
) -> None:
    """The clock of one writer runs an hour ahead at position 6."""
    story = beginning().tell(personal(BOB, "bob"), e.FromNameChanged(address=BOB, from_name="one"))
    recorded = story.recorded[5]
    ahead = (instant(5) + timedelta(hours=1)).isoformat()
    story.recorded[5] = recorded._replace(time=ahead)
    story.tell(e.FromNameChanged(address=BOB, from_name="two"))
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)

        async def position(moment: str) -> Any:
            told = await bus.ask("Address", actor=SERVICE, address=BOB, as_of=moment, wait_ms=10_000)
            return told.body["position"] if told.error is None else told.error[1]

        assert await position(time_at(1)) == 1
        assert await position((instant(1) - timedelta(microseconds=1)).isoformat()) == "AS_OF_TOO_EARLY"
        assert await position((instant(4) + timedelta(microseconds=1)).isoformat()) == 4
        assert await position(time_at(5)) == 5
        assert await position(time_at(7)) == 5
        assert await position(time_at(8)) == 5
        assert await position((instant(5) + timedelta(minutes=59)).isoformat()) == 5
        assert await position(ahead) == story.end
        assert await position((instant(5) + timedelta(hours=3)).isoformat()) == story.end
        assert await position(clock.now()) == story.end
        assert (
            await position((datetime.fromisoformat(clock.now()) + timedelta(hours=1)).isoformat()) == "AS_OF_TOO_LATE"
        )
        assert await position(time_at(5).replace("Z", "+00:00")) == 5
        local = instant(5).astimezone().isoformat()
        assert await position(local) == 5


def instant(position: int) -> datetime:
    return datetime.fromisoformat(time_at(position))


async def test_an_hour_that_a_clock_shows_twice_is_told_apart_by_its_offset(
    private_nats: RunningNats, database: str
) -> None:
    """On 25 October 2026 the clocks of Berlin showed 02:30 at +02:00, and again an hour later at +01:00."""
    story = beginning().tell(personal(BOB, "bob"))
    times = {**{one.position: "2026-10-25T00:00:00Z" for one in story.recorded}, story.end: "2026-10-25T01:00:00Z"}
    story.recorded[:] = [one._replace(time=times[one.position]) for one in story.recorded]
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        told = [
            (await bus.ask("Address", address=BOB, as_of=moment, wait_ms=10_000)).result["state"]
            for moment in ("2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00")
        ]
    assert told == ["free", "connected"]


@pytest.mark.parametrize(
    "moment", ["2026-03-03T09:00:00", "2026-03-03", "yesterday", "2026-02-30T09:00:00Z", "5", 1.5, 2**63]
)
async def test_no_moment_is_refused_with_an_example(moment: Any, private_nats: RunningNats, database: str) -> None:
    async with both_views(private_nats, database) as bus:
        told = await bus.ask("Usage", actor=SERVICE, as_of=moment)
    assert told.error == (400, "QUERY_INVALID")
    (problem,) = told.body["details"]["errors"]
    assert problem["field"] == "as_of"
    assert "2026-03-03T09:00:00+01:00" in problem["message"]


async def test_a_moment_outside_the_log_names_its_first_and_last(private_nats: RunningNats, database: str) -> None:
    story = beginning()
    ends = {
        "first": {"position": 1, "time": time_at(1)},
        "last": {"position": story.end, "time": time_at(story.end)},
    }
    moments = {
        "AS_OF_TOO_EARLY": (0, -3, -(2**63), "1999-01-01T00:00:00Z"),
        "AS_OF_TOO_LATE": (story.end + 1, 2**63 - 1, "2999-01-01T00:00:00Z"),
    }
    async with both_views(private_nats, database) as bus:
        empty = await bus.ask("Usage", actor=SERVICE, as_of=1)
        await publish(bus, database, story)
        for name, fields in questions(story.end):
            for error, moment in ((error, moment) for error, listed in moments.items() for moment in listed):
                told = await bus.ask(name, actor=SERVICE, as_of=moment, **fields)
                assert told.error == (422, error), (name, moment)
                assert told.body["details"] == ends
                assert "Ask as of a moment between details.first and details.last." in told.body["message"]
    assert empty.error == (422, "AS_OF_TOO_EARLY")
    assert empty.body["details"] == {"first": None, "last": None}


# ---- a history that is not there


async def test_a_history_that_is_behind_says_how_far_it_is(private_nats: RunningNats, database: str) -> None:
    story = beginning()
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        assert (await bus.ask("Usage", as_of=story.end, wait_ms=10_000)).error is None
        async with stopped(database):
            await add(bus, database, story, personal(BOB, "bob"))
            behind = await bus.ask("Address", address=BOB, as_of=story.end, wait_ms=100)
            assert behind.error == (503, "HISTORY_BEHIND")
            assert behind.body["details"].items() >= {
                ("position", story.end - 1), ("as_of", story.end), ("log_end", story.end)
            }  # fmt: skip
            assert (await bus.ask("Usage", as_of=story.end - 1)).error is None
            assert (await bus.ask("Address", address=BOB)).result["state"] == "connected"
        await eventually(lambda: follows(bus, story.end))
        told = await bus.ask("Address", address=BOB, as_of=story.end)
    assert told.result["state"] == "connected"


@asynccontextmanager
async def stopped(database: str) -> AsyncIterator[None]:
    """The followers cannot commit while the block runs."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute("LOCK TABLE inbox_views_history.view IN EXCLUSIVE MODE")
        yield


async def test_a_position_that_a_restored_log_lacks_is_no_longer_waited_for(
    private_nats: RunningNats, database: str
) -> None:
    story = beginning().tell(personal(BOB, "bob"), e.FromNameChanged(address=BOB, from_name="one"))
    lost = story.end
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        async with await psycopg.AsyncConnection.connect(database) as connection:
            await connection.execute("DELETE FROM connections.events WHERE notification_id > %s", (lost - 2,))
        errors = list[Any]()

        async def refused() -> bool:
            errors.append((await bus.ask("Address", actor=SERVICE, address=BOB, as_of=lost, wait_ms=100)).error)
            return bool(errors[-1] == (422, "AS_OF_TOO_LATE"))

        await eventually(refused)
    # Until the follower looks, the history is the former one.
    assert set(errors) <= {None, (503, "BUSY"), (422, "AS_OF_TOO_LATE")}


# ---- who may ask


async def test_who_may_ask_is_judged_by_now(private_nats: RunningNats, database: str) -> None:
    story = beginning().tell(
        e.UserAdded(user="dan", name="Dan", permissions=("account_access",)),
        e.InboxCreated(inbox="sales", name="Sales", access="members", members=("bob",)),
        personal(BOB, "bob"),
    )
    then = story.end
    story.tell(
        e.UserAdded(user="eve", name="Eve", permissions=("account_access",)),
        e.PermissionsChanged(user="dan", permissions=()),
        e.InboxAccessChanged(inbox="sales", access="members", members=("cleo",)),
    )
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)

        async def told(actor: str, name: str = "Address", **fields: Any) -> Any:
            reply = await bus.ask(name, actor=actor, as_of=then, wait_ms=10_000, **(fields or {"address": BOB}))
            return reply.error[1] if reply.error else reply.result

        # An administrator of now who was not there then, and one of then who is none now.
        assert (await told("eve"))["owner"] == "bob"
        assert await told("dan") == {"kind": "personal", "advice": "ask an administrator"}
        assert await told("dan", "Usage", limit=None) == "PERMISSION_MISSING"
        # A member of then, and one of now.
        assert (await told("bob", "Inbox", inbox="sales"))["inbox"] == "sales"
        assert await told("cleo", "Inbox", inbox="sales") == "PERMISSION_MISSING"
        # Somebody who is away now, and a new person under the id of a former one.
        await add(bus, database, story, e.UserDeactivated(user="bob"))
        assert await told("bob") == "PERMISSION_MISSING"
        await add(bus, database, story, e.UserRemoved(user="bob", policy="orphan"))
        await add(bus, database, story, e.UserAdded(user="bob", name="Another Bob", permissions=()))
        await eventually(lambda: follows(bus, story.end))
        assert await told("bob") == "PERMISSION_MISSING"
        assert (await bus.ask("Address", actor="bob", address=BOB, as_of=story.end)).error is None


async def follows(bus: Bus, position: int) -> bool:
    return (await bus.ask("Usage", actor=SERVICE, as_of=position, wait_ms=100)).error is None


async def test_an_inbox_without_readers_then_is_not_read_by_the_administrator_of_now(
    private_nats: RunningNats, database: str
) -> None:
    story = beginning().tell(
        e.InboxCreated(inbox="sales", name="Sales", access="members", members=("dan",)),
        e.TeamCreated(team="night", name="Night", members=("eve",)),
    )
    then = story.end
    story.tell(
        e.UserAdded(user="dan", name="Dan", permissions=("account_access",)),
    )
    async with both_views(private_nats, database) as bus:
        await publish(bus, database, story)
        told = await bus.ask("Inbox", actor="dan", inbox="sales", as_of=then, wait_ms=10_000)
    assert told.result["readers"] == []


# ---- dead letters


async def test_a_dead_letter_counts_from_its_position_on(private_nats: RunningNats, database: str) -> None:
    story = beginning().tell(personal(BOB, "bob"))
    before = story.end
    story.tell(e.FromNameChanged(address=BOB, from_name="one"))
    async with both_views(private_nats, database) as bus:
        await write_log(database, story.recorded, {story.end: "switchboard.Unheard.v9"})
        await eventually(lambda: follows(bus, story.end))
        told = [
            (await bus.ask("Address", actor=SERVICE, address=BOB, as_of=position)).body
            for position in (before, story.end)
        ]
    assert "incomplete_since" not in told[0]
    assert told[1]["incomplete_since"] == story.end
