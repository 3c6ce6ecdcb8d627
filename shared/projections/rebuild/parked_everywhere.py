"""Parked events of a view: of its live rows and of its history, which an operator sees to together.

Both apply the same events with the same fold, so mostly the same ones are parked. A history may lag: it skips an event
that was given up before it came there.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from psycopg.errors import InvalidSchemaName, UndefinedTable

from shared.projections.definition import ProjectionDefinition, VersionMismatchError
from shared.projections.rebuild import parked
from shared.projections.rebuild.parked import ParkedEvent, ParkedEventDetail, ParkedEventNotFoundError
from shared.projections.view import View

T = TypeVar("T")


@dataclass(frozen=True)
class Definitions:
    """The rows of a view: live ones, where it has them, and their history."""

    live: ProjectionDefinition | None
    history: ProjectionDefinition

    @property
    def all(self) -> Sequence[ProjectionDefinition]:
        return [self.history] if self.live is None else [self.live, self.history]

    @property
    def first(self) -> ProjectionDefinition:
        return self.live or self.history


@dataclass(frozen=True)
class Retried:
    """How many events were applied, and how many are still parked."""

    applied: int
    left: int


@asynccontextmanager
async def open_view(url: str, definition: ProjectionDefinition) -> AsyncIterator[View]:
    view = View(url, definition)
    await view.open()
    try:
        yield view
    finally:
        await view.close()


async def list_parked(url: str, of: Definitions, after: int, limit: int) -> list[tuple[ParkedEvent, list[str]]]:
    """Return the events that are parked after a position, in order, each with the schemas in which it is parked."""

    async def act(view: View) -> list[ParkedEvent]:
        return await parked.list_parked(view, after, limit)

    found: dict[int, tuple[ParkedEvent, list[str]]] = {}
    for schema, events in (await _in_each(url, of, act)).items():
        for one in events:
            found.setdefault(one.position, (one, []))[1].append(schema)
    return [found[position] for position in sorted(found)[:limit]]


async def show_parked(url: str, of: Definitions, position: int) -> tuple[ParkedEventDetail, list[str]]:
    """Return the event that is parked at a position, and the schemas in which it is.

    Raises:
        ParkedEventNotFoundError: none is parked there.
    """
    found = await _in_each(url, of, lambda view: parked.show_parked(view, position))
    return next(iter(found.values())), list(found)


async def retry_parked(url: str, of: Definitions, position: int | None) -> dict[str, Retried]:
    """Apply parked events again, as `parked.retry_parked` does; return the outcome by schema.

    Raises:
        ParkedEventNotFoundError: none is parked there.
        VersionMismatchError: the live rows are of another version.
    """
    return await _in_each(url, of, lambda view: _retried(parked.retry_parked(view, position)))


async def give_up(url: str, of: Definitions, position: int) -> dict[str, Retried]:
    """Drop the event for good, as `parked.give_up` does; a history that is not there yet will skip it.

    Raises:
        ParkedEventNotFoundError: none is parked there.
        VersionMismatchError: the live rows are of another version.
    """
    detail, _ = await show_parked(url, of, position)
    done = await _in_each(url, of, lambda view: _retried(parked.give_up(view, position)))
    if of.history.name not in done and await _skipped_by_history(url, of.history, detail.parked):
        done[of.history.name] = Retried(0, 0)
    return done


async def _retried(outcome: Awaitable[tuple[int, int]]) -> Retried:
    return Retried(*await outcome)


async def _skipped_by_history(url: str, history: ProjectionDefinition, event: ParkedEvent) -> bool:
    """Return whether the history will skip the event: it has not come there yet."""
    try:
        async with open_view(url, history) as view:
            return await parked.give_up_ahead(view, event)
    except (VersionMismatchError, InvalidSchemaName, UndefinedTable):
        # It is made from the log later, and meets the event then.
        return False


async def _in_each(url: str, of: Definitions, act: Callable[[View], Awaitable[T]]) -> dict[str, T]:
    """Return the outcomes by schema, without a history that does not exist or is of another version.

    Raises:
        ParkedEventNotFoundError: neither has the event.
    """
    done: dict[str, T] = {}
    missing = ParkedEventNotFoundError()
    for definition in of.all:
        try:
            async with open_view(url, definition) as view:
                done[definition.name] = await act(view)
        except ParkedEventNotFoundError as error:
            missing = error
        except (VersionMismatchError, InvalidSchemaName, UndefinedTable):
            if definition == of.first:
                raise
    if not done:
        raise missing
    return done
