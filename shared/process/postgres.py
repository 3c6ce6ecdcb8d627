"""Connections to PostgreSQL, and readable reasons when they fail.

Every connection is made here, with settings for its whole session. A pooler in between refuses them, or silently drops
them and passes the session's locks to others. So each new connection reads its settings back once.
"""

import asyncio
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

# Names of the library, for services that read the log or hold locks and use it in no other way.
PostgresError = psycopg.Error
PostgresUnavailable = psycopg.OperationalError
PostgresDataError = psycopg.DataError
PostgresSession = psycopg.AsyncConnection[Any]

SETTINGS_NOT_APPLIED: Final = (
    "PostgreSQL did not take this connection's settings: connect directly, not through a pooler"
)
LOCK_NOT_HELD: Final = "a lock is not seen as this connection's own: connect directly, not through a pooler"
TOO_OLD: Final = " is too old: 16 or newer is needed"
OLDEST: Final = 160_000
READ_BACK_SECONDS: Final = 3.0

# libpq adds it to its reasons, over several lines.
_ADVICE: Final = re.compile(r" *Is the server running [^?]*\?")
# A random word of each connection: only the session that was started with it knows it, even where a role or a
# database has the same settings.
_WORD: Final = "switchboard.connection"
_READ_BACK: Final = "SELECT pg_backend_pid(), array(SELECT current_setting(name, true) FROM unnest(%s::text[]) AS name)"
# PgBouncer, and Amazon's RDS Proxy.
_REFUSED: Final = ("unsupported startup parameter", "command-line options")


class SettingsNotApplied(psycopg.OperationalError):
    """A pooler in between refused the settings of the connection, or dropped them."""

    def __init__(self) -> None:
        super().__init__(SETTINGS_NOT_APPLIED)


class PostgresTooOld(psycopg.OperationalError):
    """This release of PostgreSQL lacks what the tables and roles need."""


class LockNotHeld(psycopg.OperationalError):
    """A lock that was taken belongs to another session: a pooler spreads the queries over several sessions."""

    def __init__(self) -> None:
        super().__init__(LOCK_NOT_HELD)


def reason_of(error: Exception) -> str:
    """Return the reason in one line."""
    return _ADVICE.sub("", " ".join(str(error).split())) or type(error).__name__


def not_ready(reason: str) -> str:
    """Return the text of readiness for a PostgreSQL that cannot be used."""
    return (
        reason
        if reason in (SETTINGS_NOT_APPLIED, LOCK_NOT_HELD) or TOO_OLD in reason
        else f"PostgreSQL does not answer: {reason}"
    )


def lock_session_settings(seconds: float) -> dict[str, str]:
    """Return the settings of a session that holds advisory locks for its process.

    PostgreSQL ends it when it was silent for so long; the kernel does when the other side of a network does not answer.
    """
    return {
        "idle_session_timeout": f"{seconds:g}s",
        "statement_timeout": f"{seconds:g}s",
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
    }


def options_of(settings: Mapping[str, str]) -> str:
    """Write the settings as the connection parameter `options`."""
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


class _Parameters:
    """The parameters of one connection: `arguments` of libpq, and the settings to read back."""

    def __init__(self, url: str, settings: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        self.settings = {**settings, _WORD: secrets.token_hex(8)}
        # On a Unix socket they are always 0.
        self.names = [name for name in self.settings if not name.startswith("tcp_")]
        given = conninfo_to_dict(url)
        # Time-outs that find a dead peer within seconds, unless the URL has others.
        found: dict[str, Any] = {
            "application_name": "switchboard",
            "connect_timeout": 3,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": 10_000,
            **given,
            **arguments,
        }
        # Behind those of the operator, so that ours win.
        theirs = str(given.get("options") or os.environ.get("PGOPTIONS", ""))
        found["options"] = f"{theirs} {options_of(self.settings)}".strip()
        self.arguments = found

    def require(self, row: tuple[Any, ...] | None) -> None:
        """
        Raises:
            SettingsNotApplied: the session has other settings.
        """
        if row is None or row[1] != [self.settings[name] for name in self.names]:
            raise SettingsNotApplied


def _require_new(version: int) -> None:
    if version < OLDEST:
        raise PostgresTooOld(f"PostgreSQL {version // 10_000}.{version % 10_000}{TOO_OLD}")


def _translated(error: psycopg.OperationalError) -> psycopg.OperationalError:
    return SettingsNotApplied() if any(words in str(error) for words in _REFUSED) else error


class Direct(psycopg.Connection[Any]):
    """A connection whose session has the given settings, written as PostgreSQL itself shows them (`1min`)."""

    @classmethod
    def connect(  # type: ignore[override]  # psycopg's own parameters go through
        cls, conninfo: str = "", *, settings: Mapping[str, str] | None = None, autocommit: bool = False, **kwargs: Any
    ) -> Self:
        """
        Raises:
            SettingsNotApplied: a pooler is in between.
            PostgresTooOld: it is below version 16.
            psycopg.OperationalError: PostgreSQL is away, or refuses.
        """
        parameters = _Parameters(conninfo, settings or {}, kwargs)
        try:
            connection = super().connect(autocommit=True, **parameters.arguments)
        except psycopg.OperationalError as error:
            raise _translated(error) from error
        try:
            _require_new(connection.info.server_version)
            with connection.cursor(row_factory=tuple_row) as cursor:
                parameters.require(cursor.execute(_READ_BACK, (parameters.names,), prepare=False).fetchone())
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
        return connection


class DirectAsync(psycopg.AsyncConnection[Any]):
    """As `Direct`."""

    @classmethod
    async def connect(  # type: ignore[override]
        cls, conninfo: str = "", *, settings: Mapping[str, str] | None = None, autocommit: bool = False, **kwargs: Any
    ) -> Self:
        """As `Direct.connect`."""
        parameters = _Parameters(conninfo, settings or {}, kwargs)
        try:
            connection = await super().connect(autocommit=True, **parameters.arguments)
        except psycopg.OperationalError as error:
            raise _translated(error) from error
        try:
            _require_new(connection.info.server_version)
            async with asyncio.timeout(READ_BACK_SECONDS), connection.cursor(row_factory=tuple_row) as cursor:
                parameters.require(
                    await (await cursor.execute(_READ_BACK, (parameters.names,), prepare=False)).fetchone()
                )
            await connection.set_autocommit(autocommit)
        except TimeoutError as error:
            await connection.close()
            raise psycopg.OperationalError(f"no answer within {READ_BACK_SECONDS:g} s") from error
        except BaseException:
            await connection.close()
            raise
        return connection


class Pool(AsyncConnectionPool[DirectAsync]):
    """A pool of `DirectAsync` connections; `last_error` is why the last attempt failed, None after a success."""

    def __init__(self, url: str, **options: Any) -> None:
        self.last_error: str | None = None
        pool = self

        class Observed(DirectAsync):
            @classmethod
            async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
                try:
                    made = await super().connect(conninfo, **kwargs)
                except (psycopg.Error, OSError) as error:
                    pool.last_error = reason_of(error)
                    raise
                pool.last_error = None
                return made

        super().__init__(url, connection_class=Observed, **options)

    async def getconn(self, timeout: float | None = None) -> DirectAsync:
        """
        Raises:
            PoolTimeout: none was free or could be made; with the reason where it is known.
        """
        try:
            return await super().getconn(timeout)
        except PoolTimeout as error:
            raise PoolTimeout(self.last_error or str(error)) from error
