"""Every question gets one answer in time: a result as of a position, or an error with the reason.

The steps of a question: endpoint → admission (`question_admission`) → parsing (`question_parsing`) → position
(`position_wait`) → snapshot (`snapshots`) → queries (the service's `queries`) → answer (`answers`). Questions run side
by side. A slow or missing database means BUSY and an unreadable body QUERY_INVALID, never silence.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson
import psycopg
import structlog
from psycopg_pool import PoolTimeout

from shared.language.questions import LONGEST_WAIT_MS, Question
from shared.language.reasons import QuestionError
from shared.language.subjects import Ce
from shared.language.text import SERVICE
from shared.messaging.admission import KnownTenants
from shared.messaging.endpoint import Endpoint, Reply, Request
from shared.messaging.json_body import printable
from shared.messaging.message_size import HEADERS_MARGIN
from shared.process import metrics, unexpected_errors
from shared.projections.answers import (
    LARGEST_PAGE,
    QuestionRefusedError,
    Result,
    busy,
    error_body,
    error_reply,
    failed,
    not_allowed,
    render_answer,
    too_large,
)
from shared.projections.position_wait import PositionWait
from shared.projections.query_metrics import QueryMetrics
from shared.projections.question_admission import PendingQuestion, QuestionAdmission
from shared.projections.question_parsing import parse_question
from shared.projections.snapshot import Snapshot
from shared.projections.snapshots import OverloadedError, SharedSnapshots
from shared.projections.view import View

READY_SECONDS = 1.8
DRAIN_SECONDS = 1.5
QUIET_SECONDS = 1.0
# NATS carries 1 MiB, with headers, unless it is configured otherwise.
LARGEST_REPLY = 1_000_000
# In the subject of a question.
ACCOUNT_AND_NAME = slice(3, 5)

log = structlog.get_logger(__name__)


QuestionHandler = Callable[[Snapshot, Question], Awaitable[Result]]


class SnapshotBehindError(Exception):
    """The snapshot is older than the question allows."""


class QueryEndpoint:
    """Answers the questions of one view.

    Args:
        questions: the questions by name.
        answer: the service's queries: a snapshot and a question in, the result out.
        ignored: names that another service answers on the same subjects.
        max_payload: returns the largest message of NATS in bytes.
        answer_seconds: how long the database may take for an answer.
        in_progress: the most questions at once, in weights.
    """

    def __init__(
        self,
        view: View,
        questions: Mapping[str, type[Question]],
        answer: QuestionHandler,
        ignored: frozenset[str] = frozenset(),
        max_payload: Callable[[], int] = lambda: LARGEST_REPLY,
        answer_seconds: float = 8.0,
        in_progress: int = 1_024,
    ) -> None:
        self._view = view
        self._questions = questions
        self._answer_question = answer
        self._ignored = ignored
        self._max_payload = max_payload
        self._answer_seconds = answer_seconds
        tenants = KnownTenants()
        self._admission = QuestionAdmission(tenants, self._handle, in_progress)
        self._position = PositionWait(view)
        self._snapshots = SharedSnapshots(view, tenants)
        self._metrics = QueryMetrics(questions)
        self._stuck: set[asyncio.Task[bytes]] = set()
        self._unlogged, self._quiet_until = 0, 0.0

    def endpoint(self, name: str, subject: str, queue: str) -> Endpoint:
        """Return an endpoint whose requests are answered here."""

        def refuse(subject: bytes, data: bytes) -> bytes | None:
            account, name = subject.decode(errors="replace").split(".")[ACCOUNT_AND_NAME]
            if name in self._ignored or self._admission.admits(account, len(data)):
                return None
            self._metrics.count_not_admitted(name)
            return error_body(busy("too many are under way", self._retry_after_ms()))

        def take(request: Request) -> bool:
            account, name = request.subject.split(".")[ACCOUNT_AND_NAME]
            if name in self._ignored:
                return False
            self._admission.enter(account, name, endpoint, request)
            return True

        endpoint = Endpoint(name, subject, queue, take, refuse, lambda _data: error_body(failed()))
        return endpoint

    def _retry_after_ms(self) -> int:
        return self._snapshots.throughput.retry_after_ms(self._admission.in_progress)

    async def drain(self) -> None:
        """Return when every question has its answer; those that wait for a position get BUSY."""
        await self._admission.drain(DRAIN_SECONDS)
        self._position.close()

    async def ready(self) -> str | None:
        """Return None when the view can be read, else the reason."""
        try:
            # Shorter than a probe may take: its own timeout would not say the reason.
            async with asyncio.timeout(READY_SECONDS):
                await self._view.position()
        except TimeoutError:
            return self._view.unreachable or f"no answer within {READY_SECONDS:g} s"
        except psycopg.Error as error:
            return self._view.unreachable or f"{type(error).__name__}: {error}".strip()
        return None

    async def collect_metrics(self) -> Sequence[metrics.Metric]:
        return self._metrics.collect(self._admission.in_progress)

    # ---- one question

    async def _handle(self, pending: PendingQuestion) -> None:
        reply = await self._reply_to(pending)
        self._metrics.observe(pending.name, reply)
        await pending.endpoint.reply([reply])

    async def _reply_to(self, pending: PendingQuestion) -> Reply:
        request = pending.request
        try:
            question = parse_question(self._questions, pending.account, pending.name, request.data)
            return Reply(request, await self._at_position(pending.account, question))
        except QuestionRefusedError as error:
            return error_reply(request, error)
        except asyncio.CancelledError:
            return error_reply(request, busy("this service stops"))
        except Exception as error:  # noqa: BLE001  the caller gets INTERNAL_ERROR
            context = {"account": printable(pending.account), "question": self._metrics.label_of(pending.name)}
            trace = request.headers.get(Ce.TRACEPARENT)
            unexpected_errors.record(error, "answering", **context, traceparent=trace)
            return error_reply(request, failed())

    async def _at_position(self, account: str, question: Question) -> bytes:
        """Answer from a snapshot that is not older than the question allows."""
        until = time.monotonic() + min(question.wait_ms, LONGEST_WAIT_MS) / 1_000
        while True:
            await self._position.reach(question.at_least, until)
            try:
                return await self._with_timeout(account, question)
            except SnapshotBehindError:
                if time.monotonic() >= until:
                    raise self._position.behind(question.at_least) from None

    async def _with_timeout(self, account: str, question: Question) -> bytes:
        """Give BUSY when the database does not answer in time; the stuck task ends by itself later."""
        task = asyncio.create_task(self._with_retry(account, question))
        await asyncio.wait({task}, timeout=self._answer_seconds)
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
        """Try again when the connection was broken, since a restart of the database breaks idle ones unnoticed."""

        def query(snapshot: Snapshot) -> Awaitable[bytes]:
            return self._query(snapshot, question)

        try:
            try:
                return await self._snapshots.read(account, question.actor, query)
            except PoolTimeout:
                raise busy("no connection to the database was free in time") from None
            except psycopg.OperationalError:
                await self._view.replace_broken_readers()
                return await self._snapshots.read(account, question.actor, query)
        except OverloadedError:
            raise busy("too many are before it", self._retry_after_ms()) from None
        except psycopg.OperationalError as error:
            self._log_busy(question, type(error).__name__)
            raise busy("the database is away") from None
        except (psycopg.ProgrammingError, psycopg.NotSupportedError, psycopg.InternalError) as error:
            # Tables that come and go under a statement: missing, of another shape, or dropped just now.
            self._log_busy(question, str(error).splitlines()[0])
            raise busy("the view is being made") from None

    def _log_busy(self, question: Question, error: str) -> None:
        """Log one line for all within a second, so that a flood of questions is not a flood of lines."""
        self._unlogged += 1
        if time.monotonic() >= self._quiet_until:
            log.warning("question.busy", question=type(question).__name__, error=error, questions=self._unlogged)
            self._unlogged, self._quiet_until = 0, time.monotonic() + QUIET_SECONDS

    async def _query(self, snapshot: Snapshot, question: Question) -> bytes:
        """Run the service's queries on the snapshot, and render the answer."""
        if snapshot.position < question.at_least:
            self._view.waiters.advance(snapshot.position)
            raise SnapshotBehindError
        try:
            require_actor(snapshot, question.actor)
            result = await self._answer_question(snapshot, question)
        except QuestionRefusedError as error:
            # A parked event may be the reason for the error.
            error.incomplete_since = await snapshot.incomplete_since()
            raise
        incomplete = await snapshot.incomplete_since()
        limit = min(LARGEST_REPLY, self._max_payload())
        answer = await render_answer(snapshot.position, result, incomplete, min(LARGEST_PAGE, limit - HEADERS_MARGIN))
        if len(body := orjson.dumps(answer)) > limit:
            raise too_large(len(body), limit, result, answer)
        return body


def require_actor(snapshot: Snapshot, actor: str) -> None:
    """Require that the account exists, and that the actor is a service or one of its active users."""
    if snapshot.account_doc is None:
        # The account's first event may be parked.
        raise QuestionRefusedError(
            QuestionError.ACCOUNT_NOT_FOUND, f"There is no account {printable(snapshot.account)}."
        )
    if actor.startswith(SERVICE):
        return
    snapshot.depends_on("user", actor)
    if snapshot.actor_doc is None or snapshot.actor_doc["status"] != "active":
        raise not_allowed("active_user", "The actor is not an active user of this account.")
