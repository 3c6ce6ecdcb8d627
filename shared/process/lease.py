"""One process at a time does a certain work: whoever holds an advisory lock on a PostgreSQL session of its own.

The holder says a word on that session every `BEAT_SECONDS`. PostgreSQL itself ends a session that was silent for
`LEASE_SECONDS` (`idle_session_timeout`), so the lock of a holder that was killed, paused or cut off is free within that
time, and the holder, when it wakes up, knows by its own clock that its time is over. A lease makes two workers
unlikely, never impossible: what must not happen twice needs a fence where it happens.
"""

import asyncio
import hashlib
import time
from typing import Any

import psycopg
import structlog

from shared.process.cancellation import asked_to_end
from shared.process.postgres import DirectAsync, LockNotOurs, ended_when_silent

LEASE_SECONDS = 3.0
BEAT_SECONDS = 0.5

_LOW = 0xFFFF_FFFF
# A lock's one key of 64 bits, as PostgreSQL shows it in two halves.
_SEEN = """
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND classid::bigint = %s AND objid::bigint = %s AND objsubid = 1 AND granted
          AND pid = pg_backend_pid() AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))"""

log = structlog.get_logger(__name__)


class Lease:
    """The lease called `name`. `run` keeps trying for it and holding it; it ends only by cancellation."""

    def __init__(self, postgres_url: str, name: str) -> None:
        self._url = postgres_url
        self._name = name
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        self._until = 0.0
        self._acquired = asyncio.Event()
        self.trouble: str | None = "starting"

    @property
    def held(self) -> bool:
        """Whether this process may work now; false also when its time is over and nothing was heard of PostgreSQL."""
        return time.monotonic() < self._until

    async def acquired(self) -> None:
        """Returns when the lease is held."""
        while not self.held:
            self._acquired.clear()
            await self._acquired.wait()

    async def run(self) -> None:
        while not asked_to_end():
            try:
                await self._session()
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._say(str(error).strip() or type(error).__name__)
            finally:
                self._lose()
            await asyncio.sleep(BEAT_SECONDS)

    async def _session(self) -> None:
        connection = await DirectAsync.connect(
            self._url,
            settings=ended_when_silent(LEASE_SECONDS),
            autocommit=True,
            connect_timeout=2,
            application_name=f"{self._name} lease",
        )
        try:
            async with asyncio.timeout(LEASE_SECONDS) as deadline:
                while not asked_to_end():
                    await self._beat(connection)
                    deadline.reschedule(asyncio.get_running_loop().time() + LEASE_SECONDS)
                    await asyncio.sleep(BEAT_SECONDS)
        finally:
            await connection.close()

    async def _beat(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Tries for the lock, or says that its holder is alive; counted from before the words were sent."""
        asked = time.monotonic()
        if self._until:
            await self._require_lock(connection)
            if not self.held:
                raise TimeoutError("the lease ran out in a pause")
        else:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,))
            row = await cursor.fetchone()
            if row is None or not row[0]:
                self._say(None)
                return
            await self._require_lock(connection)
            self._say(None)
            log.info("lease.acquired", lease=self._name)
        self._until = asked + LEASE_SECONDS
        self._acquired.set()

    async def _require_lock(self, connection: psycopg.AsyncConnection[Any]) -> None:
        row = await (await connection.execute(_SEEN, (self._key >> 32 & _LOW, self._key & _LOW))).fetchone()
        if row is None or not row[0]:
            raise LockNotOurs

    def _lose(self) -> None:
        if self._until:
            log.info("lease.over", lease=self._name)
        self._until = 0.0

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning("lease.trouble", lease=self._name, error=trouble)
        self.trouble = trouble
