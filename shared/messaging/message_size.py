"""What fits into one message: NATS carries at most `max_payload` bytes, headers and body together.

An event that no message carries would hold the relay up for good, so the writer measures it as the relay publishes it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Final
from uuid import UUID

import orjson
from nats.aio.client import Client

from shared.language import subjects
from shared.language.subjects import Ce
from shared.wire.cloud_events import stored_to_wire
from shared.wire.frames import block_of

# What a message has beside its body is shorter than this; what is smaller by so much needs no closer look.
SPARE: Final = 4_096
LARGEST_NUMBER: Final = 2**63 - 1
# The body of a command is at most 256 KiB, and an event keeps what the command says.
LARGEST_EVENT: Final = 256 * 1024 + SPARE
INFO_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 10.0


def payload_of(headers: Mapping[str, str], body: bytes) -> int:
    """The bytes that NATS counts."""
    return len(block_of(headers)) + len(body)


def expecting(headers: dict[str, str], *, sequence: int | None = None, after: str = "") -> dict[str, str]:
    """The headers with what the relay expects of the stream: where it ends, or the id of the event before."""
    if sequence is not None:
        headers[subjects.EXPECTED_SEQUENCE] = str(sequence)
    else:
        headers[subjects.EXPECTED_MESSAGE_ID] = after
    return headers


def published_size(stream: UUID, version: int, topic: str, state: bytes) -> int:
    """The bytes of the event's message, whatever position it gets."""
    _, headers, body = stored_to_wire(stream, version, topic, state, LARGEST_NUMBER)
    after = payload_of(expecting(dict(headers), after=headers[Ce.ID]), body)
    return max(after, payload_of(expecting(headers, sequence=LARGEST_NUMBER), body))


async def look_at_limit(client: Client) -> None:
    """Has the client know the `max_payload` of now: a server that was reloaded tells new connections only.

    A server that does not answer, or not before a TLS handshake, changes nothing.
    """
    url = client.connected_url
    if url is None or not client.is_connected or url.scheme in ("ws", "wss"):
        return
    with suppress(OSError, ValueError, KeyError, TimeoutError):
        async with asyncio.timeout(INFO_SECONDS):
            reader, writer = await asyncio.open_connection(url.hostname, url.port or 4222, limit=2**20)
            try:
                line = await reader.readline()
            finally:
                writer.close()
        limit = int(orjson.loads(line.removeprefix(b"INFO "))["max_payload"])
        if client.is_connected and client.connected_url == url:
            client._max_payload = limit


async def keep_looking_at_limit(client: Client) -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        await look_at_limit(client)
