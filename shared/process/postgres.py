"""How a service connects to PostgreSQL, and says why it cannot.

Every connection is made here, with settings that hold for its whole session. A pooler between refuses them, or drops
them in silence and hands the session's locks to others; so each new connection reads back once what it asked for.
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

NOT_TAKEN: Final = "PostgreSQL did not take this connection's settings: connect directly, not through a pooler"
NOT_OURS: Final = "a lock is not seen as this connection's own: connect directly, not through a pooler"
TOO_OLD: Final = " is too old: 16 or newer is needed"
OLDEST: Final = 160_000
READ_BACK_SECONDS: Final = 3.0

# What libpq adds to its reasons, over several lines.
_ADVICE: Final = re.compile(r" *Is the server running [^?]*\?")
# A connection's own word, new each time: only the session that was begun with it knows it, whatever a role or a
# database sets by itself.
_WORD: Final = "switchboard.connection"
_READ_BACK: Final = "SELECT pg_backend_pid(), array(SELECT current_setting(name, true) FROM unnest(%s::text[]) AS name)"
# PgBouncer, and Amazon's RDS Proxy.
_REFUSED: Final = ("unsupported startup parameter", "command-line options")


class SettingsNotTaken(psycopg.OperationalError):
    """A pooler stands between: it refused what the connection asked for, or dropped it."""

    def __init__(self) -> None:
        super().__init__(NOT_TAKEN)


class PostgresTooOld(psycopg.OperationalError):
    """This release of PostgreSQL lacks what the tables and roles need."""


class LockNotOurs(psycopg.OperationalError):
    """A lock that was taken belongs to another session: what is said here reaches now this one, now that one."""

    def __init__(self) -> None:
        super().__init__(NOT_OURS)


def why(error: Exception) -> str:
    """The reason in one line."""
    return _ADVICE.sub("", " ".join(str(error).split())) or type(error).__name__


def away(reason: str) -> str:
    """What readiness says of a PostgreSQL that cannot be worked with."""
    return reason if reason in (NOT_TAKEN, NOT_OURS) or TOO_OLD in reason else f"PostgreSQL does not answer: {reason}"


def ended_when_silent(seconds: float) -> dict[str, str]:
    """The settings of a session that holds advisory locks for its process.

    Ended by PostgreSQL when it is silent for so long; by the kernel when the other side of a network does not answer.
    """
    return {
        "idle_session_timeout": f"{seconds:g}s",
        "statement_timeout": f"{seconds:g}s",
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
    }


def options_of(settings: Mapping[str, str]) -> str:
    """The settings as the parameter `options` has them."""
    return " ".join(f"-c {name}={_escaped(value)}" for name, value in settings.items())


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")


class _Asked:
    """What one connection is made with: `arguments` of libpq, and what has to be read back of them."""

    def __init__(self, url: str, settings: Mapping[str, str], arguments: Mapping[str, Any]) -> None:
        self.settings = {**settings, _WORD: secrets.token_hex(8)}
        # Of a socket, these are 0 whatever was asked for.
        self.names = [name for name in self.settings if not name.startswith("tcp_")]
        given = conninfo_to_dict(url)
        # Time-outs that find a dead peer within seconds, unless the URL says otherwise.
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
        # Behind those of the operator's, and so before them.
        theirs = str(given.get("options") or os.environ.get("PGOPTIONS", ""))
        found["options"] = f"{theirs} {options_of(self.settings)}".strip()
        self.arguments = found

    def require(self, row: tuple[Any, ...] | None) -> None:
        """
        Raises:
            SettingsNotTaken: the session is not as asked for.
        """
        if row is None or row[1] != [self.settings[name] for name in self.names]:
            raise SettingsNotTaken


def _require_new(version: int) -> None:
    if version < OLDEST:
        raise PostgresTooOld(f"PostgreSQL {version // 10_000}.{version % 10_000}{TOO_OLD}")


def _understood(error: psycopg.OperationalError) -> psycopg.OperationalError:
    return SettingsNotTaken() if any(words in str(error) for words in _REFUSED) else error


class Direct(psycopg.Connection[Any]):
    """A connection whose session has the settings it asked for, written as PostgreSQL itself shows them (`1min`)."""

    @classmethod
    def connect(  # type: ignore[override]  # psycopg's own parameters go through
        cls, conninfo: str = "", *, settings: Mapping[str, str] | None = None, autocommit: bool = False, **kwargs: Any
    ) -> Self:
        """
        Raises:
            SettingsNotTaken: a pooler stands between.
            PostgresTooOld: it is below version 16.
            psycopg.OperationalError: PostgreSQL is away, or refuses.
        """
        asked = _Asked(conninfo, settings or {}, kwargs)
        try:
            connection = super().connect(autocommit=True, **asked.arguments)
        except psycopg.OperationalError as error:
            raise _understood(error) from error
        try:
            _require_new(connection.info.server_version)
            with connection.cursor(row_factory=tuple_row) as cursor:
                asked.require(cursor.execute(_READ_BACK, (asked.names,), prepare=False).fetchone())
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
        asked = _Asked(conninfo, settings or {}, kwargs)
        try:
            connection = await super().connect(autocommit=True, **asked.arguments)
        except psycopg.OperationalError as error:
            raise _understood(error) from error
        try:
            _require_new(connection.info.server_version)
            async with asyncio.timeout(READ_BACK_SECONDS), connection.cursor(row_factory=tuple_row) as cursor:
                asked.require(await (await cursor.execute(_READ_BACK, (asked.names,), prepare=False)).fetchone())
            await connection.set_autocommit(autocommit)
        except TimeoutError as error:
            await connection.close()
            raise psycopg.OperationalError(f"no answer within {READ_BACK_SECONDS:g} s") from error
        except BaseException:
            await connection.close()
            raise
        return connection


class Pool(AsyncConnectionPool[DirectAsync]):
    """Connections kept open, each a `DirectAsync`; `trouble` is why the last one that was wanted could not be made."""

    def __init__(self, url: str, **options: Any) -> None:
        self.trouble: str | None = None
        pool = self

        class Noticed(DirectAsync):
            @classmethod
            async def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
                try:
                    made = await super().connect(conninfo, **kwargs)
                except (psycopg.Error, OSError) as error:
                    pool.trouble = why(error)
                    raise
                pool.trouble = None
                return made

        super().__init__(url, connection_class=Noticed, **options)

    async def getconn(self, timeout: float | None = None) -> DirectAsync:
        """
        Raises:
            PoolTimeout: none was free or could be made; says why, where it is known.
        """
        try:
            return await super().getconn(timeout)
        except PoolTimeout as error:
            raise PoolTimeout(self.trouble or str(error)) from error
