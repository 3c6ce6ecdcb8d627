"""The stream of events as NATS has it, beside what is declared, for tools."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import ConsumerInfo, StreamInfo
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError

from shared.messaging.bus import EVENT_STREAM, as_set, log_of, stream_differences, too_old
from shared.process.urls import without_password
from shared.wire.frames import close, framed
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions, user_of
from shared.wire.urls import servers_of


class NoStream(Exception):
    """There is no stream of events."""


class NoNats(Exception):
    """NATS cannot be reached, or its JetStream does not answer."""


class UnfitNats(NoNats):
    """NATS is there, and of a release that cannot serve."""


async def stream_report(url: str) -> dict[str, Any]:
    """Name, subjects, storage, replicas, what it holds, `drift` by field as (declared, found), and its readers.

    Raises:
        NoStream: it was not made yet.
        NoNats: nobody answers.
    """

    async with _jetstream(url) as js:
        found = await js.stream_info(str(EVENT_STREAM.name))
        return told(found, await _consumers(js))


async def _consumers(js: JetStreamContext) -> list[ConsumerInfo]:
    """All of them; NATS tells 256 at a time."""
    found: list[ConsumerInfo] = []
    while more := await js.consumers_info(str(EVENT_STREAM.name), offset=len(found)):
        found += more
    return found


async def delete_stream(url: str) -> None:
    """Deletes the stream with all readers' places in it; the relay makes it anew and publishes the whole log again.

    Raises:
        NoStream: there is none.
        NoNats: nobody answers.
    """
    async with _jetstream(url) as js:
        await js.delete_stream(str(EVENT_STREAM.name))


@asynccontextmanager
async def _jetstream(url: str) -> AsyncIterator[JetStreamContext]:
    options = Identity.from_environment().nats_options()
    refusals = Permissions(user_of(options, url), options["inbox_prefix"], process=None)

    async def on_error(error: Exception) -> None:
        """What counts is raised; nats-py would also write it to the log. What is not allowed is told here only."""
        refusals.on_error(error)

    try:
        client = framed(
            await nats.connect(
                servers_of(url),
                connect_timeout=2,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                error_cb=on_error,
                **options,
            )
        )
    except (NatsError, OSError, TimeoutError) as error:
        raise NoNats(f"No NATS at {without_password(url)}: {error}") from error
    try:
        if why := too_old(client):
            raise UnfitNats(why)
        yield client.jetstream(timeout=3)
    except NotFoundError as error:
        raise NoStream(f"There is no stream {EVENT_STREAM.name} on {without_password(url)}") from error
    except (NatsError, JetStreamError, TimeoutError) as error:
        raise NoNats(
            f"JetStream at {without_password(url)} does not answer: {refusals.cause(0, '$js.') or error}"
        ) from error
    finally:
        await close(client)


def told(found: StreamInfo, consumers: list[Any]) -> dict[str, Any]:
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
        "log": log_of(config),
        "drift": {field: [one.declared, one.found] for field, one in stream_differences(as_set(), config).items()},
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
