"""Every question gets one answer in time: a result with the position it is as of, or an error that says why not.

Questions run side by side. Each reads one snapshot of the view; a database that is away or slow is BUSY, and a body
that cannot be read is QUERY_INVALID, never silence. How many are under way is bounded, those that wait for a position
too: a flood of one account takes its share, and hears BUSY alone.
"""

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
import psycopg
import structlog
from psycopg_pool import PoolTimeout
from pydantic import ValidationError

from shared.language.questions import LONGEST_WAIT_MS, QUESTIONS, Question
from shared.language.reasons import QuestionError
from shared.language.subjects import Ce
from shared.language.text import SERVICE
from shared.messaging.admission import Admission, KnownTenants, weight_of
from shared.messaging.endpoint import Endpoint, Reply, Request
from shared.messaging.fair_queue import FairQueue
from shared.messaging.json_body import ACCOUNT, parse_body, printable, problem, problems_of
from shared.messaging.message_size import HEADERS_MARGIN
from shared.process import metrics, unexpected_errors
from shared.process.histograms import DURATIONS, OTHER, Histogram
from shared.projections.answers import (
    LARGEST_PAGE,
    QuestionRefusedError,
    Result,
    busy,
    error_body,
    error_reply,
    failed,
    invalid,
    not_allowed,
    render_answer,
    too_large,
)  # fmt: skip
from shared.projections.snapshots import OverloadedError, SharedSnapshots
from shared.projections.view import Snapshot, View

ANSWER_SECONDS = 8.0
READY_SECONDS = 1.8
DRAIN_SECONDS = 1.5
QUIET_SECONDS = 1.0
# In weights: one for a question, and one more for every 4 KiB of its body.
MAX_UNDER_WAY = 1_024
# So many are begun in one pass of the event loop, and of one account while there are others: what has come in one
# piece is not all read before whoever comes next.
STARTED_AT_ONCE = 16
STARTED_OF_ONE = 2
# Another process of the same view may have gone on; asked only while somebody waits.
POLL_SECONDS = 0.05
# NATS carries 1 MiB, headers and all, unless it is set otherwise.
LARGEST_REPLY = 1_000_000
# A pair of them, any other escape, or one alone.
SURROGATES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
# In the subject of a question.
ACCOUNT_AND_NAME = slice(3, 5)

log = structlog.get_logger(__name__)


QuestionHandler = Callable[[Snapshot, Question], Awaitable[Result]]


@dataclass(slots=True, eq=False)
class PendingQuestion:
    """A question that has its place among those under way, and is not read yet."""

    account: str
    share: str
    weight: int
    endpoint: Endpoint
    request: Request


class QueryEndpoint:
    """Answers the questions of one view; `known` by name, `foreign` are left to another service in silence."""

    def __init__(
        self,
        view: View,
        questions: Mapping[str, type[Question]],
        answer: QuestionHandler,
        ignored: frozenset[str] = frozenset(),
        max_payload: Callable[[], int] = lambda: LARGEST_REPLY,
    ) -> None:
        self._view = view
        self._questions = questions
        self._ignored = ignored
        self._answer_question = answer
        self._max_payload = max_payload
        accounts = KnownTenants()
        self._admission = Admission(MAX_UNDER_WAY, accounts)
        self._pending: FairQueue[PendingQuestion] = FairQueue(accounts)
        self._start_scheduled = False
        self._snapshots = SharedSnapshots(view, accounts)
        self._running: set[asyncio.Task[None]] = set()
        self._stuck: set[asyncio.Task[bytes]] = set()
        self._poller: asyncio.Task[None] | None = None
        self._unlogged, self._quiet_until = 0, 0.0
        # By name, outcome and reason; what is told from the start, and not from its first time on, has a true rate.
        self._answered_count: Counter[tuple[str, str, str | None]] = Counter(
            {(name, *kind): 0 for name in questions for kind in (("answered", None), ("refused", QuestionError.BUSY))}
        )
        self._durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATIONS))

    def endpoint(self, name: str, subject: str, queue: str) -> Endpoint:
        """An endpoint whose requests are answered here."""

        def refuse(subject: bytes, data: bytes) -> bytes | None:
            _, _, _, account, name = subject.decode(errors="replace").split(".")
            if name in self._ignored or self._admission.admits(account, weight_of(len(data))):
                return None
            self._answered_count[self._counted_as(name), "refused", QuestionError.BUSY] += 1
            return error_body(busy("too many are under way", self._retry_after_ms()))

        def take(request: Request) -> bool:
            account, name = request.subject.split(".")[ACCOUNT_AND_NAME]
            if name in self._ignored:
                return False
            weight = weight_of(len(request.data))
            share = self._admission.enter(account, weight)
            assert share is not None, "else it was refused"
            self._pending.put(PendingQuestion(account, share, weight, endpoint, request))
            self._start_soon()
            return True

        endpoint = Endpoint(name, subject, queue, take, refuse, lambda _data: error_body(failed()))
        return endpoint

    def _start_soon(self) -> None:
        if not self._start_scheduled:
            self._start_scheduled = True
            asyncio.get_running_loop().call_soon(self._start_some)

    def _start_some(self) -> None:
        self._start_scheduled = False
        for pending in self._pending.take(STARTED_AT_ONCE, STARTED_OF_ONE):
            self._start(pending)
        if self._pending:
            self._start_soon()

    def _start(self, pending: PendingQuestion) -> None:
        def ended(task: "asyncio.Task[None]") -> None:
            self._running.discard(task)
            self._admission.leave(pending.share, pending.weight)

        task = asyncio.create_task(self._answer_and_count(pending.endpoint, pending.request))
        self._running.add(task)
        task.add_done_callback(ended)

    def _retry_after_ms(self) -> int:
        return self._snapshots.throughput.retry_after_ms(self._admission.total)

    async def drain(self) -> None:
        """Returns when every question taken has its answer; those that wait for a position are told to ask again."""
        while self._pending:
            await asyncio.sleep(0)
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_SECONDS)
        for late in self._running:
            late.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=DRAIN_SECONDS)
        if self._poller is not None:
            self._poller.cancel()

    async def ready(self) -> str | None:
        """None when the view can be read."""
        try:
            # Shorter than a probe may take, whose own word would not say why.
            async with asyncio.timeout(READY_SECONDS):
                await self._view.position()
        except TimeoutError:
            return self._view.unreachable or f"no answer within {READY_SECONDS:g} s"
        except psycopg.Error as error:
            return self._view.unreachable or f"{type(error).__name__}: {error}".strip()
        return None

    async def collect_metrics(self) -> Sequence[metrics.Metric]:
        return [
            metrics.counter(
                "switchboard_questions_total",
                "Questions answered or refused.",
                ("question", "outcome", "reason"),
                self._answered_count,
            ),
            metrics.histogram(
                "switchboard_question_duration_seconds",
                "From a question's arrival to its reply.",
                self._durations,
                "question",
            ),
            metrics.gauge(
                "switchboard_questions_under_way",
                "Questions that wait or are being answered, large ones counting for several.",
                self._admission.total,
            ),
        ]

    async def _answer_and_count(self, endpoint: Endpoint, request: Request) -> None:
        _, _, _, account, name = request.subject.split(".")
        reply = await self._handle(account, name, request)
        self._count_answer(self._counted_as(name), reply)
        await endpoint.reply([reply])

    def _counted_as(self, name: str) -> str:
        return name if name in self._questions else OTHER

    def _count_answer(self, name: str, reply: Reply) -> None:
        outcome, reason = ("refused", reply.error[1]) if reply.error else ("answered", None)
        self._answered_count[name, outcome, reason] += 1
        self._durations[name].observe((time.perf_counter_ns() - reply.request.began,))

    async def _handle(self, account: str, name: str, request: Request) -> Reply:
        try:
            return Reply(request, await self._answer_when_reached(account, name, request.data))
        except QuestionRefusedError as error:
            return error_reply(request, error)
        except asyncio.CancelledError:
            return error_reply(request, busy("this service stops"))
        except Exception as error:  # noqa: BLE001  the caller hears that it is our fault
            asked = {"account": printable(account), "question": self._counted_as(name)}
            trace = request.headers.get(Ce.TRACEPARENT)
            unexpected_errors.record(error, "answering", **asked, traceparent=trace)
            return error_reply(request, failed())

    async def _answer_when_reached(self, account: str, name: str, data: bytes) -> bytes:
        question = parse_question(self._questions, account, name, data)
        until = time.monotonic() + min(question.wait_ms, LONGEST_WAIT_MS) / 1_000
        while True:
            await self._wait_for_position(question.at_least, until)
            try:
                return await self._with_timeout(account, question)
            except SnapshotBehindError:
                if time.monotonic() >= until:
                    raise self._behind(question.at_least) from None

    async def _wait_for_position(self, at_least: int, until: float) -> None:
        waiters = self._view.waiters
        if waiters.position >= at_least:
            return
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll_position())
        if not await waiters.wait_for(at_least, max(until - time.monotonic(), POLL_SECONDS)):
            raise self._behind(at_least)

    async def _poll_position(self) -> None:
        """While somebody waits and nothing is told here: another process may have carried the view on."""
        waiters = self._view.waiters
        while True:
            before = waiters.position
            await asyncio.sleep(POLL_SECONDS)
            if not waiters.has_waiters:
                return
            if waiters.position == before:
                try:
                    await self._view.position()
                except psycopg.Error as error:
                    # The wait goes on: the database may be back in time, and the answer itself tells if not.
                    log.warning("view.unreadable", view=self._view.definition.name, error=type(error).__name__)

    def _behind(self, at_least: int) -> QuestionRefusedError:
        position = self._view.waiters.position
        return QuestionRefusedError(
            QuestionError.VIEW_BEHIND,
            f"The view stands at position {position}, before {at_least}; ask again.",
            {"position": position, "at_least": at_least},
        )

    async def _with_timeout(self, account: str, question: Question) -> bytes:
        """The answer; BUSY when the database gives none. What hangs there is left to end by itself."""
        task = asyncio.create_task(self._with_retry(account, question))
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not task.done():
            self._stuck.add(task)
            task.add_done_callback(self._log_late_end)
            task.cancel()
            raise busy("the database takes too long")
        return task.result()

    def _log_late_end(self, task: "asyncio.Task[bytes]") -> None:
        self._stuck.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("question.ended_late", error=type(error).__name__)

    async def _with_retry(self, account: str, question: Question) -> bytes:
        """A connection that a restart of the database broke is noticed by using it, and replaced."""
        try:
            try:
                return await self._from_snapshot(account, question)
            except PoolTimeout:
                raise busy("no connection to the database was free in time") from None
            except psycopg.OperationalError:
                await self._view.replace_broken_readers()
                return await self._from_snapshot(account, question)
        except OverloadedError:
            raise busy("too many are before it", self._retry_after_ms()) from None
        except psycopg.OperationalError as error:
            self._log_busy(question, type(error).__name__)
            raise busy("the database is away") from None
        except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError) as error:
            # Tables that come and go under a statement: they are missing, have another shape, or are just dropped.
            self._log_busy(question, str(error).splitlines()[0])
            raise busy("the view is being made") from None

    def _log_busy(self, question: Question, error: str) -> None:
        """One line for all within a second: a flood of questions is none of lines."""
        self._unlogged += 1
        if time.monotonic() >= self._quiet_until:
            log.warning("question.busy", question=type(question).__name__, error=error, questions=self._unlogged)
            self._unlogged, self._quiet_until = 0, time.monotonic() + QUIET_SECONDS

    async def _from_snapshot(self, account: str, question: Question) -> bytes:
        return await self._snapshots.read(account, question.actor, lambda snapshot: self._query(snapshot, question))

    async def _query(self, snapshot: Snapshot, question: Question) -> bytes:
        if snapshot.position < question.at_least:
            self._view.waiters.advance(snapshot.position)
            raise SnapshotBehindError
        try:
            require_actor(snapshot, question.actor)
            result = await self._answer_question(snapshot, question)
        except QuestionRefusedError as error:
            # What is parked may be why it seems not to be there.
            error.incomplete_since = await snapshot.incomplete_since()
            raise
        incomplete = await snapshot.incomplete_since()
        limit = min(LARGEST_REPLY, self._max_payload())
        reply = await render_answer(snapshot.position, result, incomplete, min(LARGEST_PAGE, limit - HEADERS_MARGIN))
        if len(written := orjson.dumps(reply)) > limit:
            raise too_large(len(written), limit, result, reply)
        return written


class SnapshotBehindError(Exception):
    """The snapshot is older than the question allows."""


def require_actor(snapshot: Snapshot, actor: str) -> None:
    """The account exists; the actor is a service or an active user of it."""
    if snapshot.account_doc is None:
        # A parked first event of the account is the one reason why it may be missing here.
        raise QuestionRefusedError(
            QuestionError.ACCOUNT_NOT_FOUND, f"There is no account {printable(snapshot.account)}."
        )
    if actor.startswith(SERVICE):
        return
    snapshot.looked_at("user", actor)
    if snapshot.actor_doc is None or snapshot.actor_doc["status"] != "active":
        raise not_allowed("active_user", "The actor is not an active user of this account.")


# ---- reading


def parse_question(questions: Mapping[str, type[Question]], account: str, name: str, data: bytes) -> Question:
    """The question of one message.

    Raises:
        NotAnswered: there is no such question, or the body does not say it.
    """
    message = questions.get(name)
    if message is None:
        raise QuestionRefusedError(
            QuestionError.QUERY_UNKNOWN, f"There is no question {printable(name)}.", {"known": sorted(QUESTIONS)}
        )
    if not ACCOUNT.match(account):
        raise invalid([problem("", "the account in the subject is not 1 to 32 of A-Z a-z 0-9 _ -")])
    fields, problems = parse_body(data)
    if problems and message.any_text and (repaired := replace_lone_surrogates(data)) is not None:
        fields, problems = parse_body(repaired)
    if problems and not fields:
        raise invalid(problems)
    try:
        question = message.model_validate(fields)
    except ValidationError as error:
        raise invalid(problems_of(error, problems)) from None
    if problems:
        raise invalid(problems)
    return question


def replace_lone_surrogates(data: bytes) -> bytes | None:
    """The body with U+FFFD for each escaped surrogate that has no other half; None when there is none."""
    repaired = SURROGATES.sub(lambda found: found[0] if found[1] is None else rb"\ufffd", data)
    return repaired if repaired != data else None
