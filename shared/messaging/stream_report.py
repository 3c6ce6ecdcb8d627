"""A report about the stream of events, for tools: its state, its differences from the declaration, its consumers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from shared.messaging.event_stream import EVENT_STREAM, configured_stream, log_id_of, stream_differences, too_old
from shared.process.urls import without_password
from shared.wire.connection import NatsError, connect_once
from shared.wire.frames import close
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions, user_of


class StreamMissingError(Exception):
    """The stream of events does not exist."""


class NatsUnavailableError(Exception):
    """NATS cannot be reached, or its JetStream does not answer."""


class NatsTooOldError(NatsUnavailableError):
    """The release of NATS is too old."""


async def stream_report(url: str) -> dict[str, Any]:
    """Return name, subjects, storage, replicas, state, `drift` by field as (declared, found), and the consumers.

    Raises:
        StreamMissingError: it was not created yet.
        NatsUnavailableError: NATS does not answer.
    """

    async with jetstream_at(url) as js:
        found = await js.stream_info(str(EVENT_STREAM.name))
        return as_fields(found, await _consumers(js))


async def _consumers(js: JetStreamContext) -> list[ConsumerInfo]:
    """Read all consumers; NATS returns 256 at a time."""
    found: list[ConsumerInfo] = []
    while more := await js.consumers_info(str(EVENT_STREAM.name), offset=len(found)):
        found += more
    return found


async def delete_stream(url: str) -> None:
    """Delete the stream with its consumers; the relay creates it again and publishes the whole log.


    Raises:
        StreamMissingError: it does not exist.
        NatsUnavailableError: NATS does not answer.
    """
    async with jetstream_at(url) as js:
        await js.delete_stream(str(EVENT_STREAM.name))


@asynccontextmanager
async def jetstream_at(url: str) -> AsyncIterator[JetStreamContext]:
    """Connect once, for a tool.

    Raises:
        StreamMissingError: the stream does not exist.
        NatsUnavailableError: NATS does not answer, also within the block.
    """
    options = Identity.from_environment().nats_options()
    denials = Permissions(user_of(options, url), options["inbox_prefix"], process=None)
    try:
        client = await connect_once(url, denials, **options)
    except (NatsError, OSError, TimeoutError) as error:
        raise NatsUnavailableError(f"No NATS at {without_password(url)}: {error}") from error
    try:
        if why := too_old(client):
            raise NatsTooOldError(why)
        yield client.jetstream(timeout=3)
    except NotFoundError as error:
        raise StreamMissingError(f"There is no stream {EVENT_STREAM.name} on {without_password(url)}") from error
    except (NatsError, JetStreamError, TimeoutError) as error:
        raise NatsUnavailableError(
            f"JetStream at {without_password(url)} does not answer: {denials.cause(0, '$js.') or error}"
        ) from error
    finally:
        await close(client)


def as_fields(found: StreamInfo, consumers: list[Any]) -> dict[str, Any]:
    config, state = found.config, found.state
    return {
        "name": config.name,
        "subjects": ", ".join(config.subjects or ()),
        "storage": str(config.storage),
        "replicas": config.num_replicas or 1,
        "messages": state.messages,
        "bytes": state.bytes,
        "first": state.first_seq,
        "last": state.last_seq,
        "log": log_id_of(config),
        "drift": {
            field: [one.declared, one.found] for field, one in stream_differences(configured_stream(), config).items()
        },
        "consumers": [
            {
                "name": one.name,
                "pending": one.num_pending or 0,
                "unacknowledged": one.num_ack_pending or 0,
                "redelivered": one.num_redelivered or 0,
                "paused_until": one.config.pause_until if one.paused else None,
            }
            for one in sorted(consumers, key=lambda one: one.name)
        ],
    }
