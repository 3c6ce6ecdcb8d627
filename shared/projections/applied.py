"""When a view applied events: asked of its processes by other services, for the way of a command."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import nats.errors
import orjson
import psycopg
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from psycopg_pool import PoolTimeout

from shared.language import subjects
from shared.process import clock
from shared.process.postgres import reason_of
from shared.projections.view import View

# So that a request and its answer fit into a message.
MOST_POSITIONS: Final = 2_000

log = structlog.get_logger(__name__)


class NoAppliedTimesError(Exception):
    """No process of the view answered, or its database did not."""


async def applied_times(
    client: Client, view: str, positions: Sequence[int], timeout: float = 2.0
) -> Mapping[int, str | None]:
    """Ask a process of the view when the events at these positions were applied.

    The times are RFC 3339 in UTC; None where the event is not applied yet, or a rebuild applied it.

    Raises:
        NoAppliedTimesError: no process answered in time, or its database did not.
    """
    times: dict[int, str | None] = {}
    for start in range(0, len(positions), MOST_POSITIONS):
        asked = orjson.dumps({"positions": list(positions[start : start + MOST_POSITIONS])})
        try:
            answer = orjson.loads((await client.request(subjects.applied(view), asked, timeout=timeout)).data)
        except (nats.errors.Error, TimeoutError) as error:
            raise NoAppliedTimesError(f"no process of {view} answered: {error!r}") from error
        if "error" in answer:
            raise NoAppliedTimesError(answer["error"])
        times |= {int(position): time for position, time in answer["applied"].items()}
    return times


@asynccontextmanager
async def answering_applied(view: View, client: Client) -> AsyncIterator[None]:
    """Answer other services, one request at a time, so that questions keep their connections."""
    one_at_a_time = asyncio.Lock()

    async def answer(message: Msg) -> None:
        async with one_at_a_time:
            found = await _answer(view, message.data)
        await message.respond(orjson.dumps(found, option=orjson.OPT_NON_STR_KEYS))

    name = view.definition.name
    subscription = await client.subscribe(subjects.applied(name), queue=name, cb=answer)
    try:
        yield
    finally:
        await subscription.unsubscribe()


async def _answer(view: View, request: bytes) -> Mapping[str, Any]:
    try:
        positions = orjson.loads(request)["positions"]
        if not all(type(one) is int for one in positions) or len(positions) > MOST_POSITIONS:
            raise ValueError(f"positions are at most {MOST_POSITIONS:,} whole numbers")
        found = await view.applied_at(positions)
    except (ValueError, KeyError, TypeError) as error:
        return {"error": f"not a request for times: {error}"}
    except (psycopg.Error, PoolTimeout) as error:
        log.warning("applied.not_answered", view=view.definition.name, error=reason_of(error))
        return {"error": reason_of(error)}
    return {"applied": {one: clock.written(found[one]) if one in found else None for one in positions}}
