"""Messages pass as frames just as they would pass through the client library, whatever else the bytes hold."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.errors import ConnectionClosedError, ProtocolError

from shared.wire import frames
from shared.wire.connection import connect_to_nats
from shared.wire.frame_parser import FrameParser
from tests.real_servers import RunningNats

WIDE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)


class Taken:
    """What came to a taker, and what nats-py was given."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, ...]] = []
        self.others: list[int] = []
        self.words: list[str] = []
        self.parser = FrameParser(self)  # type: ignore[arg-type]
        self.parser.takers[7] = lambda *message: self.messages.append(message)

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        self.others.append(sid)

    async def _process_ping(self) -> None:
        self.words.append("PING")

    async def _process_pong(self) -> None:
        self.words.append("PONG")


class Looked(FrameParser):
    """How often something was looked at from its beginning."""

    looks = 0

    async def _next(self, chunk: bytes, at: int) -> tuple[int, bytes]:
        self.looks += 1
        return await super()._next(chunk, at)


async def test_a_large_body_is_looked_at_when_it_is_whole_however_many_pieces_it_comes_in() -> None:
    taken = Taken()
    parser = Looked(taken)  # type: ignore[arg-type]
    parser.takers = taken.parser.takers
    body = b"x" * 1_000_000
    sent = b"MSG a 7 %d\r\n%b\r\nPING\r\n" % (len(body), body)
    for start in range(0, len(sent), 32_768):
        await parser.parse(sent[start : start + 32_768])
    assert taken.messages == [(b"a", b"", b"", body)]
    assert taken.words == ["PING"]
    # When it began, when it was whole, and the ping.
    assert parser.looks == 3


async def test_what_was_left_half_read_by_a_lost_connection_is_forgotten() -> None:
    taken = Taken()
    await taken.parser.parse(b"MSG a 7 1000\r\nxx")
    taken.parser.reset()
    await taken.parser.parse(b"MSG a 7 1\r\n")
    await taken.parser.parse(b"y\r\n")
    assert taken.messages == [(b"a", b"", b"", b"y")]


@given(st.data())
def test_however_the_bytes_are_cut_the_same_messages_come(data: st.DataObject) -> None:
    sent = (
        b"MSG a.b 7 3\r\none\r\nPING\r\nMSG a.b 7 me 0\r\n\r\n+OK\r\nMSG c 8 1\r\nx\r\n"
        b"HMSG a.b 7 me 12 16\r\nNATS/1.0\r\n\r\nMSG \r\nPONG\r\nHMSG a 7 12 12\r\nNATS/1.0\r\n\r\n\r\n"
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=8)))
    taken = Taken()

    async def feed() -> None:
        for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
            await taken.parser.parse(sent[start:end])

    asyncio.run(feed())
    block = b"NATS/1.0\r\n\r\n"
    assert taken.messages == [
        (b"a.b", b"", b"", b"one"), (b"a.b", b"me", b"", b""), (b"a.b", b"me", block, b"MSG "), (b"a", b"", block, b"")
    ]  # fmt: skip
    assert taken.others == [8]
    assert taken.words == ["PING", "PONG"]


async def test_nonsense_ends_the_connection_as_ever() -> None:
    with pytest.raises(ProtocolError):
        await Taken().parser.parse(b"WHAT IS THIS\r\n")


async def test_a_taker_that_fails_costs_only_its_message() -> None:
    taken = Taken()

    def fail(*_: bytes) -> None:
        raise RuntimeError

    taken.parser.takers[9] = fail
    await taken.parser.parse(b"MSG a 9 1\r\nx\r\nMSG a 7 1\r\ny\r\n")
    assert taken.messages == [(b"a", b"", b"", b"y")]


@given(st.dictionaries(NAMES, WIDE))
def test_headers_come_back_as_they_were(headers: dict[str, str]) -> None:
    assert frames.headers_of(frames.block_of(headers)) == headers


def test_headers_written_by_others_are_read_too() -> None:
    assert frames.headers_of(b"NATS/1.0\r\na:1\r\nb:\t2 \r\nc: 3: 4\r\n\r\n") == {"a": "1", "b": "2", "c": "3: 4"}
    assert frames.headers_of(b"NATS/1.0\r\na: \xff\r\nb: 2\r\n\r\n") == {"a": "\ufffd", "b": "2"}
    assert frames.headers_of(b"NATS/1.0 404 No Messages\r\n\r\n") == {}
    assert frames.headers_of(b"XX\r\n\r\n") == {}


def test_a_line_break_in_a_value_makes_no_header() -> None:
    assert frames.headers_of(frames.block_of({"a": "1\r\nb: 2"})) == {"a": "1 b: 2"}


@pytest.mark.parametrize(
    ("block", "status"),
    [
        (b"NATS/1.0 404 No Messages\r\n\r\n", ("404", "No Messages")),
        (b"NATS/1.0 503\r\n\r\n", ("503", "")),
        (b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 1\r\n\r\n", ("100", "Idle Heartbeat")),
        (b"NATS/1.0\r\na: 1\r\n\r\n", ("", "")),
        (b"", ("", "")),
    ],
)
def test_the_servers_own_words_are_told_from_messages(block: bytes, status: tuple[str, str]) -> None:
    assert frames.status_of(block) == status


@pytest.fixture
async def client(nats: RunningNats) -> AsyncIterator[Client]:
    client = await connect_to_nats(nats.url, "test")
    yield client
    await client.close()


async def test_frames_reach_takers_and_others_over_a_real_server(client: Client) -> None:
    taken: list[tuple[bytes, ...]] = []
    subscription = await frames.subscribe(client, "frames.taken", lambda *message: taken.append(message))
    other = await client.subscribe("frames.other")
    large = b"x" * 300_000
    await frames.send(
        client,
        [
            frames.frame("frames.taken", b"1"),
            frames.frame("frames.taken", large, {"a": "ü"}, "answer.me"),
            frames.frame("frames.other", b"2", {"b": "3"}),
        ],
    )
    message = await other.next_msg(timeout=10)
    assert (message.data, message.headers) == (b"2", {"b": "3"})
    block = b"NATS/1.0\r\na: \xc3\xbc\r\n\r\n"
    assert taken == [(b"frames.taken", b"", b"", b"1"), (b"frames.taken", b"answer.me", block, large)]
    await frames.unsubscribe(client, subscription)
    await frames.send(client, [frames.frame("frames.taken", b"4"), frames.frame("frames.other", b"5")])
    assert (await other.next_msg(timeout=10)).data == b"5"
    assert len(taken) == 2


async def test_nothing_is_sent_over_a_closed_connection(nats: RunningNats) -> None:
    client = await connect_to_nats(nats.url, "test")
    await client.close()
    with pytest.raises(ConnectionClosedError):
        await frames.send(client, [frames.frame("a", b"")])
