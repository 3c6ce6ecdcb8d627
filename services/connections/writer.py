"""The one thread in which a process decides: it takes the commands that wait, settles them as a group, then answers.

While one group waits for the disk the next one gathers, so groups grow with the load and nobody waits for a timer.
The commands that wait are bounded, by number and size, and accounts are served in turn. A flood of one account delays
the others by at most a group, and only that account is refused with BUSY.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from services.connections import outcome
from services.connections.decider import Decider, Outcomes
from services.connections.envelope import CommandEnvelope
from services.connections.limits import LIMITS, WriterLimits
from services.connections.outcome import Outcome
from services.connections.store.recorder import CommitOutcomeUnknown, StoreUnavailable
from shared.messaging.admission import Admission, KnownTenants, Throughput, weight_of
from shared.messaging.fair_queue import FairQueue
from shared.process import metrics, unexpected_errors
from shared.process.histograms import DURATIONS, SIZES, Histogram
from shared.process.postgres import not_ready
from shared.wire.backoff import Backoff

log = structlog.get_logger(__name__)


class Writer:
    """Commands come in with `submit`, on the event loop; `answer` gets their outcomes, on the loop too.

    `open_decider` is called in the thread, again and again until the store answers; `failed` is called when the thread
    has ended by a fault of this code.
    """

    def __init__(
        self,
        open_decider: Callable[[], Decider],
        answer: Callable[[Outcomes], None],
        failed: Callable[[], None],
        limits: WriterLimits = LIMITS,
        tenants: KnownTenants | None = None,
    ) -> None:
        self._limits = limits
        # Of the groups that were settled; written in the thread, read anywhere.
        self._sizes = Histogram(SIZES)
        self._durations = Histogram(DURATIONS)
        self._failed = failed
        self._open_decider = open_decider
        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._tenants = tenants or KnownTenants()
        self._admission = Admission(limits.waiting, self._tenants)
        self._waiting: FairQueue[CommandEnvelope] = FairQueue(self._tenants)
        self._throughput = Throughput(limits.throughput)
        self._refusing = False
        self._arrived = threading.Event()
        self._stopping = threading.Event()
        self._idle = True
        self._waking = False
        self._last_error: str | None = "not connected to PostgreSQL yet"
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def last_error(self) -> str | None:
        """The reason why no commands are decided now; None while they are."""
        return self._last_error

    def start(self) -> None:
        self._thread.start()
        self._sweeper = asyncio.create_task(self._refuse_expired())

    def admits(self, account: str, size: int) -> bool:
        """Whether a command of this account, with a body of so many bytes, would be taken now; ask before reading."""
        admitted = self._admission.admits(account, weight_of(size)) and not self._stopping.is_set()
        self._refusing |= not admitted
        return admitted

    def submit(self, envelope: CommandEnvelope, size: int = 0) -> bool:
        """Takes the command, unless too many wait already; then the caller must be refused with BUSY."""
        weight = weight_of(size)
        share = None if self._stopping.is_set() else self._admission.enter(envelope.account, weight)
        if share is None:
            return False
        envelope.share, envelope.weight = share, weight
        envelope.arrived = time.monotonic()
        self._waiting.put(envelope)
        if not self._waking:
            # Once for all that was read together: a thread woken by the first would take it alone, and take the
            # interpreter's lock from the loop that reads the rest.
            self._waking = True
            self._loop.call_soon(self._wake)
        return True

    def _wake(self) -> None:
        self._waking = False
        self._arrived.set()

    def retry_after_ms(self) -> int:
        """The time for the commands that wait now, at the average throughput."""
        hint = self._throughput.retry_after_ms(self._admission.total)
        return hint if self._last_error is None else max(hint, self._limits.retry_when_unavailable_ms)

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

    async def drain(self, seconds: float) -> None:
        """Returns when every command that was taken is answered; then the thread has ended."""
        deadline = time.monotonic() + seconds
        while (self._waiting or not self._idle) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        self._stopping.set()
        self._arrived.set()
        if self._sweeper is not None:
            self._sweeper.cancel()
        await asyncio.to_thread(self._thread.join, max(0.5, deadline - time.monotonic()))

    # ---- in the thread

    def _run(self) -> None:
        try:
            decider = self._opened()
            if decider is None:
                return
            self._last_error = None
            while not self._stopping.is_set():
                group = self._take()
                if group:
                    self._settle(decider, group)
                    self._give_way()
                elif group is None:
                    self._probe(decider)
            decider.store.close()
        except Exception:
            self._last_error = "the writer has failed; see the log"
            log.exception("writer.failed")
            self._loop.call_soon_threadsafe(self._failed)

    def _give_way(self) -> None:
        if self._refusing:
            self._refusing = False
            self._stopping.wait(self._limits.give_way_seconds)

    def _probe(self, decider: Decider) -> None:
        """While no command comes: whether commands would be decided."""
        try:
            decider.store.probe()
            self._last_error = None
        except StoreUnavailable as error:
            self._keep_error(error)

    def _backoff(self) -> Backoff:
        return Backoff(self._limits.first_pause_seconds, self._limits.longest_pause_seconds)

    def _opened(self) -> Decider | None:
        backoff = self._backoff()
        while not self._stopping.is_set():
            try:
                return self._open_decider()
            except StoreUnavailable as error:
                reason = not_ready(str(error))
                if reason != self._last_error:
                    log.warning("ledger.not_opened", error=str(error))
                self._last_error = reason
                self._stopping.wait(backoff.next())
        return None

    def _take(self) -> list[CommandEnvelope] | None:
        """The next group, which may be empty; None when no command came for a while."""
        if not self._waiting:
            self._idle = True
            if not self._arrived.wait(self._limits.probe_seconds):
                return None
        self._arrived.clear()
        # Before it takes: `drain` must not find an empty queue and an idle thread in between.
        self._idle = False
        group = self._waiting.take(self._limits.group, self._limits.group_of_one)
        self._idle = not group
        if self._waiting:
            self._arrived.set()
        return group

    def _settle(self, decider: Decider, group: list[CommandEnvelope], *, unclear: bool = False) -> None:
        """Settles the group, and waits for a store that is away: after a commit of unknown outcome without end."""
        backoff, began = self._backoff(), time.monotonic()
        while group and not self._stopping.is_set():
            try:
                outcomes = decider.settle(group)
                self._count(group, time.monotonic() - began)
                self._last_error = None
                self._add_tenants(outcomes)
                self._hand_over(outcomes)
                return
            except CommitOutcomeUnknown as error:
                unclear = True
                self._keep_error(error)
            except StoreUnavailable as error:
                self._keep_error(error)
                if not unclear:
                    group = self._without_expired(group)
            except Exception as error:  # noqa: BLE001  each is settled alone, and the one at fault is answered so
                self._settle_one_by_one(decider, group, error, unclear=unclear)
                return
            pause = backoff.next()
            self._stopping.wait(pause if unclear else min(pause, self._patience_left(group)))
        # Asked to stop meanwhile: when a command comes again under its id, the journal has its outcome.
        self._hand_over([self._busy(envelope) for envelope in group])

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
        unexpected_errors.record(error, "deciding", unclear=unclear, **envelope.log_fields())
        # When unclear it may take effect yet: only the journal knows, which is read when the command comes again.
        settled = self._busy(envelope)
        if not unclear:
            try:
                settled = envelope, decider.settle_failed(envelope)
            except (StoreUnavailable, CommitOutcomeUnknown) as unavailable:
                self._keep_error(unavailable)
        self._hand_over([settled])

    def _count(self, group: Sequence[CommandEnvelope], seconds: float) -> None:
        self._throughput.observe(sum([envelope.weight for envelope in group]), seconds)
        self._sizes.observe((len(group),))
        self._durations.observe((int(seconds * 1e9),))

    def _add_tenants(self, outcomes: Outcomes) -> None:
        """Accounts with a successful decision exist; a dry run creates none."""
        known = self._tenants
        found = {
            envelope.account
            for envelope, decided in outcomes
            if envelope.account not in known and not decided.reason and not envelope.dry_run
        }
        if found:
            self._waiting.add_tenants(found)

    def _keep_error(self, error: Exception) -> None:
        # The lines after the first are the statement, some kilobytes of it.
        reason, _, _ = str(error).partition("\n")
        if self._last_error is None:
            log.warning("event_store.away", error=reason)
        self._last_error = not_ready(reason)

    def _without_expired(self, group: list[CommandEnvelope]) -> list[CommandEnvelope]:
        limit = time.monotonic() - self._limits.patience_seconds
        self._hand_over([self._busy(envelope) for envelope in group if envelope.arrived <= limit])
        return [envelope for envelope in group if envelope.arrived > limit]

    def _patience_left(self, group: Sequence[CommandEnvelope]) -> float:
        """Seconds until the command that waits longest is refused."""
        now = time.monotonic()
        oldest = min((envelope.arrived for envelope in group), default=now)
        return max(0.0, oldest + self._limits.patience_seconds - now)

    def _busy(self, envelope: CommandEnvelope) -> tuple[CommandEnvelope, Outcome]:
        return envelope, outcome.refused(envelope, outcome.busy(self.retry_after_ms()))

    def _hand_over(self, outcomes: Outcomes) -> None:
        if outcomes:
            self._loop.call_soon_threadsafe(self._release, outcomes)

    # ---- on the loop

    def _release(self, outcomes: Outcomes) -> None:
        for envelope, _ in outcomes:
            self._admission.leave(envelope.share, envelope.weight)
        self._answer(outcomes)

    async def _refuse_expired(self) -> None:
        """While the store holds the thread up, the commands that wait behind it are refused with BUSY in time."""
        while True:
            await asyncio.sleep(0.25)
            limit = time.monotonic() - self._limits.patience_seconds
            late = self._waiting.remove_expired(lambda envelope: envelope.arrived <= limit)  # noqa: B023  used at once
            if late:
                self._release([self._busy(envelope) for envelope in late])
