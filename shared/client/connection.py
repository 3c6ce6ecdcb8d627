"""`connect`: a Switchboard over one connection to NATS, or the error that says why not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import nats.errors
from nats.aio.client import Client
from pydantic import ValidationError

from shared.client.account import Account
from shared.client.errors import AuthenticationFailed, ConnectionFailed, InvalidRequest, InvalidSettings
from shared.client.replay import replay
from shared.client.retries import NOT_PROCESSED, REQUEST_TIMEOUT_SECONDS, OnNoReply, RetryingRequests, wait_seconds
from shared.client.subscription import ReceivedEvent, subscribe
from shared.language import subjects
from shared.wire.connection import connect_to_nats
from shared.wire.frames import close
from shared.wire.identity import Identity
from shared.wire.permissions import Permissions, user_of
from shared.wire.urls import without_credentials

CONNECT_TIMEOUT_SECONDS: Final = 10.0


class Switchboard:
    """Switchboard over a connection of its own; `connect` makes one."""

    def __init__(
        self,
        client: Client,
        timeout: float = REQUEST_TIMEOUT_SECONDS,
        permissions: Permissions | None = None,
        on_no_reply: OnNoReply | None = None,
    ) -> None:
        self._client = client
        self._permissions = permissions or Permissions()
        self._requests = RetryingRequests(client, timeout, self._permissions, on_no_reply)

    def account(self, name: str, actor: str) -> Account:
        """Return an account as one actor sees it.

        Args:
            name: the id of the account.
            actor: the id of a user, or `service:<name>`.

        Raises:
            InvalidRequest: the name cannot be the id of an account.
        """
        return Account(self._requests, require_token(name), actor)

    async def request(self, subject: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message of your own to a subject and return the reply as it is on the wire.

        A reply that says BUSY is retried, every other reply is returned.

        Raises:
            SwitchboardError: see `Account`.
        """
        wait = wait_seconds(fields) if subject.startswith(f"{subjects.QUERY}.") else 0.0
        return await self._requests.request(subject, fields, wait, NOT_PROCESSED)

    def events(
        self, after: int = 0, account: str | None = None, consumer: str | None = None, after_id: str | None = None
    ) -> AsyncIterator[ReceivedEvent]:
        """Yield every event after a position, without end, each once and in order.

        Keep `position` and `id` of the last event that you processed, and pass them here after a restart.

        Args:
            after: the position of the last event that was processed; 0 to start with the first event.
            account: the account whose events to read; None for all.
            consumer: the name of the JetStream consumer, for a NATS user that may use only that one.
            after_id: the id of the event at `after`; with it, a log that was restored in between is noticed.

        Raises:
            InvalidRequest: the account cannot be the id of an account.
            LogChanged: the log was restored from an older backup.
            PermissionDenied: NATS does not let this user read the events.
            ConnectionClosed: the client was closed.
        """
        token = require_token(account) if account is not None else None
        return subscribe(self._client, after, token, consumer, self._permissions, after_id)

    def replay(
        self, name: str, account: str | None = None, consumer: str | None = None
    ) -> AsyncIterator[ReceivedEvent]:
        """Yield every event of a replay, each once and in order, and end behind its last message.

        A replay is a range of the event log that an operator publishes again under a name. None of its events is
        missing or changed: number and digest of each are checked.

        Args:
            name: the name of the replay.
            account: the account of a replay that is of one account; None for one of all accounts.
            consumer: the name of the JetStream consumer, for a NATS user that may use only that one.

        Raises:
            InvalidRequest: the name or the account cannot be part of a subject, or the replay is not of that account.
            ReplayIncomplete: something is missing or changed, or the replay was stopped.
            PermissionDenied: NATS does not let this user read the replay.
            ConnectionClosed: the client was closed.
        """
        token = require_token(account) if account is not None else None
        return replay(self._client, require_token(name), token, consumer, self._permissions)


def require_token(name: str) -> str:
    """Return the name when it can be one token of a subject.

    Raises:
        InvalidRequest: it cannot; a wildcard would mean every account.
    """
    if not subjects.TOKEN.fullmatch(name):
        raise InvalidRequest(f"{name!r} cannot be the id of an account")
    return name


@asynccontextmanager
async def connect(
    url: str = "nats://127.0.0.1:4222",
    name: str = "switchboard-client",
    timeout: float = REQUEST_TIMEOUT_SECONDS,
    connect_timeout: float = CONNECT_TIMEOUT_SECONDS,
    on_no_reply: OnNoReply | None = None,
    **options: Any,
) -> AsyncIterator[Switchboard]:
    """Connect to the NATS of a Switchboard; the connection is restored by itself when it is lost.

    Args:
        url: the URL of NATS; several servers of a cluster are separated by commas.
        name: the name of the connection, which NATS shows to operators.
        timeout: for how many seconds a request is retried until a reply comes.
        connect_timeout: for how many seconds to try to connect.
        on_no_reply: called with the subject and the cause each time that a request is retried because no reply came.
        options: options of `nats.connect` that say who connects, such as `nkeys_seed_str` and `inbox_prefix`. They
            replace SWITCHBOARD_NATS_NKEY_SEED and SWITCHBOARD_NATS_INBOX_PREFIX of the environment.

    Raises:
        ConnectionFailed: there is no NATS at the URL.
        AuthenticationFailed: NATS rejected the credentials.
        InvalidSettings: a SWITCHBOARD_ variable of the environment is not valid.
    """
    options = _identity().nats_options() | options
    permissions = Permissions(user_of(options, url), options["inbox_prefix"])
    client = await _client(url, name, connect_timeout, permissions, options)
    try:
        yield Switchboard(client, timeout, permissions, on_no_reply)
    finally:
        await close(client)


def _identity() -> Identity:
    try:
        return Identity.from_environment()
    except ValidationError as error:
        raise InvalidSettings(str(error)) from error


async def _client(url: str, name: str, timeout: float, permissions: Permissions, options: Mapping[str, Any]) -> Client:
    try:
        async with asyncio.timeout(timeout):
            return await connect_to_nats(url, name, permissions, pending_size=0, **options)
    except (nats.errors.Error, OSError, TimeoutError) as error:
        if permissions.rejected:
            raise AuthenticationFailed(f"NATS at {without_credentials(url)} rejected these credentials") from error
        cause = str(error) or permissions.last_error or "no answer"
        raise ConnectionFailed(f"No NATS at {without_credentials(url)} ({cause})") from error
    except ValueError as error:
        raise ConnectionFailed(f"{without_credentials(url)!r} is not a URL of NATS: {error}") from error
