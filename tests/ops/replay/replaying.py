"""Logs to replay, replays as their consumers see them, and the verbs of `switchboard audit replay`."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nats.js.errors import NotFoundError

from shared.language import subjects
from shared.wire.connection import connect_to_nats
from tests import command_line
from tests.command_line import Ended
from tests.relay.test_relay import Log, Row, Told, state_of, stored

START, END = "switchboard.ReplayStarted.v1", "switchboard.ReplayEnded.v1"


class Servers(NamedTuple):
    """A NATS, and a log in a database of its own."""

    nats: str
    log: Log

    async def replay(self, *words: str, **settings: str) -> Ended:
        """`switchboard audit replay …`."""
        return await command_line.run("audit", "replay", *words, environment=self.environment | settings)

    @property
    def environment(self) -> dict[str, str]:
        return {"SWITCHBOARD_NATS_URL": self.nats, "SWITCHBOARD_POSTGRES_URL": self.log.url, "COLUMNS": "80"}

    async def done(self, *words: str) -> str:
        ended = await self.replay(*words)
        assert ended.code == 0, ended
        return ended.output

    async def fields(self, *words: str) -> dict[str, Any]:
        """What a verb prints as JSON, whatever its exit code is."""
        found: dict[str, Any] = json.loads((await self.replay(*words, "--json")).output)
        return found

    async def published(self, name: str = "*") -> list[Told]:
        return await messages_of(self.nats, subjects.REPLAY_STREAM, f"switchboard.replay.v1.{name}.>")


async def messages_of(url: str, stream: str, subject: str) -> list[Told]:
    """All messages of a stream with these subjects, as a consumer gets them."""
    client = await connect_to_nats(url, "test")
    js = client.jetstream()
    try:
        info = await js.stream_info(stream, subject)
        count = sum((info.state.subjects or {}).values())
        subscription = await js.subscribe(subject, stream=stream, ordered_consumer=True)
        messages = [await subscription.next_msg(timeout=10) for _ in range(count)]
    except NotFoundError:
        return []
    finally:
        await client.close()
    return [Told(message.subject, dict(message.headers or {}), message.data) for message in messages]


class Seen(NamedTuple):
    """A replay taken apart: its first message, its events, and its last message."""

    started: Mapping[str, Any]
    events: Sequence[Told]
    ended: Mapping[str, Any]


def taken_apart(messages: Sequence[Told]) -> Seen:
    """
    Raises:
        AssertionError: they are not framed, or count and digest are not those of the events.
    """
    first, *events, last = messages
    assert (first.headers["ce-type"], last.headers["ce-type"]) == (START, END)
    assert {START, END}.isdisjoint(one.headers["ce-type"] for one in events)
    assert [one.headers["ce-replaysequence"] for one in events] == [str(n) for n in range(1, len(events) + 1)]
    assert [one.headers["ce-replaydigest"] for one in events] == digests(events)
    ids = {one.headers["ce-replayid"] for one in messages}
    started, ended = json.loads(first.body), json.loads(last.body)
    assert ids == {started["replay_id"]} == {ended["replay_id"]}
    assert ended["count"] == len(events)
    assert ended["digest"] == (digests(events) or ["0" * 64])[-1]
    return Seen(started, events, ended)


def digests(events: Sequence[Told]) -> list[str]:
    """As the contract describes them."""
    found: list[bytes] = [bytes(32)]
    for one in events:
        head = f"{one.headers['ce-id']}\n{one.headers['ce-position']}\n".encode()
        found.append(hashlib.sha256(found[-1] + head + one.body).digest())
    return [one.hex() for one in found[1:]]


def positions(events: Sequence[Told]) -> list[int]:
    return [int(one.headers["ce-position"]) for one in events]


def row_of_account(account: str, name: str) -> Row:
    """A row for the log, of another account than `acme`."""
    stream, version, topic, state = stored(name)
    return stream, version, topic, state.replace(b'"account":"acme"', f'"account":"{account}"'.encode())


def at_time(row: Row, time: str) -> Row:
    """The row as it was recorded at another time."""
    stream, version, topic, state = row
    before = json.loads(state)["time"]
    return stream, version, topic, state.replace(before.encode(), time.encode(), 1)


def of_type(row: Row, topic: str) -> Row:
    stream, version, _, state = row
    return stream, version, topic, state


__all__ = [
    "Log", "Seen", "Servers", "Told", "at_time", "digests", "messages_of", "of_type", "positions", "row_of_account",
    "state_of", "stored", "taken_apart",
]  # fmt: skip
