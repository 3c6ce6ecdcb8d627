"""Every question of the audit is on record for ever: who asked what about whom, when, as of what, and what came of it.

The numbers of the questions have no gaps, so that a missing one is noticed. The record is flushed before the answer
leaves.
"""

import asyncio
import re
from collections.abc import Iterator
from typing import Any, Final, LiteralString, NamedTuple

import orjson

from shared.language.text import ACTOR, ID, SERVICE
from shared.messaging.endpoint import Reply
from shared.messaging.json_body import parse_body, printable
from shared.process import clock, failpoints
from shared.process.postgres import DirectAsync, PostgresError, PostgresSession, reason_of
from shared.projections.question_admission import PendingQuestion
from shared.projections.view import View

ANSWERED: Final = "answered"
# Orders all that write questions or make the tables.
LOCK: Final[LiteralString] = "SELECT pg_advisory_xact_lock(5824113007)"
TABLES: Final[tuple[LiteralString, ...]] = (
    "CREATE SCHEMA IF NOT EXISTS audit",
    """
    CREATE TABLE IF NOT EXISTS audit.questions (
        id bigint PRIMARY KEY,
        account text COLLATE "C" NOT NULL,
        question text COLLATE "C" NOT NULL,
        actor text COLLATE "C",
        body bytea NOT NULL,
        recorded_at timestamptz NOT NULL,
        position bigint NOT NULL,
        outcome text COLLATE "C" NOT NULL,
        message text
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS audit.concerned (
        account text COLLATE "C",
        name text COLLATE "C",
        question bigint REFERENCES audit.questions,
        PRIMARY KEY (account, name, question)
    )
    """,
)
PUT: Final[LiteralString] = """
WITH put AS (
    INSERT INTO audit.questions
    SELECT coalesce((SELECT id FROM audit.questions ORDER BY id DESC LIMIT 1), 0) + 1,
           %(account)s, %(question)s, %(actor)s, %(body)s, %(time)s, %(position)s, %(outcome)s, %(message)s
    RETURNING id
)
INSERT INTO audit.concerned SELECT %(account)s, name, put.id FROM put, unnest(%(concerned)s::text[]) AS c (name)
"""
SESSION: Final = {
    "synchronous_commit": "on",
    "lock_timeout": "2s",
    "statement_timeout": "3s",
    "idle_in_transaction_session_timeout": "5s",
}
READY_SECONDS: Final = 1.8
POSITION: Final = re.compile(rb'{"position":(\d+)')
# Python's `$` would let a line feed behind it pass.
_ACTOR, _ID = (re.compile(pattern.strip("^$") + r"\Z") for pattern in (ACTOR, ID))


class QuestionRecord:
    """Records questions over one connection, one after the other."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._connection: PostgresSession | None = None
        self._turn = asyncio.Lock()

    async def put(self, pending: PendingQuestion, reply: Reply) -> None:
        """Put a question with its reply on record.

        Raises:
            PostgresError, OSError: it is not known to be on record.
        """
        row = self._row(pending, reply)
        async with self._turn:
            try:
                await self._put(row)
            except BaseException:
                await self.close()
                raise

    async def ready(self) -> str | None:
        """Return None while questions can be put on record, after making the tables where they are missing."""
        try:
            async with asyncio.timeout(READY_SECONDS), self._turn:
                try:
                    await (await self._connected()).execute("SELECT FROM audit.questions LIMIT 0")
                except BaseException:
                    await self.close()
                    raise
        except (PostgresError, OSError, TimeoutError) as error:
            return f"questions cannot be put on record: {reason_of(error)}"
        return None

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _put(self, row: "_Row") -> None:
        connection = await self._connected()
        async with connection.transaction():
            await connection.execute(LOCK)
            await connection.execute(PUT, row._asdict())
        failpoints.reached("question.recorded")

    async def _connected(self) -> PostgresSession:
        if self._connection is None or self._connection.closed:
            connection = await DirectAsync.connect(
                self._view.url, settings=SESSION, autocommit=True, application_name="audit-questions"
            )
            self._connection = connection
            async with connection.transaction():
                await connection.execute(LOCK)
                for statement in TABLES:
                    await connection.execute(statement)
        return self._connection

    def _row(self, pending: PendingQuestion, reply: Reply) -> "_Row":
        data = pending.request.data
        fields, _ = parse_body(data)
        actor = fields.get("actor")
        outcome, message, position = ANSWERED, None, self._view.waiters.position
        if reply.error is not None:
            outcome, message = reply.error[1], str(orjson.loads(reply.data)["message"])
        elif match := POSITION.match(reply.data):
            position = int(match[1])
        return _Row(
            account=printable(pending.account),
            question=printable(pending.name),
            actor=actor if isinstance(actor, str) and _ACTOR.match(actor) else None,
            body=data,
            time=clock.now(),
            position=position,
            outcome=outcome,
            message=message and message.replace("\x00", ""),
            concerned=sorted(set(users_named(fields))),
        )


class _Row(NamedTuple):
    account: str
    question: str
    actor: str | None
    body: bytes
    time: str
    position: int
    outcome: str
    message: str | None
    concerned: list[str]


def users_named(fields: dict[str, Any]) -> Iterator[str]:
    """Yield the users whom a question names, those within the question of a bisection too."""
    for name in ("user", "given_by", "owner"):
        value = fields.get(name)
        if isinstance(value, str) and _ID.match(value) and not value.startswith(SERVICE):
            yield value
    if isinstance(inner := fields.get("fields"), dict):
        yield from users_named({name: value for name, value in inner.items() if name != "fields"})
