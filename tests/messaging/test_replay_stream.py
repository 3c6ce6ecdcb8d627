"""The stream of replays takes a message only behind the last one of its replay, and keeps what operators set."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from nats.js.api import StreamConfig

from shared.language import subjects
from shared.messaging.replay_stream import ReplayMovedError, ReplayStream, ReplayStreamFullError, replay_stream
from shared.messaging.stream_report import NatsUnavailableError
from shared.wire.connection import connect_to_nats
from tests.real_servers import RunningNats, free_port

Message = tuple[str, dict[str, str], bytes]


def message(replay: str, name: str, body: bytes = b"{}") -> Message:
    return subjects.replayed(replay, "acme", "address", name), {subjects.MESSAGE_ID: f"{replay}:{name}"}, body


@pytest.fixture
async def stream(private_nats: RunningNats) -> AsyncIterator[ReplayStream]:
    async with replay_stream(private_nats.url) as made:
        await made.declare()
        yield made


async def config_of(url: str) -> StreamConfig:
    client = await connect_to_nats(url, "test")
    try:
        return (await client.jetstream().stream_info(subjects.REPLAY_STREAM)).config
    finally:
        await client.close()


async def test_before_the_first_replay_there_is_nothing_and_no_stream_is_needed(private_nats: RunningNats) -> None:
    async with replay_stream(private_nats.url) as stream:
        assert await stream.names() == []
        assert await stream.first("x") is None
        assert await stream.last("x") is None
        assert (await stream.size()).messages == 0


async def test_a_message_is_stored_behind_the_last_one_of_its_replay_only(stream: ReplayStream) -> None:
    first = await stream.publish("x", [message("x", "A"), message("x", "B")], 0)
    await stream.publish("y", [message("y", "A")], 0)
    for after in (0, first - 1, first + 1):
        with pytest.raises(ReplayMovedError):
            await stream.publish("x", [message("x", "C")], after)
    last = await stream.publish("x", [message("x", "C"), message("x", "D")], first)
    found = await stream.last("x")
    assert found is not None
    assert (found.sequence, found.subject.rpartition(".")[2]) == (last, "D")
    assert (await stream.size()).messages == 5


async def test_a_group_that_begins_elsewhere_is_refused_as_a_whole(stream: ReplayStream) -> None:
    await stream.publish("x", [message("x", "A")], 0)
    with pytest.raises(ReplayMovedError):
        await stream.publish("x", [message("x", name) for name in "BCD"], 0)
    assert (await stream.size()).messages == 1


async def test_a_full_stream_refuses_and_keeps_what_it_has(
    private_nats: RunningNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWITCHBOARD_REPLAY_MAX_BYTES", str(2**20))
    async with replay_stream(private_nats.url) as stream:
        await stream.declare()
        after = await stream.publish("x", [message("x", name, b"x" * 400_000) for name in "AB"], 0)
        with pytest.raises(ReplayStreamFullError):
            await stream.publish("x", [message("x", "C", b"x" * 400_000)], after)
        assert (await stream.size()).messages == 2
        await stream.remove("x")
        assert await stream.publish("y", [message("y", "A", b"x" * 400_000)], 0) == after + 1


async def test_a_changed_setting_changes_the_stream_and_nothing_else(
    stream: ReplayStream, private_nats: RunningNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await config_of(private_nats.url)
    client = await connect_to_nats(private_nats.url, "test")
    await client.jetstream().update_stream(before.evolve(metadata={"team": "ours"}))
    await client.close()
    monkeypatch.setenv("SWITCHBOARD_REPLAY_MAX_BYTES", str(2**21))
    await stream.declare()
    found = await config_of(private_nats.url)
    assert (found.max_bytes, (found.metadata or {}).get("team")) == (2**21, "ours")
    assert (found.subjects, found.deny_delete, found.max_age) == ([subjects.REPLAYS], True, 0)


async def test_the_process_of_a_replay_answers_until_it_leaves_and_nobody_is_known_at_once(
    stream: ReplayStream, private_nats: RunningNats
) -> None:
    leaving = asyncio.Event()

    async def answer(verb: str) -> Mapping[str, str]:
        if verb == "slow":
            leaving.set()
            await asyncio.sleep(0)
        return {"heard": verb}

    async with replay_stream(private_nats.url) as other:
        assert await other.ask("x", "status") is None
        async with stream.serve("x", answer):
            assert await other.ask("x", "status") == {"heard": "status"}
            assert await other.ask("y", "status") is None
            asked = asyncio.create_task(other.ask("x", "slow"))
            await leaving.wait()
        assert await asked == {"heard": "slow"}
        assert await other.ask("x", "status") is None


async def test_no_nats_is_said_with_its_place() -> None:
    url = f"nats://127.0.0.1:{free_port()}"
    with pytest.raises(NatsUnavailableError, match=url.removeprefix("nats://")):
        async with replay_stream(url):
            pass
