"""The audit of a real event store: its followers, and its questions without a bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson

from services.audit.audit_view import AuditView
from services.audit.index.follower import IndexFollower
from services.audit.index.schema import LIVE
from services.audit.peers import Peers
from services.audit.projection import DEFINITION
from services.audit.questions import answer
from services.audit.record import QuestionRecord
from shared.language import audit
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.questions import Question
from shared.projections.answers import Page, QuestionRefusedError, render_answer
from shared.projections.history.follower import HistoryFollower
from shared.projections.history.following import FollowerLimits
from shared.projections.snapshot import Asker
from tests.audit.past import Past, rows
from tests.inbox_views.stories import eventually

FAST = FollowerLimits(batch=100, look_seconds=0.02, check_seconds=0.1, rest_times=0.0)
AUDITOR = "service:audit.zoe"
ENDS = """
SELECT (SELECT coalesce(max(notification_id), 0) FROM connections.events),
       (SELECT coalesce(max(ordinal), 0) FROM connections.journal)
"""
Item = dict[str, Any]


class Auditing:
    """The audit of one account of a past."""

    def __init__(self, past: Past, view: AuditView, peers: Peers | None = None) -> None:
        self.past = past
        self._view = view
        self._peers = peers or Peers()

    async def caught_up(self) -> None:
        """Return when history and index have all events and entries."""

        async def there() -> bool:
            found = rows(self.past.url, f"SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = '{LIVE}')")
            if not found[0][0]:
                return False
            ((end, ordinal),) = rows(self.past.url, ENDS)
            index = rows(self.past.url, f"SELECT position, ordinal FROM {LIVE}.checkpoint")
            with suppress(Exception):
                return index == [(end, ordinal)] and await self._view.position() == end
            return False

        await eventually(there)

    async def reply(self, name: str, account: str = "acme", actor: str = AUDITOR, **fields: Any) -> Item:
        """The body of the reply; results are as the language has them."""
        given = {"actor": actor} | {name.rstrip("_"): value for name, value in fields.items() if value is not None}
        question: Question = getattr(audit, name).model_validate(given)
        async with self._view.snapshots([Asker(account, actor)]) as (snapshot,):
            result = await answer(snapshot, question, self._peers)
            for item in [one for _, one in result.items] if isinstance(result, Page) else [result]:
                AUDIT_RESULTS[type(question)].model_validate(item, strict=False)
            body = await render_answer(snapshot.position, result, await snapshot.incomplete_since())
        found: Item = orjson.loads(orjson.dumps(body))
        return found

    async def ask(self, name: str, **fields: Any) -> Any:
        """The result, all pages of a list."""
        found: list[Item] = []
        after: str | None = None
        while True:
            body = await self.reply(name, after=after, **fields)
            if "next" not in body:
                return body["result"]
            found += body["result"]
            if (after := body["next"]) is None:
                return found

    async def refused(self, name: str, **fields: Any) -> str:
        try:
            await self.reply(name, **fields)
        except QuestionRefusedError as error:
            return str(error.error)
        raise AssertionError("it was answered")


@asynccontextmanager
async def auditing(past: Past, peers: Peers | None = None) -> AsyncIterator[Auditing]:
    """Follow log and journal of the past, which goes on."""
    view = AuditView(past.url, DEFINITION.history(), readers=2)
    record = QuestionRecord(view)
    assert await record.ready() is None
    followers = [
        asyncio.create_task(HistoryFollower(past.url, DEFINITION.history(), limits=FAST).run()),
        asyncio.create_task(IndexFollower(past.url, FAST).run()),
    ]
    await view.open()
    try:
        made = Auditing(past, view, peers)
        await made.caught_up()
        yield made
    finally:
        for one in followers:
            one.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*followers)
        await view.close()
        await record.close()
