"""The administration of a view, as a process: a verb in, lines of JSON out, the last of them the outcome.

`python -m services.<service>.app views <verb> '<arguments as JSON>'` prints one object a line: `{"step": …}` while it
works, and at the end `{"done": …}` (exit code 0), `{"refused": "why"}` or `{"interrupted": "by a signal"}` (1), or
`{"no_answer": "why"}` (3). `switchboard views` calls it. It needs PostgreSQL only, whether the service runs or not.
"""

import asyncio
import base64
import dataclasses
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import psycopg
from psycopg import AsyncCursor

from shared.process.lag import lag_of
from shared.process.log_reader import LogReader
from shared.process.postgres import reason_of
from shared.projections import schemas
from shared.projections.checkpoint import log_mismatch, read_checkpoint
from shared.projections.definition import ProjectionDefinition, VersionMismatchError
from shared.projections.rebuild import parked
from shared.projections.rebuild.cutover import cutover, drop_inactive, rollback
from shared.projections.rebuild.diff import compare
from shared.projections.rebuild.parked import ParkedEventNotFoundError
from shared.projections.rebuild.progress import ProgressStep
from shared.projections.rebuild.rebuild import build
from shared.projections.rebuild.replay import LogIncompleteError
from shared.projections.schemas import PreconditionFailedError
from shared.projections.tables import named
from shared.projections.view import View

DONE: Final = 0
REFUSED: Final = 1
NO_ANSWER: Final = 3

Arguments = Mapping[str, Any]
Verb = Callable[[str, ProjectionDefinition, Arguments], Awaitable[Any]]


# ---- the verbs


async def show(url: str, definition: ProjectionDefinition, _: Arguments) -> Any:
    """Report position, lag behind the log, parked events, and schemas that are not live."""
    async with LogReader(url) as events, schemas.rebuild_connection(url) as connection, connection.cursor() as cursor:
        status = await schemas.schema_status(cursor, definition.name)
        live = status.live
        position = live.position if live else 0
        lag = await lag_of(events, position)
        parked_events = given_up = 0
        why = None
        if live is not None:
            parked_events, given_up = await dead_letters(cursor, definition.name)
            why = await log_mismatch(events, await read_checkpoint(cursor, definition.name))
        return {
            "view": definition.name,
            "code_version": definition.version,
            "version": live.version if live else None,
            "position": position,
            "log_end": lag.log_end,
            "lag_events": lag.events,
            "lag_seconds": lag.seconds,
            "parked": parked_events,
            "given_up": given_up,
            "contradicts_log": why,
            "beside": [
                {"state": state, **dataclasses.asdict(rows)}
                for state, rows in (("new", status.staged), ("old", status.retired), ("building", status.building))
                if rows is not None
            ],
        }


async def dead_letters(cursor: AsyncCursor[Any], schema: str) -> tuple[int, int]:
    """Count parked events, and those given up since the rows were built."""
    await cursor.execute(named("SELECT count(*) FROM {schema}.parked", schema))
    ((waiting,),) = await cursor.fetchall()
    await cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.given_up",))
    ((counted,),) = await cursor.fetchall()
    if not counted:
        # An earlier release kept no record of them.
        return waiting, 0
    await cursor.execute(named("SELECT count(*) FROM {schema}.given_up", schema))
    ((given_up,),) = await cursor.fetchall()
    return waiting, given_up


async def rebuild(url: str, definition: ProjectionDefinition, _: Arguments) -> Any:
    return {
        "view": definition.name,
        "version": definition.version,
        "position": await build(url, definition, write_step),
    }


async def run_diff(url: str, definition: ProjectionDefinition, _: Arguments) -> Any:
    report = await compare(url, definition, write_step)
    return {"view": definition.name, "same": report.same, **dataclasses.asdict(report)}


async def run_cutover(url: str, definition: ProjectionDefinition, arguments: Arguments) -> Any:
    found = await cutover(url, definition, write_step, force=arguments.get("force", False))
    return {"view": definition.name, **dataclasses.asdict(found)}


async def run_rollback(url: str, definition: ProjectionDefinition, arguments: Arguments) -> Any:
    found = await rollback(url, definition, write_step, force=arguments.get("force", False))
    return {"view": definition.name, **dataclasses.asdict(found)}


async def drop(url: str, definition: ProjectionDefinition, _: Arguments) -> Any:
    return {
        "view": definition.name,
        "dropped": [dataclasses.asdict(rows) for rows in await drop_inactive(url, definition)],
    }


async def parked_list(url: str, definition: ProjectionDefinition, arguments: Arguments) -> Any:
    async with open_view(url, definition) as view:
        found = await parked.list_parked(view, arguments.get("after", 0), arguments.get("limit", parked.BATCH))
    return [dataclasses.asdict(one) for one in found]


async def parked_show(url: str, definition: ProjectionDefinition, arguments: Arguments) -> Any:
    async with open_view(url, definition) as view:
        detail = await parked.show_parked(view, arguments["position"])
    return dataclasses.asdict(detail.parked) | {
        "followers": detail.followers,
        "headers": dict(detail.headers),
        "body": readable_body(detail.body),
    }


async def parked_retry(url: str, definition: ProjectionDefinition, arguments: Arguments) -> Any:
    async with open_view(url, definition) as view:
        applied, left = await parked.retry_parked(view, arguments.get("position"))
    return {"view": definition.name, "applied": applied, "left": left}


async def parked_drop(url: str, definition: ProjectionDefinition, arguments: Arguments) -> Any:
    async with open_view(url, definition) as view:
        applied, left = await parked.give_up(view, arguments["position"])
    return {"view": definition.name, "dropped": arguments["position"], "applied": applied, "left": left}


VERBS: Final[Mapping[str, Verb]] = {
    "show": show,
    "rebuild": rebuild,
    "compare": run_diff,
    "switch": run_cutover,
    "back": run_rollback,
    "drop": drop,
    "parked-list": parked_list,
    "parked-show": parked_show,
    "parked-retry": parked_retry,
    "parked-drop": parked_drop,
}


# ---- the process


async def run_verb(url: str, definition: ProjectionDefinition, verb: str, arguments: Arguments) -> int:
    """Do it, print the outcome, and return the exit code."""
    try:
        write_line({"done": await VERBS[verb](url, definition, arguments)})
    except (PreconditionFailedError, ParkedEventNotFoundError, VersionMismatchError, LogIncompleteError) as error:
        write_line({"refused": str(error)})
        return REFUSED
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable):
        write_line(
            {"refused": f"There are no rows of {definition.name} yet: its service has never run on this database."}
        )
        return REFUSED
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        write_line({"refused": f"This role may not ({reason_of(error)}): use the role of the view's own service."})
        return REFUSED
    except BrokenPipeError:
        # The caller is gone; a rebuild has dropped its schema by now.
        return NO_ANSWER
    except (psycopg.OperationalError, OSError) as error:
        write_line({"no_answer": reason_of(error)})
        return NO_ANSWER
    except asyncio.CancelledError:
        write_line({"interrupted": "Stopped; nothing is left of it."})
        return REFUSED
    return DONE


def write_line(line: Mapping[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def write_step(step: ProgressStep) -> None:
    write_line({"step": dataclasses.asdict(step)})


@asynccontextmanager
async def open_view(url: str, definition: ProjectionDefinition) -> AsyncIterator[View]:
    view = View(url, definition)
    await view.open()
    try:
        yield view
    finally:
        await view.close()


def readable_body(body: bytes) -> Any:
    """Return the body as JSON if it is that, else in base 64."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"base64": base64.b64encode(body).decode()}
