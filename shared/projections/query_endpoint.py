"""Every question gets one answer in time: a result as of a position, or an error with the reason.

The steps of a question: endpoint → admission (`question_admission`) → parsing (`question_parsing`) → the present
(`reading`) or the past (`past_reading`) → position (`position_wait`) → snapshot (`snapshots`) → queries (the service's
`queries`) → answer (`answers`). Questions run side by side. A slow or missing database means BUSY and an unreadable
body QUERY_INVALID, never silence.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson
import psycopg
import structlog

from shared.language.questions import ANSWER_SECONDS, LONGEST_WAIT_MS, Question
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
from shared.projections.past_reading import PastReading
from shared.projections.query_metrics import QueryMetrics
from shared.projections.question_admission import PendingQuestion, QuestionAdmission
from shared.projections.question_parsing import parse_question
from shared.projections.reading import ViewReading
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.snapshots import OverloadedError
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
Recorder = Callable[[PendingQuestion, Reply], Awaitable[None]]


class QueryEndpoint:
    """Answers the questions of one view.

    Args:
        questions: the questions by name.
        answer: the service's queries: a snapshot and a question in, the result out.
        ignored: names that another service answers on the same subjects.
        max_payload: returns the largest message of NATS in bytes.
        answer_seconds: how long the database may take for an answer.
        in_progress: the most questions at once, in weights.
        history: the view's history, for questions as of a moment.
        record: puts a question and its answer on record before the answer leaves; without it the caller gets BUSY.
    """

    def __init__(
        self,
        view: View,
        questions: Mapping[str, type[Question]],
        answer: QuestionHandler,
        ignored: frozenset[str] = frozenset(),
        max_payload: Callable[[], int] = lambda: LARGEST_REPLY,
        answer_seconds: float = ANSWER_SECONDS,
        in_progress: int = 1_024,
        history: View | None = None,
        record: Recorder | None = None,
    ) -> None:
        self._view = view
        self._record = record
        self._questions = questions
        self._answer_question = answer
        self._ignored = ignored
        self._max_payload = max_payload
        tenants = KnownTenants()
        self._admission = QuestionAdmission(tenants, self._handle, in_progress)
        self._present = ViewReading(view, tenants, answer_seconds)
        self._past = PastReading(view.url, history, tenants, answer_seconds) if history else None
        self._metrics = QueryMetrics(questions)

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
        return self._present.snapshots.throughput.retry_after_ms(self._admission.in_progress)

    async def drain(self) -> None:
        """Return when every question has its answer; those that wait for a position get BUSY."""
        await self._admission.drain(DRAIN_SECONDS)
        self._present.close()
        if self._past is not None:
            await self._past.close()

    async def ready(self) -> str | None:
        """Return None when the view can be read, else the reason."""
        try:
            # Shorter than a probe may take: its own timeout would not say the reason.
            async with asyncio.timeout(READY_SECONDS):
                await self._view.position()
        except TimeoutError:
            return self._view.unreachable or f"no answer within {READY_SECONDS:g} s"
        except psycopg.errors.UndefinedTable:
            return f"the rows of {self._view.definition.name} are being made"
        except psycopg.Error as error:
            return self._view.unreachable or f"{type(error).__name__}: {error}".strip()
        return None

    async def collect_metrics(self) -> Sequence[metrics.Metric]:
        return self._metrics.collect(self._admission.in_progress)

    # ---- one question

    async def _handle(self, pending: PendingQuestion) -> None:
        reply = await self._recorded(pending, await self._reply_to(pending))
        self._metrics.observe(pending.name, reply)
        await pending.endpoint.reply([reply])

    async def _recorded(self, pending: PendingQuestion, reply: Reply) -> Reply:
        """Return the reply once it is on record, where questions are."""
        if self._record is None:
            return reply
        try:
            await self._record(pending, reply)
        except Exception as error:  # noqa: BLE001  an answer that is not on record must not leave
            log.warning("question.not_recorded", question=self._metrics.label_of(pending.name), error=repr(error))
            return error_reply(pending.request, busy("it could not be put on record"))
        return reply

    async def _reply_to(self, pending: PendingQuestion) -> Reply:
        request = pending.request
        try:
            question = parse_question(self._questions, pending.account, pending.name, request.data)
            return Reply(request, await self._answer(pending.account, question))
        except QuestionRefusedError as error:
            return error_reply(request, error)
        except asyncio.CancelledError:
            return error_reply(request, busy("this service stops"))
        except Exception as error:  # noqa: BLE001  the caller gets INTERNAL_ERROR
            context = {"account": printable(pending.account), "question": self._metrics.label_of(pending.name)}
            trace = request.headers.get(Ce.TRACEPARENT)
            unexpected_errors.record(error, "answering", **context, traceparent=trace)
            return error_reply(request, failed())

    async def _answer(self, account: str, question: Question) -> bytes:
        """Answer from a snapshot that is not older than the question allows, or as of its moment."""

        def query(snapshot: Snapshot) -> Awaitable[bytes]:
            return self._query(snapshot, question)

        until = time.monotonic() + min(question.wait_ms, LONGEST_WAIT_MS) / 1_000
        asker, moment = Asker(account, question.actor), getattr(question, "as_of", None)
        try:
            if moment is None or self._past is None:
                return await self._present.read(asker, question.at_least, until, query)
            return await self._past.read(asker, moment, question.at_least, until, query)
        except OverloadedError:
            raise busy("too many are before it", self._retry_after_ms()) from None

    async def _query(self, snapshot: Snapshot, question: Question) -> bytes:
        """Run the service's queries on the snapshot, and render the answer."""
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
    if why := snapshot.why_not_allowed():
        raise not_allowed("active_user", why)
