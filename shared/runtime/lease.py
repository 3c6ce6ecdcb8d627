"""One process at a time does a certain work: whoever holds an advisory lock on a PostgreSQL session of its own.

The holder says a word on that session every `BEAT_SECONDS`. PostgreSQL itself ends a session that was silent for
`LEASE_SECONDS` (`idle_session_timeout`), so the lock of a holder that was killed, paused or cut off is free within that
time, and the holder, when it wakes up, knows by its own clock that its time is over. A lease makes two workers
unlikely, never impossible: what must not happen twice needs a fence where it happens.
"""

import asyncio
import hashlib
import time

import psycopg
import structlog

from shared.runtime.postgres import ended_when_silent
from shared.runtime.processes.ending import asked_to_end

LEASE_SECONDS = 3.0
BEAT_SECONDS = 0.5

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
        connection = await psycopg.AsyncConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=2,
            options=ended_when_silent(LEASE_SECONDS),
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

    async def _beat(self, connection: psycopg.AsyncConnection[tuple[bool]]) -> None:
        """Tries for the lock, or says that its holder is alive; counted from before the words were sent."""
        asked = time.monotonic()
        if self._until:
            await connection.execute("SELECT true")
            if not self.held:
                raise TimeoutError("the lease ran out in a pause")
        else:
            cursor = await connection.execute("SELECT pg_try_advisory_lock(%s)", (self._key,))
            row = await cursor.fetchone()
            self._say(None)
            if row is None or not row[0]:
                return
            log.info("lease.acquired", lease=self._name)
        self._until = asked + LEASE_SECONDS
        self._acquired.set()

    def _lose(self) -> None:
        if self._until:
            log.info("lease.over", lease=self._name)
        self._until = 0.0

    def _say(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self.trouble:
            log.warning("lease.trouble", lease=self._name, error=trouble)
        self.trouble = trouble
