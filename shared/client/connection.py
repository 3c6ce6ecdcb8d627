"""The way to a Switchboard: one connection to its bus, shared by everything that is asked over it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nats.aio.client import Client

from shared.client.account import Account
from shared.client.asking import PATIENCE_SECONDS, Asking
from shared.client.watching import Told, watched
from shared.runtime import bus


class Switchboard:
    """Over a connection of one's own; `connected` makes one. Each call asks again for `patience` seconds."""

    def __init__(self, client: Client, patience: float = PATIENCE_SECONDS) -> None:
        self._client = client
        self._asking = Asking(client, patience)

    def account(self, name: str, actor: str) -> Account:
        return Account(self._asking, name, actor)

    def events(self, after: int = 0, account: str | None = None) -> AsyncIterator[Told]:
        """What happened after a position and what happens from now on, without end; see `watched`."""
        return watched(self._client, after, account)


@asynccontextmanager
async def connected(
    url: str = "nats://127.0.0.1:4222", name: str = "switchboard-client", patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Switchboard]:
    """A Switchboard by the URL of its NATS, several of a cluster with commas between; reconnects by itself.

    Raises:
        nats.errors.NoServersError: no NATS is there.
    """
    client = await bus.connect(url, name, pending_size=0)
    try:
        yield Switchboard(client, patience)
    finally:
        await client.close()
