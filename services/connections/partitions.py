"""Writers divide the partitions: one writer serves each, and another takes over soon after that one ends.

NATS puts commands into partitions by their account, so the commands of an account come to one writer, and writers
seldom conflict. That is for speed only: while a partition moves two writers serve it, and the event store keeps both
right.

Advisory locks of a PostgreSQL session, gone with their process, assign the partitions: one exclusive lock for each
partition, and a shared one that every writer holds to be counted. A writer subscribes before it takes a partition, and
serves one that it gave up until another has it, so every partition always has a server. PostgreSQL ends a silent
session, so a writer that hangs keeps nothing for longer than `SILENCE_SECONDS`.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import structlog

from shared.messaging.endpoint import Endpoint
from shared.process.cancellation import cancellation_requested
from shared.process.postgres import DirectAsync, LockNotHeld, PostgresError, PostgresSession, lock_session_settings
from shared.wire.connection import NatsClient, NatsError, flush_confirmed

BEAT_SECONDS = 0.25
SILENCE_SECONDS = 3.0
LEAVE_SECONDS = 2.0

# The first key of the locks; the second is the partition, or this for being counted.
LOCKS = 582411303
PRESENT = 1_000_000

log = structlog.get_logger(__name__)

_HELD = """
    SELECT objid::bigint, pid, pg_backend_pid() FROM pg_locks
    WHERE locktype = 'advisory' AND classid::bigint = %s AND objsubid = 2 AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


class Shares(NamedTuple):
    """The locks as one session (`me`, its backend's pid) sees them: writers in order, partitions by holder."""

    me: int
    writers: Sequence[int]
    holders: dict[int, int]

    @property
    def mine(self) -> set[int]:
        return {partition for partition, pid in self.holders.items() if pid == self.me}

    @property
    def others(self) -> set[int]:
        """Partitions that another writer holds and therefore serves."""
        return {partition for partition, pid in self.holders.items() if pid != self.me}

    def quota(self, count: int) -> int:
        """The number of `count` partitions for this writer; the quotas of all writers add up to it."""
        if self.me not in self.writers:
            return 0
        whole, rest = divmod(count, len(self.writers))
        return whole + (self.writers.index(self.me) < rest)


class Partitions:
    """Serves this process's share of `count` partitions; `endpoint_of` makes the endpoint of one, not yet open."""

    def __init__(
        self, postgres_url: str, client: NatsClient, count: int, endpoint_of: Callable[[int], Endpoint]
    ) -> None:
        self._url = postgres_url
        self._client = client
        self._count = count
        self._endpoint_of = endpoint_of
        self._open: dict[int, Endpoint] = {}
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.last_error: str | None = "no share of the partitions yet"

    async def ready(self) -> str | None:
        failed = self._task is not None and self._task.done() and not self._leaving.is_set()
        return "the sharing out of partitions has failed" if failed else self.last_error

    @property
    def served(self) -> set[int]:
        return set(self._open)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def drain(self) -> None:
        """Hand the partitions over if there is another writer; return when every received command was taken."""
        self._leaving.set()
        if self._task is not None:
            # After a failure, too, the received commands are answered.
            await asyncio.wait({self._task})
        await asyncio.gather(*(endpoint.drain() for endpoint in self._open.values()))

    async def _run(self) -> None:
        while not self._leaving.is_set() and not cancellation_requested():
            try:
                await self._session()
            except (PostgresError, NatsError, OSError, TimeoutError) as error:
                self._report(str(error).strip() or type(error).__name__)
                await self._pause()

    async def _session(self) -> None:
        session = await DirectAsync.connect(
            self._url,
            settings=lock_session_settings(SILENCE_SECONDS),
            autocommit=True,
            connect_timeout=2,
            application_name="partitions",
        )
        try:
            await session.execute("SELECT pg_advisory_lock_shared(%s, %s)", (LOCKS, PRESENT))
            while not self._leaving.is_set() and not cancellation_requested():
                async with asyncio.timeout(SILENCE_SECONDS):
                    await self.beat(session)
                self._report(None)
                await self._pause()
            async with asyncio.timeout(LEAVE_SECONDS + SILENCE_SECONDS):
                await self._leave(session)
        finally:
            await session.close()

    async def beat(self, session: PostgresSession) -> None:
        """Take or leave partitions, so that the writers share them evenly."""
        if not self._client.is_connected:
            # No command would arrive here: leave the partitions to connected writers.
            raise ConnectionError("not connected to NATS")
        shares = await self._shares(session)
        if shares.me not in shares.writers:
            raise LockNotHeld
        wanted = shares.quota(self._count) - len(shares.mine)
        if wanted > 0:
            for partition in self._first(shares)[:wanted]:
                await self._take(session, partition)
        for partition in sorted(shares.mine)[: max(0, -wanted)]:
            await session.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCKS, partition))
        for partition in shares.others & self._open.keys():
            await self._open.pop(partition).drain()

    def _first(self, shares: Shares) -> list[int]:
        """The free partitions: those still served here first; then each writer begins elsewhere, to avoid conflicts."""
        free = set(range(self._count)) - shares.holders.keys()
        start = shares.writers.index(shares.me) * self._count // len(shares.writers)
        return sorted(free, key=lambda partition: (partition not in self._open, (partition - start) % self._count))

    async def _take(self, session: PostgresSession, partition: int) -> None:
        """Try to take the partition; if another writer was faster, the next beat sees that."""
        if partition not in self._open:
            endpoint = self._endpoint_of(partition)
            await endpoint.open(self._client)
            self._open[partition] = endpoint
            await flush_confirmed(self._client, 1)
        await session.execute("SELECT pg_try_advisory_lock(%s, %s)", (LOCKS, partition))

    async def _leave(self, session: PostgresSession) -> None:
        """Give everything up; return when others have it, or there is no other writer, or they are too slow."""
        await session.execute("SELECT pg_advisory_unlock_all()")
        end = time.monotonic() + LEAVE_SECONDS
        while time.monotonic() < end:
            shares = await self._shares(session)
            if not shares.writers or shares.others >= self._open.keys():
                return
            await asyncio.sleep(BEAT_SECONDS / 5)

    async def _shares(self, session: PostgresSession) -> Shares:
        rows = await (await session.execute(_HELD, (LOCKS,))).fetchall()
        # Not the pid of the connection itself: behind a pooler that may be another one.
        me = rows[0][2] if rows else 0
        writers = sorted(pid for partition, pid, _ in rows if partition == PRESENT)
        return Shares(me, writers, {partition: pid for partition, pid, _ in rows if partition != PRESENT})

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(BEAT_SECONDS):
                await self._leaving.wait()
        except TimeoutError:
            return

    def _report(self, error: str | None) -> None:
        if error is not None and error != self.last_error:
            log.warning("partitions.trouble", error=error)
        self.last_error = error
