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
from shared.messaging.message_size import SPARE
from shared.messaging.reading import ACCOUNT, fields_of, printable, problem, problems_of
from shared.process import metrics, unexpected_errors
from shared.process.histograms import DURATIONS, OTHER, Histogram
from shared.projections.answers import (
    LARGEST_PAGE,
    NotAnswered,
    Result,
    body_of,
    busy,
    failed,
    failure,
    invalid,
    not_allowed,
    reply_of,
    too_large,
)  # fmt: skip
from shared.projections.snapshots import Crowded, SharedSnapshots
from shared.projections.view import Snapshot, View

ANSWER_SECONDS = 8.0
READY_SECONDS = 1.8
DRAIN_SECONDS = 1.5
SILENT_SECONDS = 1.0
# In weights: one for a question, and one more for every 4 KiB of its body.
MOST_UNDER_WAY = 1_024
# So many are begun in one pass of the event loop, and of one account while there are others: what has come in one
# piece is not all read before whoever comes next.
BEGUN_AT_ONCE = 16
BEGUN_OF_ONE = 2
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


Answerer = Callable[[Snapshot, Question], Awaitable[Result]]


@dataclass(slots=True, eq=False)
class Arrived:
    """A question that has its place among those under way, and is not read yet."""

    account: str
    share: str
    weight: int
    endpoint: Endpoint
    request: Request


class Answers:
    """Answers the questions of one view; `known` by name, `foreign` are left to another service in silence."""

    def __init__(
        self,
        view: View,
        known: Mapping[str, type[Question]],
        answer: Answerer,
        foreign: frozenset[str] = frozenset(),
        max_payload: Callable[[], int] = lambda: LARGEST_REPLY,
    ) -> None:
        self._view = view
        self._known = known
        self._foreign = foreign
        self._answer = answer
        self._max_payload = max_payload
        accounts = KnownTenants()
        self._admission = Admission(MOST_UNDER_WAY, accounts)
        self._arrived: FairQueue[Arrived] = FairQueue(accounts)
        self._beginning = False
        self._snapshots = SharedSnapshots(view, accounts)
        self._running: set[asyncio.Task[None]] = set()
        self._stuck: set[asyncio.Task[bytes]] = set()
        self._poller: asyncio.Task[None] | None = None
        self._unsaid, self._silent_until = 0, 0.0
        # By name, outcome and reason; what is told from the start, and not from its first time on, has a true rate.
        self._answered: Counter[tuple[str, str, str | None]] = Counter(
            {(name, *kind): 0 for name in known for kind in (("answered", None), ("refused", QuestionError.BUSY))}
        )
        self._durations: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(DURATIONS))

    def endpoint(self, name: str, subject: str, queue: str) -> Endpoint:
        """An endpoint whose requests are answered here."""

        def refuse(subject: bytes, data: bytes) -> bytes | None:
            _, _, _, account, name = subject.decode(errors="replace").split(".")
            if name in self._foreign or self._admission.admits(account, weight_of(len(data))):
                return None
            self._answered[self._counted_as(name), "refused", QuestionError.BUSY] += 1
            return body_of(busy("too many are under way", self._retry_after_ms()))

        def take(request: Request) -> bool:
            account, name = request.subject.split(".")[ACCOUNT_AND_NAME]
            if name in self._foreign:
                return False
            weight = weight_of(len(request.data))
            share = self._admission.enter(account, weight)
            assert share is not None, "else it was refused"
            self._arrived.put(Arrived(account, share, weight, endpoint, request))
            self._begin_soon()
            return True

        endpoint = Endpoint(name, subject, queue, take, refuse, lambda _data: body_of(failed()))
        return endpoint

    def _begin_soon(self) -> None:
        if not self._beginning:
            self._beginning = True
            asyncio.get_running_loop().call_soon(self._begin_some)

    def _begin_some(self) -> None:
        self._beginning = False
        for arrived in self._arrived.take(BEGUN_AT_ONCE, BEGUN_OF_ONE):
            self._start(arrived)
        if self._arrived:
            self._begin_soon()

    def _start(self, arrived: Arrived) -> None:
        def ended(task: "asyncio.Task[None]") -> None:
            self._running.discard(task)
            self._admission.leave(arrived.share, arrived.weight)

        task = asyncio.create_task(self._reply(arrived.endpoint, arrived.request))
        self._running.add(task)
        task.add_done_callback(ended)

    def _retry_after_ms(self) -> int:
        return self._snapshots.throughput.retry_after_ms(self._admission.total)

    async def drain(self) -> None:
        """Returns when every question taken has its answer; those that wait for a position are told to ask again."""
        while self._arrived:
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

    async def figures(self) -> Sequence[metrics.Metric]:
        return [
            metrics.counter(
                "switchboard_questions_total",
                "Questions answered or refused.",
                ("question", "outcome", "reason"),
                self._answered,
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

    async def _reply(self, endpoint: Endpoint, request: Request) -> None:
        _, _, _, account, name = request.subject.split(".")
        reply = await self._answer_to(account, name, request)
        self._count(self._counted_as(name), reply)
        await endpoint.reply([reply])

    def _counted_as(self, name: str) -> str:
        return name if name in self._known else OTHER

    def _count(self, name: str, reply: Reply) -> None:
        outcome, reason = ("refused", reply.error[1]) if reply.error else ("answered", None)
        self._answered[name, outcome, reason] += 1
        self._durations[name].observe((time.perf_counter_ns() - reply.request.began,))

    async def _answer_to(self, account: str, name: str, request: Request) -> Reply:
        try:
            return Reply(request, await self._ask(account, name, request.data))
        except NotAnswered as error:
            return failure(request, error)
        except asyncio.CancelledError:
            return failure(request, busy("this service stops"))
        except Exception as error:  # noqa: BLE001  the caller hears that it is our fault
            asked = {"account": printable(account), "question": self._counted_as(name)}
            trace = request.headers.get(Ce.TRACEPARENT)
            unexpected_errors.record(error, "answering", **asked, traceparent=trace)
            return failure(request, failed())

    async def _ask(self, account: str, name: str, data: bytes) -> bytes:
        question = read(self._known, account, name, data)
        until = time.monotonic() + min(question.wait_ms, LONGEST_WAIT_MS) / 1_000
        while True:
            await self._wait(question.at_least, until)
            try:
                return await self._in_time(account, question)
            except Behind:
                if time.monotonic() >= until:
                    raise self._behind(question.at_least) from None

    async def _wait(self, at_least: int, until: float) -> None:
        progress = self._view.progress
        if progress.position >= at_least:
            return
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        if not await progress.reaches(at_least, max(until - time.monotonic(), POLL_SECONDS)):
            raise self._behind(at_least)

    async def _poll(self) -> None:
        """While somebody waits and nothing is told here: another process may have carried the view on."""
        progress = self._view.progress
        while True:
            before = progress.position
            await asyncio.sleep(POLL_SECONDS)
            if not progress.awaited:
                return
            if progress.position == before:
                try:
                    await self._view.position()
                except psycopg.Error as error:
                    # The wait goes on: the database may be back in time, and the answer itself tells if not.
                    log.warning("view.unreadable", view=self._view.design.name, error=type(error).__name__)

    def _behind(self, at_least: int) -> NotAnswered:
        position = self._view.progress.position
        return NotAnswered(
            QuestionError.VIEW_BEHIND,
            f"The view stands at position {position}, before {at_least}; ask again.",
            {"position": position, "at_least": at_least},
        )

    async def _in_time(self, account: str, question: Question) -> bytes:
        """The answer; BUSY when the database gives none. What hangs there is left to end by itself."""
        task = asyncio.create_task(self._twice(account, question))
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not task.done():
            self._stuck.add(task)
            task.add_done_callback(self._unstuck)
            task.cancel()
            raise busy("the database takes too long")
        return task.result()

    def _unstuck(self, task: "asyncio.Task[bytes]") -> None:
        self._stuck.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("question.ended_late", error=type(error).__name__)

    async def _twice(self, account: str, question: Question) -> bytes:
        """A connection that a restart of the database broke is noticed by using it, and replaced."""
        try:
            try:
                return await self._once(account, question)
            except PoolTimeout:
                raise busy("no connection to the database was free in time") from None
            except psycopg.OperationalError:
                await self._view.mend_readers()
                return await self._once(account, question)
        except Crowded:
            raise busy("too many are before it", self._retry_after_ms()) from None
        except psycopg.OperationalError as error:
            self._warn(question, type(error).__name__)
            raise busy("the database is away") from None
        except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError) as error:
            # Tables that come and go under a statement: they are missing, have another shape, or are just dropped.
            self._warn(question, str(error).splitlines()[0])
            raise busy("the view is being made") from None

    def _warn(self, question: Question, error: str) -> None:
        """One line for all within a second: a flood of questions is none of lines."""
        self._unsaid += 1
        if time.monotonic() >= self._silent_until:
            log.warning("question.busy", question=type(question).__name__, error=error, questions=self._unsaid)
            self._unsaid, self._silent_until = 0, time.monotonic() + SILENT_SECONDS

    async def _once(self, account: str, question: Question) -> bytes:
        return await self._snapshots.look(account, question.actor, lambda snapshot: self._look(snapshot, question))

    async def _look(self, snapshot: Snapshot, question: Question) -> bytes:
        if snapshot.position < question.at_least:
            self._view.progress.told(snapshot.position)
            raise Behind
        try:
            require_actor(snapshot, question.actor)
            result = await self._answer(snapshot, question)
        except NotAnswered as error:
            # What is parked may be why it seems not to be there.
            error.incomplete_since = await snapshot.incomplete_since()
            raise
        incomplete = await snapshot.incomplete_since()
        limit = min(LARGEST_REPLY, self._max_payload())
        reply = await reply_of(snapshot.position, result, incomplete, min(LARGEST_PAGE, limit - SPARE))
        if len(written := orjson.dumps(reply)) > limit:
            raise too_large(len(written), limit, result, reply)
        return written


class Behind(Exception):
    """The snapshot is older than the question allows."""


def require_actor(snapshot: Snapshot, actor: str) -> None:
    """The account exists; the actor is a service or an active user of it."""
    if snapshot.account_doc is None:
        # A parked first event of the account is the one reason why it may be missing here.
        raise NotAnswered(QuestionError.ACCOUNT_NOT_FOUND, f"There is no account {printable(snapshot.account)}.")
    if actor.startswith(SERVICE):
        return
    snapshot.looked_at("user", actor)
    if snapshot.actor_doc is None or snapshot.actor_doc["status"] != "active":
        raise not_allowed("active_user", "The actor is not an active user of this account.")


# ---- reading


def read(known: Mapping[str, type[Question]], account: str, name: str, data: bytes) -> Question:
    """The question of one message.

    Raises:
        NotAnswered: there is no such question, or the body does not say it.
    """
    message = known.get(name)
    if message is None:
        raise NotAnswered(
            QuestionError.QUERY_UNKNOWN, f"There is no question {printable(name)}.", {"known": sorted(QUESTIONS)}
        )
    if not ACCOUNT.match(account):
        raise invalid([problem("", "the account in the subject is not 1 to 32 of A-Z a-z 0-9 _ -")])
    fields, problems = fields_of(data)
    if problems and message.any_text and (mended := without_lone_surrogates(data)) is not None:
        fields, problems = fields_of(mended)
    if problems and not fields:
        raise invalid(problems)
    try:
        question = message.model_validate(fields)
    except ValidationError as error:
        raise invalid(problems_of(error, problems)) from None
    if problems:
        raise invalid(problems)
    return question


def without_lone_surrogates(data: bytes) -> bytes | None:
    """The body with U+FFFD for each escaped surrogate that has no other half; None when there is none."""
    mended = SURROGATES.sub(lambda found: found[0] if found[1] is None else rb"\ufffd", data)
    return mended if mended != data else None
