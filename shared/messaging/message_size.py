"""Sizes of messages: NATS carries at most `max_payload` bytes, headers and body together.

An event that is too large for a message would stop the relay for ever. So the writer measures each event as the relay
will publish it.
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

# More than the headers of a message: a body that is smaller than the limit by this needs no exact measure.
HEADERS_MARGIN: Final = 4_096
LARGEST_NUMBER: Final = 2**63 - 1
# The body of a command is at most 256 KiB, and an event has the fields of the command.
LARGEST_EVENT: Final = 256 * 1024 + HEADERS_MARGIN
INFO_SECONDS: Final = 1.0


def payload_of(headers: Mapping[str, str], body: bytes) -> int:
    """Return the size that NATS counts, in bytes."""
    return len(block_of(headers)) + len(body)


def expect(headers: dict[str, str], *, sequence: int | None = None, after: str = "") -> dict[str, str]:
    """Add what the relay expects of the stream to the headers: its last sequence, or the id of the event before."""
    if sequence is not None:
        headers[subjects.EXPECTED_SEQUENCE] = str(sequence)
    else:
        headers[subjects.EXPECTED_MESSAGE_ID] = after
    return headers


def published_size(stream: UUID, version: int, topic: str, state: bytes) -> int:
    """Return the largest size in bytes of the event's message, for any position."""
    _, headers, body = stored_to_wire(stream, version, topic, state, LARGEST_NUMBER)
    after = payload_of(expect(dict(headers), after=headers[Ce.ID]), body)
    return max(after, payload_of(expect(headers, sequence=LARGEST_NUMBER), body))


async def refresh_limit(client: Client) -> None:
    """Update the `max_payload` of the client: after a reload a server announces it to new connections only.

    Nothing changes when the server does not answer, or only after a TLS handshake.
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
        if client.is_connected and client.connected_url == url and hasattr(client, "_max_payload"):
            client._max_payload = limit


async def keep_limit_current(client: Client, interval_seconds: float = 10.0) -> None:
    """Refresh the limit again and again, until it is cancelled."""
    while True:
        await asyncio.sleep(interval_seconds)
        await refresh_limit(client)
