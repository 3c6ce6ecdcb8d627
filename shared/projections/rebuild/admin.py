"""What can be done with a view from outside, as a process: a verb in, lines of JSON out, the last of them the outcome.

`python -m services.<room>.app views <verb> '<arguments as JSON>'` prints one object a line: `{"step": …}` while it goes
on, and at the end `{"done": …}` (exit code 0), `{"refused": "why"}` or `{"interrupted": "by a signal"}` (1), or
`{"no_answer": "why"}` (3). This is for `switchboard views`; it needs PostgreSQL only, and works whether the view's
service runs or not.
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

from shared.process.lag import behind
from shared.process.log_reader import LogReader
from shared.process.postgres import why
from shared.projections import schemas
from shared.projections.checkpoint import checkpoint_of, contradiction
from shared.projections.definition import Design, DesignChanged
from shared.projections.projection_store import named
from shared.projections.rebuild import parked
from shared.projections.rebuild.cutover import back, drop_beside, switch
from shared.projections.rebuild.diff import compare
from shared.projections.rebuild.parked import NotParked
from shared.projections.rebuild.progress import Step
from shared.projections.rebuild.rebuild import build
from shared.projections.rebuild.replay import LogTooShort
from shared.projections.schemas import NotPossible
from shared.projections.view import View

DONE: Final = 0
REFUSED: Final = 1
NO_ANSWER: Final = 3

Arguments = Mapping[str, Any]
Verb = Callable[[str, Design, Arguments], Awaitable[Any]]


# ---- the verbs


async def show(url: str, design: Design, _: Arguments) -> Any:
    """Where the view stands, whether and how far that is behind the log, what is parked, what stands beside it."""
    async with LogReader(url) as events, schemas.working(url) as connection, connection.cursor() as cursor:
        standing = await schemas.standing(cursor, design.name)
        live = standing.live
        position = live.position if live else 0
        lag = await behind(events, position)
        parked_events = given_up = 0
        why = None
        if live is not None:
            parked_events, given_up = await dead_letters(cursor, design.name)
            why = await contradiction(events, await checkpoint_of(cursor, design.name))
        return {
            "view": design.name,
            "code_version": design.version,
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
                for state, rows in (("new", standing.new), ("old", standing.old), ("building", standing.building))
                if rows is not None
            ],
        }


async def dead_letters(cursor: AsyncCursor[Any], schema: str) -> tuple[int, int]:
    """How many wait, and how many were given up since the rows were made."""
    await cursor.execute(named("SELECT count(*) FROM {schema}.parked", schema))
    ((waiting,),) = await cursor.fetchall()
    await cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.given_up",))
    ((counted,),) = await cursor.fetchall()
    if not counted:
        # Rows of a release that left no marks.
        return waiting, 0
    await cursor.execute(named("SELECT count(*) FROM {schema}.given_up", schema))
    ((given_up,),) = await cursor.fetchall()
    return waiting, given_up


async def rebuild(url: str, design: Design, _: Arguments) -> Any:
    return {"view": design.name, "version": design.version, "position": await build(url, design, say_step)}


async def compared(url: str, design: Design, _: Arguments) -> Any:
    report = await compare(url, design, say_step)
    return {"view": design.name, "same": report.same, **dataclasses.asdict(report)}


async def switched(url: str, design: Design, arguments: Arguments) -> Any:
    found = await switch(url, design, say_step, force=arguments.get("force", False))
    return {"view": design.name, **dataclasses.asdict(found)}


async def switched_back(url: str, design: Design, arguments: Arguments) -> Any:
    found = await back(url, design, say_step, force=arguments.get("force", False))
    return {"view": design.name, **dataclasses.asdict(found)}


async def drop(url: str, design: Design, _: Arguments) -> Any:
    return {"view": design.name, "dropped": [dataclasses.asdict(rows) for rows in await drop_beside(url, design)]}


async def parked_list(url: str, design: Design, arguments: Arguments) -> Any:
    async with opened(url, design) as view:
        found = await parked.listed(view, arguments.get("after", 0), arguments.get("limit", parked.AT_ONCE))
    return [dataclasses.asdict(one) for one in found]


async def parked_show(url: str, design: Design, arguments: Arguments) -> Any:
    async with opened(url, design) as view:
        whole = await parked.shown(view, arguments["position"])
    return dataclasses.asdict(whole.parked) | {
        "followers": whole.followers,
        "headers": dict(whole.headers),
        "body": readable(whole.body),
    }


async def parked_retry(url: str, design: Design, arguments: Arguments) -> Any:
    async with opened(url, design) as view:
        through, left = await parked.retry(view, arguments.get("position"))
    return {"view": design.name, "applied": through, "left": left}


async def parked_drop(url: str, design: Design, arguments: Arguments) -> Any:
    async with opened(url, design) as view:
        through, left = await parked.given_up(view, arguments["position"])
    return {"view": design.name, "dropped": arguments["position"], "applied": through, "left": left}


VERBS: Final[Mapping[str, Verb]] = {
    "show": show,
    "rebuild": rebuild,
    "compare": compared,
    "switch": switched,
    "back": switched_back,
    "drop": drop,
    "parked-list": parked_list,
    "parked-show": parked_show,
    "parked-retry": parked_retry,
    "parked-drop": parked_drop,
}


# ---- the process


async def do(url: str, design: Design, verb: str, arguments: Arguments) -> int:
    """Does it and says so; the exit code."""
    try:
        say({"done": await VERBS[verb](url, design, arguments)})
    except (NotPossible, NotParked, DesignChanged, LogTooShort) as error:
        say({"refused": str(error)})
        return REFUSED
    except (psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable):
        say({"refused": f"There are no rows of {design.name} yet: its service has never run on this database."})
        return REFUSED
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction) as error:
        say({"refused": f"This role may not ({why(error)}): give it as the view's own, where its service runs."})
        return REFUSED
    except BrokenPipeError:
        # Who gave the verb is gone; what was begun is cleared away by now.
        return NO_ANSWER
    except (psycopg.OperationalError, OSError) as error:
        say({"no_answer": why(error)})
        return NO_ANSWER
    except asyncio.CancelledError:
        say({"interrupted": "Stopped; nothing is left of it."})
        return REFUSED
    return DONE


def say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode() + "\n")
    sys.stdout.flush()


def say_step(step: Step) -> None:
    say({"step": dataclasses.asdict(step)})


@asynccontextmanager
async def opened(url: str, design: Design) -> AsyncIterator[View]:
    view = View(url, design)
    await view.open()
    try:
        yield view
    finally:
        await view.close()


def readable(body: bytes) -> Any:
    """The body as JSON if it is that, else in base 64."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return {"base64": base64.b64encode(body).decode()}
