"""A replay is a range of the log as it went out live, framed, on subjects of its own."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from services.ops.terminal import DONE, NO_ANSWER, REFUSED, USAGE
from shared.language import subjects
from shared.wire.connection import connect_to_nats
from tests import command_line
from tests.ops.replay.replaying import (
    Log,
    Servers,
    at_time,
    messages_of,
    of_type,
    positions,
    row_of_account,
    stored,
    taken_apart,
)
from tests.real_servers import RunningNats, free_port
from tests.relay.test_relay import all_told, relaying, told

FAST = ("--speed", "100000/s")


async def replayed(servers: Servers, name: str, *words: str) -> Any:
    await servers.done("start", name, *FAST, *words)
    return taken_apart(await servers.published(name))


async def test_bodies_ids_and_headers_are_those_of_the_live_stream_which_stays_as_it_is(servers: Servers) -> None:
    servers.log.append_new(20)
    servers.log.append(of_type(stored("painted"), "switchboard.InboxPainted.v7"))
    async with relaying(servers.nats, servers.log.url):
        await all_told(servers.nats, servers.log)
    live = await told(servers.nats)
    seen = await replayed(servers, "hist")
    assert await told(servers.nats) == live
    assert [one.body for one in seen.events] == [one.body for one in live]
    for again, before in zip(seen.events, live, strict=True):
        own = {name: value for name, value in before.headers.items() if not name.startswith("Nats-")}
        assert own.items() <= again.headers.items()
        added = {name for name in again.headers.keys() - own.keys() if not name.startswith("Nats-")}
        assert added - {"ce-replayunknown"} == {
            "ce-replayid", "ce-replayfrom", "ce-replayto", "ce-replaysequence", "ce-replaydigest",
            "Switchboard-Replay-Run",
        }  # fmt: skip
        assert again.subject == before.subject.replace("switchboard.event.v1", "switchboard.replay.v1.hist")
    assert (seen.ended["complete"], seen.ended["unknown"], seen.ended["unreadable"]) == (True, 1, 0)


async def test_nothing_is_published_outside_of_the_replay(servers: Servers) -> None:
    servers.log.append_new(3)
    await replayed(servers, "one")
    await replayed(servers, "two", "--forced")
    assert {one.subject.split(".")[3] for one in await servers.published()} == {"one", "two"}
    assert await messages_of(servers.nats, subjects.EVENT_STREAM, subjects.EVENTS) == []


@pytest.mark.parametrize(
    ("range_", "expected", "bounds"),
    [
        ((), [1, 2, 3, 4, 5], (1, 5)),
        (("--from", "2", "--to", "4"), [2, 3, 4], (2, 4)),
        (("--from", "3", "--to", "3"), [3], (3, 3)),
        (("--to", "0"), [], (1, 0)),
        (("--from", "3", "--to", "2"), [], (3, 2)),
        (("--from", "6"), [], (6, 5)),
        (("--from", "5"), [5], (5, 5)),
        (("--from", "2026-01-02T00:00:00Z", "--to", "2026-01-04 01:00:00+01:00"), [2, 3, 4], (2, 4)),
        (("--from", "2026-01-02T00:00:00.000001Z", "--to", "2026-01-02T23:59:59Z"), [], (3, 2)),
        (("--to", "2025-12-31T00:00:00Z"), [], (1, 0)),
    ],
)
async def test_ranges(range_: tuple[str, ...], expected: list[int], bounds: tuple[int, int], servers: Servers) -> None:
    servers.log.append(*(at_time(stored(f"a{day}"), f"2026-01-0{day}T00:00:00Z") for day in range(1, 6)))
    seen = await replayed(servers, "hist", *range_)
    assert positions(seen.events) == expected
    assert (seen.started["from"], seen.started["to"]) == bounds
    assert {(one.headers["ce-replayfrom"], one.headers["ce-replayto"]) for one in await servers.published()} == {
        tuple(map(str, bounds))
    }


async def test_a_log_without_events_has_an_empty_replay(servers: Servers) -> None:
    assert positions((await replayed(servers, "hist")).events) == []


async def test_filters_leave_out_accounts_and_types_and_the_frames_are_of_the_account(servers: Servers) -> None:
    servers.log.append(
        stored("a"),
        row_of_account("globex", "b"),
        of_type(stored("c"), "switchboard.InboxPainted.v7"),
        row_of_account("globex", "d"),
        of_type(stored("e"), "switchboard.TeamConnected.v2"),
    )
    assert positions((await replayed(servers, "both", "--account", "acme", "--type", "TeamConnected")).events) == [1, 5]
    seen = await replayed(servers, "named", "--type", "switchboard.InboxPainted.v7", "--type", "UserAdded")
    assert positions(seen.events) == [3]
    assert seen.started["types"] == ["switchboard.InboxPainted.v7", "UserAdded"]
    await replayed(servers, "globex", "--account", "globex")
    of_globex = await messages_of(servers.nats, subjects.REPLAY_STREAM, "switchboard.replay.v1.*.globex.>")
    assert [one.subject.rpartition(".")[2] for one in of_globex] == [
        "ReplayStarted", "TeamConnected", "TeamConnected", "ReplayEnded",
    ]  # fmt: skip


async def test_what_is_not_an_event_is_published_and_shown(servers: Servers) -> None:
    servers.log.append(stored("a"), (*stored("b")[:3], b"\xff"), of_type(stored("c"), "switchboard.InboxPainted.v7"))
    seen = await replayed(servers, "hist")
    assert [one.body for one in seen.events][1] == b"\xff"
    assert (seen.ended["unknown"], seen.ended["unreadable"]) == (1, 1)
    shown = await servers.done("show", "hist")
    assert "1 of a type that this release does not know" in shown
    assert "1 whose stored bytes are not an event" in shown


async def test_forced_ids_are_new_and_the_digest_is_over_them(servers: Servers) -> None:
    servers.log.append_new(3)
    seen = await replayed(servers, "hist", "--forced")
    assert [one.headers["ce-replayof"] for one in seen.events] == servers.log.ids()
    assert {one.headers["ce-id"] for one in seen.events}.isdisjoint(servers.log.ids())
    assert len({one.headers["ce-id"] for one in seen.events}) == 3


async def test_the_name_may_be_given_as_the_suffix_of_the_subject(servers: Servers) -> None:
    servers.log.append_new(1)
    words = ("--from", "1", "--to", "1", "--to-subject-suffix", "crm", "--speed", "4x", "--reason", "a new consumer")
    assert "Finished: 1 message on switchboard.replay.v1.crm.>" in await servers.done("start", *words)
    seen = taken_apart(await servers.published("crm"))
    assert (seen.started["speed"], seen.started["reason"]) == ("4x", "a new consumer")
    assert seen.events[0].headers["ce-replayreason"] == "a%20new%20consumer"


# ---- names, and what is known about a replay


async def test_a_name_is_taken_until_the_replay_is_removed(servers: Servers) -> None:
    servers.log.append_new(2)
    await replayed(servers, "hist")
    ended = await servers.replay("start", "hist", "--json")
    assert ended.code == REFUSED
    assert "There is a replay hist already" in json.loads(ended.output)["refused"]
    assert await servers.done("remove", "hist", "--yes") == "Removed hist: 2 messages.\n"
    assert await servers.published() == []
    before = (await replayed(servers, "hist")).started["replay_id"]
    assert before == (await servers.fields("show", "hist"))["replay_id"]


async def test_all_replays_are_listed_with_their_space(servers: Servers) -> None:
    assert await servers.done("list") == "There is no replay.\n"
    servers.log.append_new(2)
    await replayed(servers, "b", "--to", "0")
    await replayed(servers, "a")
    listed = await servers.done("list")
    assert re.search(r"^a +finished +1 to 2 +2 +2 +100000/s$", listed, re.MULTILINE)
    assert re.search(r"^b +finished +empty +0 +0 +100000/s$", listed, re.MULTILINE)
    assert re.search(r"^6 messages, 0\.0 of 2,048 MiB; ", listed, re.MULTILINE)
    found = await servers.fields("list")
    assert [(one["replay"], one["count"]) for one in found["replays"]] == [("a", 2), ("b", 0)]
    assert (found["messages"], found["max_bytes"]) == (6, 2 * 2**30)


async def test_one_is_shown_with_everything_about_it(servers: Servers) -> None:
    servers.log.append_new(1)
    words = ("--account", "acme", "--type", "TeamConnected", "--reason", "[bold]why[/]", "--actor", "service:audit.zoe")
    seen = await replayed(servers, "hist", *words)
    shown = await servers.done("show", "hist")
    for text in (
        "hist, finished", seen.started["replay_id"], "position 1", "account acme; TeamConnected", "100000/s",
        "[bold]why[/]", "service:audit.zoe", seen.ended["digest"],
    ):  # fmt: skip
        assert text in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("verb", ["show", "pause", "resume", "stop", "remove"])
async def test_a_verb_for_a_replay_that_is_not_there_says_so(verb: str, servers: Servers) -> None:
    words = ("--yes",) if verb in ("stop", "remove") else ()
    for before in (False, True):
        if before:
            await replayed(servers, "other")
        ended = await servers.replay(verb, "hist", *words)
        assert (ended.code, "There is no replay hist" in ended.errors) == (REFUSED, True), ended


@pytest.mark.parametrize("verb", ["pause", "resume", "stop"])
async def test_one_that_has_ended_stays_so(verb: str, servers: Servers) -> None:
    await replayed(servers, "hist")
    before = await servers.published()
    ended = await servers.replay(verb, "hist", *(("--yes",) if verb == "stop" else ()))
    assert (ended.code, "is finished" in ended.errors) == (REFUSED, True), ended
    assert await servers.published() == before


# ---- what cannot be done


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "give the replay one NAME"),
        (("x", "--to-subject-suffix", "y"), "give the replay one NAME"),
        (("a.b",), "'a.b' is not the name of a replay"),
        (("x", "--account", "a.b"), "'a.b' is not the name of an account"),
        (("x", "--type", "TeamConected"), "Did you mean TeamConnected"),
        (("x", "--speed", "fast"), "such as 500/s, 0.5/s, original, 4x"),
        (("x", "--reason", "two\nlines"), "a reason is one line of 1 to 200 characters"),
        (("x", "--from", "4"), "--from is position 4; the log has positions 1 to 2"),
        (("x", "--from", "0"), "--from is position 0"),
        (("x", "--to", "3"), "the log ends at position 2"),
        (("x", "--from", "2", "--to", "0"), "The range ends before it begins"),
        (("x", "--to", "2099-01-01T00:00:00Z"), "is later than now"),
        (("x", "--from", "yesterday"), "yesterday is not a moment"),
        (("x", "--from", "2026-02-30T00:00:00Z"), "is not a moment"),
        (("x", "--actor", "nobody knows"), "'nobody knows' is not a user"),
    ],
)
async def test_wrong_usage_publishes_nothing(words: tuple[str, ...], message: str, servers: Servers) -> None:
    servers.log.append_new(2)
    ended = await servers.replay("start", *words, COLUMNS="300")
    assert (ended.code, message in ended.errors) == (USAGE, True), ended
    assert await servers.published() == []


async def test_a_full_stream_refuses_says_what_to_do_and_the_replay_is_resumed_when_there_is_space(
    servers: Servers,
) -> None:
    servers.log.append(*(stored(f"a{number}", body="x" * 200_000) for number in range(9)))
    small = {"SWITCHBOARD_REPLAY_MAX_BYTES": str(2**20)}
    ended = await servers.replay("start", "hist", *FAST, **small)
    assert (ended.code, "SWITCHBOARD_REPLAY_MAX_BYTES" in ended.errors) == (REFUSED, True), ended
    assert (await servers.fields("show", "hist"))["status"] == "paused"
    kept = positions((await servers.published("hist"))[1:])
    assert kept == list(range(1, len(kept) + 1))
    assert 0 < len(kept) < 9
    await servers.replay("start", "other", "--to", "0")
    assert (await servers.replay("resume", "hist", *FAST)).code == DONE
    assert positions(taken_apart(await servers.published("hist")).events) == list(range(1, 10))


async def test_messages_of_others_are_no_replay(servers: Servers) -> None:
    servers.log.append_new(1)
    await replayed(servers, "hist")
    client = await connect_to_nats(servers.nats, "test")
    await client.jetstream().publish("switchboard.replay.v1.other.@all.replay.ReplayStarted", b"hello")
    await client.close()
    for verb in (("show", "other"), ("resume", "other"), ("list",)):
        ended = await servers.replay(*verb)
        assert (ended.code, "The messages of other are not those of a replay" in ended.errors) == (REFUSED, True), ended


async def test_an_event_that_is_too_large_for_nats_is_named(database: str, folder: Path) -> None:
    nats = RunningNats(folder, "max_payload: 20000")
    servers = Servers(nats.url, Log(database))
    servers.log.append(stored("a"), stored("b", body="x" * 30_000))
    ended = await servers.replay("start", "hist", *FAST)
    nats.kill()
    assert (ended.code, "The event at position 2 takes 3" in ended.errors) == (REFUSED, True), ended


async def test_servers_that_are_away_are_told_apart(servers: Servers) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    for verb in (("start", "x"), ("list",), ("show", "x")):
        ended = await servers.replay(*verb, "--url", f"nats://{nowhere}")
        assert (ended.code, "No NATS at" in ended.errors) == (NO_ANSWER, True), ended
    ended = await servers.replay("start", "x", "--postgres", f"postgresql://{nowhere}/x", "--json")
    assert ended.code == NO_ANSWER
    assert "No PostgreSQL" in json.loads(ended.output)["no_answer"]


async def test_names_of_events_are_completed() -> None:
    line = "switchboard audit replay start x --type TeamC"
    settings = {"_SWITCHBOARD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "6"}
    assert "TeamConnected" in (await command_line.run(environment=settings)).output.split()
