"""The connection to NATS: it reconnects by itself and notices a silent server."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import nats.errors
from nats.aio.client import Client

from shared.wire import permissions
from shared.wire.frames import breaking, framed
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions
from shared.wire.urls import servers_of

log = logging.getLogger(__name__)

# Names of the library, for modules that receive a connection and touch NATS in no other way.
NatsClient = Client
NatsError = nats.errors.Error


async def connect_to_nats(url: str, name: str, denials: Permissions | None = None, **options: Any) -> Client:
    """Connect to NATS; the client reconnects for ever and notices a silent server within 20 to 30 seconds.

    With `pending_size=0` a message that is published while disconnected is not kept for later: `publish` raises
    `nats.errors.OutboundBufferLimitError`.

    Args:
        url: the URL of a server; several of a cluster are separated by commas.
        name: the name of the connection.
        denials: learns of every error of the connection; without it, `permissions.of` the client has what is denied.
        options: options of `nats.connect`; they replace the identity of the environment.
    """
    last_error = ""
    options = Identity.from_environment().nats_options() | options
    listener = denials or Permissions(permissions.user_of(options, url), options["inbox_prefix"])
    on_disconnect: Callable[[], Awaitable[None]] | None = options.pop("disconnected_cb", None)

    async def on_error(error: Exception) -> None:
        nonlocal last_error
        if listener.on_error(error):
            return
        text = f"{type(error).__name__}: {error}"
        if text != last_error:
            last_error = text
            log.warning("nats.trouble", extra={"connection": name, "error": text})

    async def on_loss() -> None:
        listener.on_disconnect()
        if on_disconnect is not None:
            await on_disconnect()

    async def on_reconnect() -> None:
        nonlocal last_error
        last_error = ""
        log.info("nats.back", extra={"connection": name})

    settings: dict[str, Any] = {
        "name": name,
        "max_reconnect_attempts": -1,
        "reconnect_time_wait": 0.25,
        "ping_interval": 10,
        "max_outstanding_pings": 2,
        "error_cb": on_error,
        "disconnected_cb": on_loss,
        "reconnected_cb": on_reconnect,
    }
    client = framed(await nats.connect(servers_of(url), **(settings | options)))
    permissions.register(client, listener)
    return client


async def connect_once(url: str, denials: Permissions, **options: Any) -> Client:
    """Connect to NATS for one look: the client never reconnects and logs nothing.

    Args:
        url: the URL of a server; several of a cluster are separated by commas.
        denials: learns of every error of the connection.
        options: options of `nats.connect`, the identity among them.

    Raises:
        nats.errors.Error, OSError, TimeoutError: no server answers, or none accepts the identity.
    """

    async def on_error(error: Exception) -> None:
        """Keep nats-py from logging the error, which is raised as well."""
        denials.on_error(error)

    return framed(
        await nats.connect(
            servers_of(url),
            connect_timeout=2,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=on_error,
            **options,
        )
    )


async def flush_confirmed(client: Client, seconds: int = 5) -> None:
    """Return when the server has received everything that this client has sent, subscriptions above all.

    nats-py's `flush` alone does not say so: its PING overtakes what still waits to be written, and the PONG may be here
    before a SUB is there. When it has come, the rest was written, and the second PING goes behind it.

    Raises:
        nats.errors.Error: the server does not answer in time, or the connection is closed, or breaks.
    """
    with breaking():
        for _ in range(2):
            await client.flush(timeout=seconds)
