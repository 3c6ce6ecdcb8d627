"""The way to a Switchboard: one connection to its bus, shared by everything that is asked over it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from shared.client.account import Account
from shared.client.asking import NOT_LOOKED_AT, PATIENCE_SECONDS, Asking, wait_of
from shared.client.requests import Unsendable
from shared.client.watching import Told, watched
from shared.language import subjects
from shared.messaging import bus
from shared.messaging.frames import close
from shared.messaging.permissions import Permissions, user_of
from shared.process.settings import Identity
from shared.process.urls import without_password

REACH_SECONDS: Final = 10.0


class Unreachable(Exception):
    """No NATS is there."""


class NotLetIn(Unreachable):
    """NATS is there, and does not let in who this is."""


class Switchboard:
    """Over a connection of one's own; `connected` makes one. Each call asks again for `patience` seconds."""

    def __init__(
        self, client: Client, patience: float = PATIENCE_SECONDS, permissions: Permissions | None = None
    ) -> None:
        self._client = client
        self._permissions = permissions or Permissions()
        self._asking = Asking(client, patience, self._permissions)

    def account(self, name: str, actor: str) -> Account:
        """Raises Unsendable: this can be no account's name."""
        return Account(self._asking, as_token(name), actor)

    async def ask(self, subject: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to a message of one's own making, as it came; asked again until it was looked at."""
        return await self._asking.ask(subject, fields, wait_of(fields), NOT_LOOKED_AT)

    def events(
        self, after: int = 0, account: str | None = None, reader: str | None = None, after_id: str | None = None
    ) -> AsyncIterator[Told]:
        """What happened after a position and what happens from now on, without end; see `watched`.

        Keep `position` and `id` of the last event you have taken in, and begin again with them.

        Raises:
            Unsendable: this can be no account's name.
            LogChanged: the log was restored from an older backup; says how far it is the same.
            NotAllowed: NATS does not let this user read them, or under this name.
        """
        named = as_token(account) if account is not None else None
        return watched(self._client, after, named, reader, self._permissions, after_id)


def as_token(name: str) -> str:
    """Raises Unsendable: it cannot be part of a subject; a wildcard would be everybody's."""
    if not subjects.TOKEN.fullmatch(name):
        raise Unsendable(f"{name!r} is no name of an account")
    return name


@asynccontextmanager
async def connected(
    url: str = "nats://127.0.0.1:4222",
    name: str = "switchboard-client",
    patience: float = PATIENCE_SECONDS,
    reach_seconds: float = REACH_SECONDS,
    **options: Any,
) -> AsyncIterator[Switchboard]:
    """A Switchboard by the URL of its NATS, several of a cluster with commas between; reconnects by itself.

    `options` are those of `nats.connect` that say who asks, such as `nkeys_seed_str` with `inbox_prefix`; else the
    settings do. What it logs, it logs by structlog, which prints on standard output until somebody configures it.

    Raises:
        Unreachable: no NATS is there within `reach_seconds`.
        NotLetIn: it is there, and does not know who this is.
        pydantic.ValidationError: a setting of who this is, such as SWITCHBOARD_NATS_NKEY_SEED, is none.
    """
    options = Identity().nats_options() | options
    permissions = Permissions(user_of(options, url), options["inbox_prefix"])
    try:
        async with asyncio.timeout(reach_seconds):
            client = await bus.connect(url, name, permissions, pending_size=0, **options)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        if permissions.not_let_in:
            raise NotLetIn(f"NATS at {without_password(url)} does not let in who this is") from error
        why = str(error) or permissions.trouble or "no answer"
        raise Unreachable(f"No NATS at {without_password(url)} ({why})") from error
    except ValueError as error:
        raise Unreachable(f"{without_password(url)!r} is no address of a NATS: {error}") from error
    try:
        yield Switchboard(client, patience, permissions)
    finally:
        await close(client)
