"""The import of a log, as a process: arguments as JSON in, lines of JSON out.

`python -m services.connections.app import '{"bundle": …, "log": …, "trees": …}'` prints lines of `{"step": …}`, and
at the end `{"done": …}` (exit code 0), `{"refused": "why"}` (1) or `{"no_answer": "why"}` (3). `switchboard audit
import` calls it after it has verified the bundle.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from services.connections.commands import PAGES, SET_VERSION
from services.connections.store.event_store import EventStore
from services.connections.store.log_import import ImportedTree, ImportRefusedError, LogImport, connected
from services.connections.store.recorder import StoreUnavailable
from shared.process import failpoints, logs
from shared.process.postgres import PostgresError, PostgresUnavailable, reason_of
from shared.process.settings import Settings
from shared.transparency.errors import TransparencyError
from shared.transparency.fields import to_hash

DONE: Final = 0
REFUSED: Final = 1
NO_ANSWER: Final = 3

# The role may not, or the session only reads.
NOT_ALLOWED: Final = {"42501", "25006"}
NEEDED: Final = "use the role that owns the event store, or an administrator"


def run_import(settings: Settings, arguments: str) -> int:
    """Import, print the outcome, and return the exit code."""
    logs.configure("import", settings.log_format)
    failpoints.arm(settings.failpoints, "import")
    try:
        _import(settings.postgres_url or "", orjson.loads(arguments))
    except (ImportRefusedError, TransparencyError, OSError) as error:
        return _print({"refused": str(error)}, REFUSED)
    except (StoreUnavailable, PostgresUnavailable) as error:
        return _print({"no_answer": reason_of(error)}, NO_ANSWER)
    except PostgresError as error:
        if error.sqlstate not in NOT_ALLOWED:
            raise
        return _print({"refused": f"This role may not import a log ({reason_of(error)}): {NEEDED}."}, REFUSED)
    return _print({"done": {}}, DONE)


def _import(url: str, arguments: Mapping[str, Any]) -> None:
    trees = {name: ImportedTree(one["size"], to_hash(one["root"])) for name, one in arguments["trees"].items()}
    # Opening it makes the tables where they are missing.
    store = EventStore(url, PAGES)
    try:
        with connected(url) as connection:
            of_bundle = LogImport(connection, Path(arguments["bundle"]), store.recorded_mapper, _print_step)
            of_bundle.run(arguments["log"], trees["events"], trees["journal"], PAGES, SET_VERSION)
    finally:
        store.close()


def _print_step(phase: str, done: int, end: int) -> None:
    _print({"step": {"phase": phase, "done": done, "end": end}}, DONE)


def _print(line: Mapping[str, Any], code: int) -> int:
    sys.stdout.write(f"{orjson.dumps(line).decode()}\n")
    sys.stdout.flush()
    return code
