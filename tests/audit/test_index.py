"""The index has every event and attempt under each thing that it concerns, whatever happens to its follower."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from services.audit.domain.things import FORMER_AND_NEW, LISTS, NAMES
from services.audit.index.follower import IndexFollower
from services.audit.index.schema import LIVE
from shared.language import commands as c
from shared.language.events import EVENTS
from shared.projections.history.following import FollowerLimits
from tests.audit.past import Past, past_in, rows, run
from tests.audit.plain_index import Row, indexed_rows, plain_index
from tests.connections.anything import SERVICE, USERS
from tests.inbox_views.stories import eventually

FAST = FollowerLimits(batch=100, look_seconds=0.02, check_seconds=0.1, rest_times=0.0)


def indexed(url: str, schema: str = LIVE) -> set[Row]:
    found = indexed_rows(url, schema)
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        yield made


@asynccontextmanager
async def following(url: str, limits: FollowerLimits = FAST) -> AsyncIterator[IndexFollower]:
    follower = IndexFollower(url, limits)
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def caught_up(url: str) -> None:
    """The live index has all events and entries."""

    async def there() -> bool:
        found = rows(url, f"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{LIVE}')")
        if not found[0][0]:
            return False
        return rows(url, f"SELECT position, ordinal FROM {LIVE}.checkpoint") == rows(
            url,
            "SELECT (SELECT coalesce(max(notification_id), 0) FROM connections.events),"
            " (SELECT coalesce(max(ordinal), 0) FROM connections.journal)",
        )

    await eventually(there)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("batch", [7, 100])
async def test_it_equals_a_plain_recomputation(past: Past, seed: int, batch: int) -> None:
    for account in ("acme", "zenith"):
        past.begin(account)
    past.live(seed, 250)
    async with following(past.url, FollowerLimits(batch=batch, look_seconds=0.02, rest_times=0.0)):
        await caught_up(past.url)
        past.live(seed + 1_000, 60)
        await caught_up(past.url)
    assert indexed(past.url) == plain_index(past.url)
    kinds = {row[1] for row in indexed(past.url)}
    assert kinds == {"account", "address", "inbox", "user", "team", "actor", "correlation"}


def test_every_field_of_an_event_names_a_thing_or_is_known_not_to() -> None:
    other = {
        "access", "availability", "canonical_form", "cause", "claimed_at", "clicks", "display", "entries", "font",
        "from_name", "kind", "log_replies", "name", "never_log", "note", "permissions", "plan", "policy", "provider",
        "provider_identity", "receive", "receiving", "reauthentication_required", "rule", "seat", "send", "sending",
        "signature", "since", "size", "tool", "tools", "track_clicks", "track_opens", "visibility_acknowledged",
    }  # fmt: skip
    for event in EVENTS.values():
        names = {*NAMES, *LISTS, *FORMER_AND_NEW.get(event, ())} | (
            {"from_", "to"} if "Converted" in event.__name__ else set()
        )
        assert set(event.model_fields) <= names | other, event


async def test_two_followers_write_it_once(past: Past) -> None:
    past.begin()
    async with following(past.url) as one, following(past.url) as other:
        await caught_up(past.url)
        past.live(1, 200, ("acme",))
        await caught_up(past.url)
        # Between two holders of the lease neither follows.
        await eventually(lambda: _is(lambda: one.follows != other.follows))
    assert indexed(past.url) == plain_index(past.url)


async def test_a_restored_log_is_indexed_from_its_start(past: Past) -> None:
    past.begin()
    past.live(2, 100, ("acme",))
    async with following(past.url) as follower:
        await caught_up(past.url)
        cut = rows(past.url, "SELECT max(notification_id) - 20 FROM connections.events")[0][0]
        restore(past.url, cut)
        await eventually(lambda: _is(lambda: follower.follows and indexed_or_none(past.url) == plain_index(past.url)))
    with past_in(past.url) as later:
        later.live(3, 60, ("acme",))
    async with following(past.url):
        await caught_up(past.url)
    assert indexed(past.url) == plain_index(past.url)


async def test_a_log_with_other_events_at_the_same_positions_is_noticed(past: Past) -> None:
    past.begin()
    past.live(4, 80, ("acme",))
    async with following(past.url):
        await caught_up(past.url)
    restore(past.url, 10)
    with past_in(past.url) as later:
        later.live(5, 200, ("acme",))
    async with following(past.url):
        await caught_up(past.url)
        await eventually(lambda: _is(lambda: indexed_or_none(past.url) == plain_index(past.url)))


async def test_only_a_journal_that_was_restored_is_noticed_too(past: Past) -> None:
    past.begin()
    past.message("ConnectTeam", {"actor": "user-1"})
    async with following(past.url):
        await caught_up(past.url)
    run(
        past.url,
        "UPDATE connections.journal SET entry = gen_random_uuid()"
        " WHERE ordinal = (SELECT max(ordinal) FROM connections.journal)",
    )
    run(past.url, f"UPDATE {LIVE}.entries SET position = position + 1000")
    async with following(past.url):
        await eventually(lambda: _is(lambda: indexed_or_none(past.url) == plain_index(past.url)))


async def test_a_follower_that_is_stopped_anywhere_leaves_an_index_to_go_on_with(past: Past) -> None:
    past.begin()
    past.live(6, 300, ("acme",))
    for milliseconds in range(5, 200, 15):
        async with following(past.url, FollowerLimits(batch=20, look_seconds=0.02, rest_times=0.0)):
            await asyncio.sleep(milliseconds / 1_000)
    async with following(past.url):
        await caught_up(past.url)
    assert indexed(past.url) == plain_index(past.url)


async def test_an_index_of_an_earlier_version_answers_until_the_new_one_is_filled(past: Past) -> None:
    past.begin()
    async with following(past.url):
        await caught_up(past.url)
    run(past.url, f"UPDATE {LIVE}.checkpoint SET version = version - 1")
    run(past.url, f"DELETE FROM {LIVE}.entries")
    past.live(7, 100, ("acme",))
    async with following(past.url):
        await caught_up(past.url)
    assert indexed(past.url) == plain_index(past.url)


async def test_an_index_of_a_later_version_is_left_alone(past: Past) -> None:
    past.begin()
    async with following(past.url):
        await caught_up(past.url)
    before = indexed(past.url)
    run(past.url, f"UPDATE {LIVE}.checkpoint SET version = version + 1")
    past.live(8, 50, ("acme",))
    async with following(past.url) as follower:
        await eventually(lambda: _is(lambda: "NewerIndexError" in (follower.last_error or "")))
    assert indexed(past.url) == before


async def test_clocks_that_ran_back_are_kept_as_runs(past: Past) -> None:
    past.begin()
    first, second, third = (past.give(c.AssignSeat(actor=SERVICE, user=user))[0] for user in USERS[:3])
    for reply, time in ((first, "2026-12-01T10:00:00.000Z"), (second, "2026-12-01T09:00:00.000Z")):
        set_time(past.url, reply["position"], time)
    set_time(past.url, third["position"], "2026-12-01T09:59:58.500Z")
    async with following(past.url, FollowerLimits(batch=1, look_seconds=0.02, rest_times=0.0)):
        await caught_up(past.url)
    found = rows(past.url, f"SELECT position, until, events, milliseconds FROM {LIVE}.clock_runs")
    assert found == [(second["position"], third["position"], 2, 3_600_000)]


def set_time(url: str, position: int, time: str) -> None:
    change = (
        f'convert_to(regexp_replace(convert_from(state, \'UTF8\'), \'"time":"[^"]*"\', \'"time":"{time}"\'), \'UTF8\')'
    )
    run(url, f"UPDATE connections.events SET state = {change} WHERE notification_id = {position}")


async def _is(holds: Callable[[], Any]) -> Any:
    return holds()


def indexed_or_none(url: str) -> set[Row] | None:
    try:
        return indexed(url)
    except Exception:  # noqa: BLE001  it is being made
        return None


def restore(url: str, position: int) -> None:
    """The log as a backup had it."""
    run(url, f"DELETE FROM connections.journal WHERE log_position > {position} OR position > {position}")
    run(url, f"DELETE FROM connections.events WHERE notification_id > {position}")
    run(url, f"DELETE FROM connections.commits WHERE position > {position}")
    run(url, f"DELETE FROM connections.memberships WHERE position > {position}")
