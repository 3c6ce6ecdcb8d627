"""The other services that the audit asks: the stream, the views, and the writers for dry runs."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from shared.language import subjects
from shared.language.dry_runs import DryRunBatch
from shared.messaging.published import StreamUnreadableError, published_times
from shared.messaging.requests import NoReplyError, request_json
from shared.projections.answers import busy
from shared.projections.applied import NoAppliedTimesError, applied_times
from shared.wire.connection import NatsClient

VIEWS: Final = (subjects.INBOX_VIEWS_QUEUE, subjects.ROUTING_QUEUE)
PUBLISHED: Final = "published"
NOT_APPLIED: Final = "not applied yet, or applied by a rebuild, which records no times"
ACTOR: Final = "service:audit"
SECONDS: Final = 2.0
# A view waits for its history for up to two seconds.
VIEW_SECONDS: Final = 3.0
AT_ONCE: Final = 4


@dataclass(slots=True)
class EventTimes:
    """When the stream and each view had the event at a position, and why a time is not known, by name."""

    times: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


class Peers:
    """Asks the other services over a connection; without one, nothing is known."""

    def __init__(self, client: NatsClient | None = None) -> None:
        self._client = client

    async def times_of(self, events: Sequence[tuple[int, str | None]]) -> Mapping[int, EventTimes]:
        """Return the times of events, given by position and id."""
        found = {position: EventTimes() for position, _ in events}
        if events:
            await asyncio.gather(self._published(events, found), *(self._applied(view, found) for view in VIEWS))
        return found

    async def _published(self, events: Sequence[tuple[int, str | None]], found: Mapping[int, EventTimes]) -> None:
        try:
            if self._client is None:
                raise StreamUnreadableError("there is no connection")
            known = [(position, id_) for position, id_ in events if id_ is not None]
            times, missing = await published_times(self._client, known)
        except StreamUnreadableError as error:
            times, missing = {}, dict.fromkeys(found, str(error))
        _add(found, PUBLISHED, times, missing)

    async def _applied(self, view: str, found: Mapping[int, EventTimes]) -> None:
        try:
            if self._client is None:
                raise NoAppliedTimesError("there is no connection")
            answered = await applied_times(self._client, view, list(found), SECONDS)
        except NoAppliedTimesError as error:
            _add(found, view, {}, dict.fromkeys(found, str(error)))
            return
        times = {position: time for position, time in answered.items() if time is not None}
        _add(found, view, times, {position: NOT_APPLIED for position in found if position not in times})

    async def ask(self, account: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the reply of a view to a question, given by name and body; it may be an error.

        Raises:
            QuestionRefusedError: BUSY, no reply came.
        """
        if self._client is None:
            raise busy("there is no connection to the views")
        try:
            return await request_json(self._client, subjects.query(account, name), body, VIEW_SECONDS)
        except NoReplyError as error:
            raise busy(f"no view answered {name}: {error}") from None

    async def dry_runs(self, account: str, commands: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Return the reply that each command, given by name and body, would have now; an `error` where none came."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(name: str, body: Mapping[str, Any]) -> dict[str, Any]:
            async with turns:
                return await self._dry_run(account, name, body)

        return list(await asyncio.gather(*(one(name, body) for name, body in commands)))

    async def _dry_run(self, account: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if self._client is None:
            return {"error": "there is no connection"}
        # One command in each batch, since a batch decides each command after the events of those before it.
        batch = {"actor": ACTOR, "commands": [{"command": name, "body": body}]}
        try:
            reply = await request_json(self._client, subjects.command(account, DryRunBatch.__name__), batch, SECONDS)
        except NoReplyError as error:
            return {"error": f"no writer answered: {error}"}
        outcomes: list[dict[str, Any]] = reply.get("outcomes") or [{"error": reply.get("message", "not decided")}]
        return outcomes[0]


def _add(found: Mapping[int, EventTimes], name: str, times: Mapping[int, str], missing: Mapping[int, str]) -> None:
    for position, of_event in found.items():
        if position in times:
            of_event.times[name] = times[position]
        elif position in missing:
            of_event.missing[name] = missing[position]
