"""The one thread in which a process decides: it takes what has gathered, settles it as a group, then answers.

While one group waits for the disk the next one gathers, so groups grow with the load and nobody waits for a timer.
What may wait is bounded, by number and size, and accounts are served in turn: a flood of one delays the others by no
more than a group, and hears BUSY alone.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from services.connections import outcome
from services.connections.decider import Decider, Outcomes
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.recorder import CommitOutcomeUnknown, StoreUnavailable
from shared.messaging.admission import Admission, KnownTenants, Throughput, weight_of
from shared.messaging.fair_queue import FairQueue
from shared.process import metrics, unexpected_errors
from shared.process.histograms import DURATIONS, SIZES, Histogram
from shared.process.postgres import not_ready
from shared.wire.backoff import Backoff

# In weights: one for a command, and one more for every 4 KiB of its body.
LARGEST_GROUP = 512
# Of one account, while there are others.
MOST_OF_ONE = 64
MOST_WAITING = 8_192
# How long a command may wait for a store that does not answer before the caller is told BUSY.
PATIENCE_SECONDS = 2.5
PROBE_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0
# What is supposed before the first group is measured; and while the store is away nobody need hurry.
FIRST_THROUGHPUT = 1_000.0
AWAY_RETRY_MS = 500
# What the thread leaves, after each group, to reading and refusing while there is something to refuse.
GIVE_WAY_SECONDS = 0.01

log = structlog.get_logger(__name__)


class Writer:
    """Commands go in with `submit`, on the event loop; their answers come to `tell`, on the loop too.

    `open_decider` is called in the thread, again and again until the store answers; `failed` is called when the thread
    has ended by a fault of this code.
    """

    def __init__(
        self,
        open_decider: Callable[[], Decider],
        tell: Callable[[Outcomes], None],
        failed: Callable[[], None],
        capacity: int = MOST_WAITING,
    ) -> None:
        # Of the groups that were settled; written in the thread, read anywhere.
        self._sizes = Histogram(SIZES)
        self._durations = Histogram(DURATIONS)
        self._failed = failed
        self._open_decider = open_decider
        self._tell = tell
        self._loop = asyncio.get_running_loop()
        known = KnownTenants()
        self._admission = Admission(capacity, known)
        self._known = known
        self._waiting: FairQueue[CommandEnvelope] = FairQueue(known)
        self._throughput = Throughput(FIRST_THROUGHPUT)
        self._refusing = False
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._idle = True
        self._waking = False
        self._trouble: str | None = "not connected to PostgreSQL yet"
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._sweeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._thread.start()
        self._sweeper = asyncio.create_task(self._sweep())

    def admits(self, account: str, size: int) -> bool:
        """Whether a command of this account, with a body of so many bytes, would be taken now: ask before reading."""
        admitted = self._admission.admits(account, weight_of(size)) and not self._stopping.is_set()
        self._refusing |= not admitted
        return admitted

    def submit(self, envelope: CommandEnvelope, size: int = 0) -> bool:
        """Takes the command, unless too much waits already; then the caller is to be told BUSY."""
        weight = weight_of(size)
        share = None if self._stopping.is_set() else self._admission.enter(envelope.account, weight)
        if share is None:
            return False
        envelope.share, envelope.weight = share, weight
        envelope.arrived = time.monotonic()
        self._waiting.put(envelope)
        if not self._waking:
            # Once for all that was read together: a thread woken by the first would take it alone, and the
            # interpreter's lock from who reads the rest.
            self._waking = True
            self._loop.call_soon(self._wake)
        return True

    def _wake(self) -> None:
        self._waking = False
        self._arrived.set()

    def retry_after_ms(self) -> int:
        """How long what waits now will take, at the average throughput."""
        hint = self._throughput.retry_after_ms(self._admission.total)
        return hint if self._trouble is None else max(hint, AWAY_RETRY_MS)

    def collect_metrics(self) -> Sequence[metrics.Metric]:
        return [
            metrics.gauge(
                "switchboard_commands_under_way",
                "Commands that wait or are being decided, large ones counting for several.",
                self._admission.total,
            ),
            metrics.histogram("switchboard_commit_commands", "Commands settled in one commit.", self._sizes, unit=1),
            metrics.histogram(
                "switchboard_commit_duration_seconds",
                "From when a group of commands was taken until it was durable.",
                self._durations,
            ),
        ]

    def trouble(self) -> str | None:
        """Why commands are not being decided now; None when they are."""
        return self._trouble

    async def drain(self, seconds: float) -> None:
        """Waits until everything taken has been answered, then stops the thread."""
        deadline = time.monotonic() + seconds
        while (self._waiting or not self._idle) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._stopping.set()
        self._arrived.set()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.to_thread(self._thread.join, max(0.5, deadline - time.monotonic()))

    # ---- in the thread

    def _work(self) -> None:
        try:
            decider = self._opened()
            if decider is None:
                return
            self._trouble = None
            while not self._stopping.is_set():
                group = self._take()
                if group:
                    self._settle(decider, group)
                    self._give_way()
                elif group is None:
                    self._probe(decider)
            decider.store.close()
        except Exception:
            self._trouble = "the writer has failed; see the log"
            log.exception("writer.failed")
            self._loop.call_soon_threadsafe(self._failed)

    def _give_way(self) -> None:
        """A flood that is not read as it comes fills the server's buffer, and the server cuts the connection."""
        if self._refusing:
            self._refusing = False
            self._stopping.wait(GIVE_WAY_SECONDS)

    def _probe(self, decider: Decider) -> None:
        """While nobody asks: whether commands would be decided."""
        try:
            decider.store.probe()
            self._trouble = None
        except StoreUnavailable as error:
            self._tell_trouble(error)

    def _opened(self) -> Decider | None:
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        while not self._stopping.is_set():
            try:
                return self._open_decider()
            except StoreUnavailable as error:
                trouble = not_ready(str(error))
                if trouble != self._trouble:
                    log.warning("ledger.not_opened", error=str(error))
                self._trouble = trouble
                self._stopping.wait(backoff.next())
        return None

    def _take(self) -> list[CommandEnvelope] | None:
        """What has gathered, which may be nothing; None when nobody asked for a while."""
        if not self._waiting:
            self._idle = True
            if not self._arrived.wait(PROBE_SECONDS):
                return None
        self._arrived.clear()
        # Before it takes: whoever waits for the end must not find nobody waiting and nobody at work.
        self._idle = False
        group = self._waiting.take(LARGEST_GROUP, MOST_OF_ONE)
        self._idle = not group
        if self._waiting:
            self._arrived.set()
        return group

    def _settle(self, decider: Decider, group: list[CommandEnvelope], *, unclear: bool = False) -> None:
        """Settles the group; a store that is away is waited for, once it may have committed for as long as it takes."""
        backoff = Backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        began = time.monotonic()
        while group and not self._stopping.is_set():
            try:
                answers = decider.settle(group)
                self._count(group, time.monotonic() - began)
                self._trouble = None
                self._meet(answers)
                self._answer(answers)
                return
            except CommitOutcomeUnknown as error:
                unclear = True
                self._tell_trouble(error)
            except StoreUnavailable as error:
                self._tell_trouble(error)
                if not unclear:
                    group = self._without_impatient(group)
            except Exception as error:  # noqa: BLE001  each is settled alone, and the one at fault is told
                self._settle_one_by_one(decider, group, error, unclear=unclear)
                return
            pause = backoff.next()
            self._stopping.wait(pause if unclear else min(pause, _patience_of(group)))
        # Asked to stop meanwhile: asked again with the same id, the journal tells what became of each.
        self._answer([self._busy(envelope) for envelope in group])

    def _count(self, group: Sequence[CommandEnvelope], seconds: float) -> None:
        self._throughput.observe(sum([envelope.weight for envelope in group]), seconds)
        self._sizes.observe((len(group),))
        self._durations.observe((int(seconds * 1e9),))

    def _meet(self, answers: Outcomes) -> None:
        """Accounts for which something was decided with success are there; a dry run makes none."""
        known = self._known
        met = {
            envelope.account
            for envelope, decided in answers
            if envelope.account not in known and not decided.reason and not envelope.dry_run
        }
        if met:
            self._waiting.add_tenants(met)

    def _settle_one_by_one(
        self, decider: Decider, group: list[CommandEnvelope], error: Exception, *, unclear: bool
    ) -> None:
        """A command at which this code fails must not keep the others from their answers."""
        if len(group) > 1:
            unexpected_errors.record(error, "deciding_group", commands=len(group))
            for envelope in group:
                self._settle(decider, [envelope], unclear=unclear)
            return
        (envelope,) = group
        unexpected_errors.record(error, "deciding", unclear=unclear, **_described(envelope))
        if unclear:
            # It may take effect yet: only the journal knows, which is asked when the command comes again.
            self._answer([self._busy(envelope)])
            return
        try:
            self._answer([(envelope, decider.settle_failed(envelope))])
        except (StoreUnavailable, CommitOutcomeUnknown) as away:
            self._tell_trouble(away)
            self._answer([self._busy(envelope)])

    def _tell_trouble(self, error: Exception) -> None:
        # What follows the first line is the statement, some kilobytes of it.
        told, _, _ = str(error).partition("\n")
        if self._trouble is None:
            log.warning("event_store.away", error=told)
        self._trouble = not_ready(told)

    def _without_impatient(self, group: list[CommandEnvelope]) -> list[CommandEnvelope]:
        limit = time.monotonic() - PATIENCE_SECONDS
        self._answer([self._busy(envelope) for envelope in group if envelope.arrived <= limit])
        return [envelope for envelope in group if envelope.arrived > limit]

    def _busy(self, envelope: CommandEnvelope) -> tuple[CommandEnvelope, Outcome]:
        return envelope, outcome.refused(envelope, outcome.busy(self.retry_after_ms()))

    def _answer(self, answers: Outcomes) -> None:
        if answers:
            self._loop.call_soon_threadsafe(self._let_go, answers)

    # ---- on the loop

    def _let_go(self, answers: Outcomes) -> None:
        for envelope, _ in answers:
            self._admission.leave(envelope.share, envelope.weight)
        self._tell(answers)

    async def _sweep(self) -> None:
        """While the thread is held up by the store, those who wait behind it are told BUSY in time."""
        while True:
            await asyncio.sleep(0.25)
            limit = time.monotonic() - PATIENCE_SECONDS
            late = self._waiting.remove_expired(lambda envelope: envelope.arrived <= limit)  # noqa: B023  used at once
            if late:
                self._let_go([self._busy(envelope) for envelope in late])


def _described(envelope: CommandEnvelope) -> dict[str, str | None]:
    """Which command a line of the log is about."""
    return {
        "account": envelope.account,
        "command": envelope.name,
        "command_id": envelope.command_id,
        "correlation_id": envelope.correlation_id,
    }


def _patience_of(group: Sequence[CommandEnvelope]) -> float:
    """For how long the one that has waited longest may still wait."""
    if not group:
        return PATIENCE_SECONDS
    return max(0.0, min(envelope.arrived for envelope in group) + PATIENCE_SECONDS - time.monotonic())
