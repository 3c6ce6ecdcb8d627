"""Questions asked of a story's rows in a real database, without a bus."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson

from services.inbox_views.projection import DEFINITION
from services.inbox_views.queries import answer
from shared.language.catalog import QUESTIONS
from shared.projections.answers import QuestionRefusedError, render_answer
from shared.projections.events import DeliveredEvent
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.view import View
from shared.wire.cloud_events import to_wire
from tests.inbox_views.stories import Story


class Rows:
    """The rows of one story; what is told of it later is applied when the next question is asked."""

    def __init__(self, view: View, story: Story) -> None:
        self.view = view
        self.story = story
        self._applied = 0

    async def ask(self, name: str, actor: str = "ana", **fields: Any) -> Any:
        """The result, as the reply bears it."""
        await self._apply()
        question = QUESTIONS[name].model_validate({"actor": actor, **fields})
        async with self.view.snapshots([Asker(self.story.account, actor)]) as (snapshot,):
            body = await render_answer(snapshot.position, await answer(self.seen(snapshot), question), None)
        return orjson.loads(orjson.dumps(body))["result"]

    def seen(self, snapshot: Snapshot) -> Snapshot:
        return snapshot

    async def refused(self, name: str, actor: str = "ana", **fields: Any) -> str:
        try:
            await self.ask(name, actor, **fields)
        except QuestionRefusedError as error:
            return error.error
        raise AssertionError("it was answered")

    async def identities(self, user: str) -> dict[str, dict[str, Any]]:
        """By address, best first."""
        return {one["address"]: one for one in await self.ask("Identities", user=user, limit=1_000)}

    async def default(self, user: str) -> str | None:
        """The default sender, which the three questions that tell it agree on."""
        found: str | None = (await self.ask("User", user=user))["default_sender"]
        listed = {one["user"]: one["default_sender"] for one in await self.ask("Users")}
        marked = [address for address, one in (await self.identities(user)).items() if one["default"]]
        assert (listed[user], marked) == (found, [] if found is None else [found])
        return found

    async def _apply(self) -> None:
        told = self.story.recorded[self._applied :]
        entries = [DeliveredEvent(one.position, headers, body) for one in told for _, headers, body in (to_wire(one),)]
        if entries:
            assert await self.view.apply(entries) == self.story.end
        self._applied = len(self.story.recorded)


@asynccontextmanager
async def rows_of(story: Story, database: str) -> AsyncIterator[Rows]:
    view = View(database, DEFINITION)
    await view.open()
    try:
        await view.prepare()
        yield Rows(view, story)
    finally:
        await view.close()
