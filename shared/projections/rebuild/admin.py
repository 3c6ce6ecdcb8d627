"""The administration of a view, as a process: a verb in, lines of JSON out, the last of them the outcome.

`python -m services.<service>.app views <verb> '<arguments as JSON>'` prints one object a line: `{"step": …}` while it
works, and at the end `{"done": …}` (exit code 0), `{"refused": "why"}` or `{"interrupted": "by a signal"}` (1), or
`{"no_answer": "why"}` (3). `switchboard views` calls it. It needs PostgreSQL only, whether the service runs or not.
"""

import asyncio
import base64
import dataclasses
import sys
from collections.abc import Awaitable, Callable, Mapping
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
from shared.projections.rebuild.cutover import CutoverResult, cutover, drop_inactive, rollback
from shared.projections.rebuild.diff import compare
from shared.projections.rebuild.parked import BATCH, ParkedEventNotFoundError
from shared.projections.rebuild.parked_everywhere import (
    Definitions,
    Retried,
    give_up,
    list_parked,
    retry_parked,
    show_parked,
)
from shared.projections.rebuild.progress import ProgressStep
from shared.projections.rebuild.rebuild import build
from shared.projections.rebuild.replay import LogIncompleteError
from shared.projections.schemas import PreconditionFailedError
from shared.projections.tables import named

DONE: Final = 0
REFUSED: Final = 1
NO_ANSWER: Final = 3

Arguments = Mapping[str, Any]
Exchange = Callable[..., Awaitable[CutoverResult]]
Verb = Callable[[str, Definitions, Arguments], Awaitable[Any]]


# ---- the verbs


async def show(url: str, of: Definitions, _: Arguments) -> Any:
    """Report the state of the live rows, with the history's under `history`; without live rows, the history's alone."""
    states = [await _state(url, definition) for definition in of.all]
    return states[0] | ({"history": states[1]} if states[1:] else {})


async def _state(url: str, definition: ProjectionDefinition) -> dict[str, Any]:
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
            "temporal": definition.temporal,
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


async def rebuild(url: str, of: Definitions, arguments: Arguments) -> Any:
    definition = _chosen(of, arguments)
    position = await build(url, definition, write_step)
    return {"view": definition.name, "version": definition.version, "position": position}


async def run_diff(url: str, of: Definitions, arguments: Arguments) -> Any:
    definition = _chosen(of, arguments)
    report = await compare(url, definition, write_step)
    return {"view": definition.name, "same": report.same, **dataclasses.asdict(report)}


async def run_cutover(url: str, of: Definitions, arguments: Arguments) -> Any:
    return await _exchange(url, of, arguments, cutover)


async def run_rollback(url: str, of: Definitions, arguments: Arguments) -> Any:
    return await _exchange(url, of, arguments, rollback)


async def _exchange(url: str, of: Definitions, arguments: Arguments, exchange: Exchange) -> Any:
    definition = _chosen(of, arguments)
    if of.live is not None and definition.temporal:
        await _require_version_of_live(url, of.live)
    found = await exchange(url, definition, write_step, force=arguments.get("force", False))
    return {"view": definition.name, **dataclasses.asdict(found)}


async def _require_version_of_live(url: str, live: ProjectionDefinition) -> None:
    async with schemas.rebuild_connection(url) as connection, connection.cursor() as cursor:
        rows = await schemas.schema_info(cursor, live.name)
    if rows is not None and rows.version != live.version:
        raise PreconditionFailedError(
            f"The live rows of {live.name} are of version {rows.version}, this code is of version {live.version}. "
            "Switch the rows: their history follows by itself."
        )


async def drop(url: str, of: Definitions, arguments: Arguments) -> Any:
    definition = _chosen(of, arguments)
    dropped = [dataclasses.asdict(rows) for rows in await drop_inactive(url, definition)]
    return {"view": definition.name, "dropped": dropped}


def _chosen(of: Definitions, arguments: Arguments) -> ProjectionDefinition:
    """Return the history if it was asked for, or there is nothing else."""
    return of.history if arguments.get("history") else of.first


async def parked_list(url: str, of: Definitions, arguments: Arguments) -> Any:
    found = await list_parked(url, of, arguments.get("after", 0), arguments.get("limit", BATCH))
    return [dataclasses.asdict(one) | {"in": schemas_} for one, schemas_ in found]


async def parked_show(url: str, of: Definitions, arguments: Arguments) -> Any:
    detail, found_in = await show_parked(url, of, arguments["position"])
    return dataclasses.asdict(detail.parked) | {
        "in": found_in,
        "followers": detail.followers,
        "headers": dict(detail.headers),
        "body": readable_body(detail.body),
    }


async def parked_retry(url: str, of: Definitions, arguments: Arguments) -> Any:
    return _of_each(of, await retry_parked(url, of, arguments.get("position")))


async def parked_drop(url: str, of: Definitions, arguments: Arguments) -> Any:
    position = arguments["position"]
    return _of_each(of, await give_up(url, of, position)) | {"dropped": position}


def _of_each(of: Definitions, outcomes: Mapping[str, Retried]) -> dict[str, Any]:
    """Report what became of the live rows' events; of the history's, too, if it had any."""
    nothing = Retried(0, 0)
    found = {"view": of.first.name, **dataclasses.asdict(outcomes.get(of.first.name, nothing))}
    if of.live is not None and of.history.name in outcomes:
        found["history"] = dataclasses.asdict(outcomes[of.history.name])
    return found


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


async def run_verb(
    url: str, definition: ProjectionDefinition, verb: str, arguments: Arguments, *, live: bool = True
) -> int:
    """Do it, print the outcome, and return the exit code; without `live`, the view is a history only."""
    of = Definitions(definition if live else None, definition.history())
    try:
        write_line({"done": await VERBS[verb](url, of, arguments)})
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


def readable_body(body: bytes) -> Any:
    """Return the body as JSON if it is that, else in base 64."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"base64": base64.b64encode(body).decode()}
