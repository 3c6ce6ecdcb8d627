"""Questions asked of the history of a story in a real database, without a bus."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

import orjson
import psycopg

from services.audit.index.follower import IndexFollower
from services.audit.projection import DEFINITION
from services.audit.questions import answer
from shared.language import audit
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.questions import Question
from shared.language.recorded import Recorded
from shared.projections.answers import Page, QuestionRefusedError, render_answer
from shared.projections.history.following import FollowerLimits
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.snapshot import Asker
from shared.projections.view import View
from tests.inbox_views.stories import eventually
from tests.projections.running_views import write_log

HISTORY = DEFINITION.history()
COMMITS = """
CREATE TABLE IF NOT EXISTS connections.commits (
    latest timestamptz NOT NULL, position bigint NOT NULL, PRIMARY KEY (latest, position)
)
"""
AUDITOR = "service:audit.zoe"
Item = dict[str, Any]


class Audit:
    """The audit of one account."""

    def __init__(self, history: View, account: str) -> None:
        self._history = history
        self._account = account
        # The position of answers, where the history has reached a later one.
        self.reached: int | None = None

    async def ask(self, name: str, **fields: Any) -> Item:
        """The body of the reply, with results that are as the language has them."""
        question: Question = getattr(audit, name).model_validate({"actor": AUDITOR, **fields})
        async with self._history.snapshots([Asker(self._account, question.actor)]) as (snapshot,):
            snapshot.position = self.reached or snapshot.position
            result = await answer(snapshot, question)
            for item in [one for _, one in result.items] if isinstance(result, Page) else [result]:
                AUDIT_RESULTS[type(question)].model_validate(item, strict=False)
            body = await render_answer(snapshot.position, result, await snapshot.incomplete_since())
        found: Item = orjson.loads(orjson.dumps(body))
        return found

    async def items(self, name: str, **fields: Any) -> list[Item]:
        """All pages of a list."""
        found: list[Item] = []
        cursor: str | None = None
        while True:
            body = await self.ask(name, after=cursor, **fields)
            found += body["result"]
            if (cursor := body["next"]) is None:
                return found

    async def refused(self, name: str, **fields: Any) -> QuestionRefusedError:
        try:
            await self.ask(name, **fields)
        except QuestionRefusedError as error:
            return error
        raise AssertionError("it was answered")


@asynccontextmanager
async def audit_of(
    url: str, recorded: Sequence[Recorded], topics: Mapping[int, str] | None = None
) -> AsyncIterator[Audit]:
    """The log and the history of one account's events; `topics` by position replace the true ones."""
    await write_log(url, list(recorded), dict(topics or {}))
    await write_commits(url, recorded)
    await rebuild(url, View(url, HISTORY))
    await fill_index(url, recorded[-1].position)
    history = View(url, HISTORY, readers=1)
    await history.open()
    try:
        yield Audit(history, recorded[0].account)
    finally:
        await history.close()


async def fill_index(url: str, end: int) -> None:
    following = asyncio.create_task(IndexFollower(url, FollowerLimits(look_seconds=0.01, rest_times=0.0)).run())

    async def there() -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(url) as connection:
                found = await (await connection.execute("SELECT position FROM audit_index.checkpoint")).fetchall()
        except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable):
            return False
        return found == [(end,)]

    await eventually(there)
    following.cancel()
    await asyncio.wait({following})


async def write_commits(url: str, recorded: Sequence[Recorded]) -> None:
    """One commit for each command, as the write side keeps them."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(COMMITS.encode())
        latest = ""
        for _, events in groupby(recorded, key=lambda one: one.command_id):
            for one in events:
                latest = max(latest, one.time)
            await connection.execute("INSERT INTO connections.commits VALUES (%s, %s)", (latest, one.position))
