"""A process that stops in the moment in which its connection to NATS breaks ends in order, and leaves no traceback."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import pytest
import uvloop
from nats.aio.client import Client

from shared.messaging.endpoint import Endpoint, discoverable
from shared.projections.pull_consumer import PullConsumer
from shared.wire import frames
from shared.wire.connection import connect_to_nats, flush_confirmed
from tests.real_servers import RunningNats


async def broken(client: Client) -> None:
    """The transport is closed, and nats-py has not noticed yet."""
    transport: Any = client._transport
    transport._io_writer.transport.abort()
    assert client.is_connected


async def drained(client: Client) -> None:
    endpoint = Endpoint("one", "test.breaking", "queue", lambda _request: True)
    await endpoint.open(client)
    await flush_confirmed(client)
    await broken(client)
    await endpoint.drain()


async def not_discoverable_any_more(client: Client) -> None:
    async with discoverable(client, "test-breaking", "Breaks.", []):
        await flush_confirmed(client)
        await broken(client)


async def pulled_no_more(client: Client) -> None:
    pull = PullConsumer(client, "NONE", "none")
    await pull.open()
    await flush_confirmed(client)
    await broken(client)
    await pull.close()


async def closed(client: Client) -> None:
    await flush_confirmed(client)
    await broken(client)
    await frames.close(client)


async def settled(client: Client) -> None:
    await broken(client)
    with pytest.raises(nats.errors.Error):
        await flush_confirmed(client, 1)


@pytest.mark.parametrize("ends", [drained, not_discoverable_any_more, pulled_no_more, closed, settled])
async def test_whatever_is_ended_while_the_connection_breaks_ends(
    ends: Callable[[Client], Awaitable[None]], nats: RunningNats
) -> None:
    left: list[object] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: left.append(context))
        client = await connect_to_nats(nats.url, "test")
        await ends(client)
        await frames.close(client)

    # With uvloop, as the services run: asyncio's transport passes over what is written after its end.
    await asyncio.to_thread(uvloop.run, scenario())
    assert left == []


def test_what_has_nothing_to_do_with_a_connection_is_not_taken_for_its_end() -> None:
    with pytest.raises(RuntimeError, match="a bug"), frames.breaking():
        raise RuntimeError("a bug")
