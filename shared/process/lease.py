"""A lease: one process at a time does certain work, the one that has an advisory lock in a PostgreSQL session.

The holder sends a query on that session every `beat_seconds`. PostgreSQL itself ends a session that was silent for
`lease_seconds` (`idle_session_timeout`). The lock of a holder that was killed, paused or cut off is free within that
time, and a holder that resumes knows by its own clock that its lease is over. A lease makes two workers unlikely,
never impossible: work that must not happen twice needs a fence where it takes effect.
"""

import asyncio
import hashlib
import time
from typing import Any, Final

import psycopg
import structlog

from shared.process.cancellation import cancellation_requested
from shared.process.postgres import DirectAsync, LockNotHeld, lock_session_settings

LEASE_SECONDS: Final = 3.0

_LOW = 0xFFFF_FFFF
# The key of a lock has 64 bits; PostgreSQL shows it in two halves.
_OWN_LOCK = """
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 1 AND granted
          AND pid = pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""

log = structlog.get_logger(__name__)


def lease_application_name(lease: str) -> str:
    """Return PostgreSQL's name for the session in which a process holds a lease, or tries for it."""
    return f"{lease} lease"


class LeaseLostError(Exception):
    """Another process may do the work now."""


class Lease:
    """The lease with this name. `run` tries for it and keeps it; it ends only by cancellation.

    `last_error` is why it cannot be asked for; None while it can.
    """

    def __init__(
        self, postgres_url: str, name: str, lease_seconds: float = LEASE_SECONDS, beat_seconds: float = 0.5
    ) -> None:
        self._url = postgres_url
        self._name = name
        self._lease_seconds = lease_seconds
        self._beat_seconds = beat_seconds
        # Of the advisory lock.
        self.lock_key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        self._until = 0.0
        self._acquired = asyncio.Event()
        self.last_error: str | None = "starting"

    @property
    def held(self) -> bool:
        """Whether this process may work now; false, too, when the time is over without an answer of PostgreSQL."""
        return time.monotonic() < self._until

    async def acquired(self) -> None:
        """Return when the lease is held."""
        while not self.held:
            self._acquired.clear()
            await self._acquired.wait()

    async def run(self) -> None:
        while not cancellation_requested():
            try:
                await self._session()
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._set_error(str(error).strip() or type(error).__name__)
            finally:
                self._lose()
            await asyncio.sleep(self._beat_seconds)

    async def _session(self) -> None:
        connection = await DirectAsync.connect(
            self._url,
            settings=lock_session_settings(self._lease_seconds),
            autocommit=True,
            connect_timeout=2,
            application_name=lease_application_name(self._name),
        )
        try:
            async with asyncio.timeout(self._lease_seconds) as deadline:
                while not cancellation_requested():
                    await self.beat(connection)
                    deadline.reschedule(asyncio.get_running_loop().time() + self._lease_seconds)
                    await asyncio.sleep(self._beat_seconds)
        finally:
            await connection.close()

    async def beat(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Try for the lock, or renew the lease; its time counts from before the query was sent."""
        sent_at = time.monotonic()
        if self._until:
            await self._require_lock(connection)
            if not self.held:
                raise TimeoutError("the lease ran out in a pause")
        else:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (self.lock_key,))
            row = await cursor.fetchone()
            if row is None or not row[0]:
                self._set_error(None)
                return
            await self._require_lock(connection)
            self._set_error(None)
            log.info("lease.acquired", lease=self._name)
        self._until = sent_at + self._lease_seconds
        self._acquired.set()

    async def _require_lock(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row = await (await connection.execute(_OWN_LOCK, (self.lock_key >> 32 & _LOW, self.lock_key & _LOW))).fetchone()
        if row is None or not row[0]:
            raise LockNotHeld

    def _lose(self) -> None:
        if self._until:
            log.info("lease.over", lease=self._name)
        self._until = 0.0

    def _set_error(self, error: str | None) -> None:
        if error is not None and error != self.last_error:
            log.warning("lease.trouble", lease=self._name, error=error)
        self.last_error = error
