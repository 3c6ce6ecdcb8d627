"""The process of a view: it serves until it is stopped, or does one thing for an operator and ends."""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import orjson

from shared.messaging.lifecycle import Wire, run
from shared.process import failpoints, logs
from shared.process.settings import Settings
from shared.projections.definition import ProjectionDefinition
from shared.projections.rebuild.admin import run_verb
from shared.projections.rebuild.rebuild import rebuild_rows

T = TypeVar("T")


def run_view(name: str, definition: ProjectionDefinition, wire: Wire, *, live: bool = True) -> None:
    """Serve the view until the process is stopped; without `live`, it is a history only.

    `--rebuild` instead rebuilds its rows from the event log and makes them live; `views <verb> <arguments>` runs one
    of `admin.VERBS`.
    """
    match sys.argv[1:]:
        case ["--rebuild"]:
            _run_once(name, lambda url: rebuild_rows(url, definition if live else definition.history()))
        case ["views", verb, arguments]:
            values = orjson.loads(arguments)
            sys.exit(_run_once(name, lambda url: run_verb(url, definition, verb, values, live=live)))
        case _:
            run(name, wire)


def _run_once(name: str, work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    settings = Settings()
    logs.configure(name, settings.log_format)
    failpoints.arm(settings.failpoints, f"{name} by hand")
    if settings.postgres_url is None:
        raise SystemExit(f"{name}: SWITCHBOARD_POSTGRES_URL is not set")
    # A million events leave no cycles, and looking for them would take two fifths of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    return asyncio.run(_cancelled_by_sigterm(work(settings.postgres_url)))


async def _cancelled_by_sigterm(work: Coroutine[Any, Any, T]) -> T:
    """Let SIGTERM end the work as Ctrl-C does, so that it can clean up."""
    task = asyncio.current_task()
    assert task is not None, "this runs in one"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work
