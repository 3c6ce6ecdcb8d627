"""The administration of the evidence, as a process: a verb in, one line of JSON out.

`python -m services.audit.app evidence <verb> '<arguments as JSON>'` prints `{"done": …}` (exit code 0),
`{"refused": "why"}` (1) or `{"no_answer": "why"}` (3). `switchboard audit evidence` calls it. Keys are in a folder, so
it runs where the audit runs.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from services.audit.evidence.follower import SESSION, EvidencePlace
from services.audit.evidence.heads import TREES, begin_origin, current_heads
from services.audit.evidence.keys import KeysError, verifier_keys
from services.audit.evidence.service import place_of
from shared.process.log_reader import LogReader
from shared.process.postgres import DirectAsync, PostgresError, PostgresUnavailable, reason_of
from shared.process.settings import Settings
from shared.transparency.checkpoints import log_origin

DONE: Final = 0
REFUSED: Final = 1
NO_ANSWER: Final = 3

# The role may not, and the session only reads.
NOT_ALLOWED: Final = {"42501", "25006"}

Arguments = Mapping[str, Any]


class NotPossibleError(Exception):
    """The verb cannot do its work; the message says what is missing."""


async def show_keys(url: str, place: EvidencePlace, _: Arguments) -> Any:
    """Return the pairs that sign, each with its verifier keys for both trees."""
    origins = await _origins(url, place)
    pairs = place.key_folder().pairs()
    return [
        {"pair": pair.number, "keys": [str(key) for origin in origins for key in verifier_keys(origin, [pair])]}
        for pair in pairs
    ]


async def rotate_keys(_: str, place: EvidencePlace, __: Arguments) -> Any:
    """Make a pair of keys that signs beside those there are."""
    folder = place.key_folder()
    before = folder.numbers()
    return {"pair": folder.add(), "beside": before}


async def retire_keys(_: str, place: EvidencePlace, arguments: Arguments) -> Any:
    """Let a pair of keys sign no more."""
    folder = place.key_folder()
    folder.retire(arguments["pair"])
    return {"retired": arguments["pair"], "pairs": folder.numbers()}


async def new_origin(url: str, place: EvidencePlace, arguments: Arguments) -> Any:
    """Begin both trees again under new origins; the service puts the former ones aside."""
    async with await _connected(url) as connection, LogReader(url) as events:
        if await events.identity() is None:
            raise NotPossibleError("There is no log yet, so there is nothing to begin again.")
        origins = await begin_origin(connection, place.name, arguments["reason"])
    return {"origins": origins, "reason": arguments["reason"]}


VERBS: Final[Mapping[str, Callable[[str, EvidencePlace, Arguments], Awaitable[Any]]]] = {
    "keys": show_keys,
    "rotate-keys": rotate_keys,
    "retire-keys": retire_keys,
    "new-origin": new_origin,
}


def run_verb(settings: Settings, verb: str, arguments: str) -> int:
    """Do it, print the outcome, and return the exit code."""
    try:
        place = place_of(settings)
        if place is None or settings.postgres_url is None:
            raise NotPossibleError(
                "Set SWITCHBOARD_EVIDENCE_DIR, SWITCHBOARD_EVIDENCE_KEYS_DIR and SWITCHBOARD_POSTGRES_URL as the audit "
                "service has them."
            )
        done = asyncio.run(_do(settings.postgres_url, place, verb, orjson.loads(arguments)))
    except (KeysError, NotPossibleError) as error:
        return _print({"refused": str(error)}, REFUSED)
    except PostgresUnavailable as error:
        return _print({"no_answer": reason_of(error)}, NO_ANSWER)
    except PostgresError as error:
        if error.sqlstate not in NOT_ALLOWED:
            raise
        return _print({"refused": f"This role may not ({reason_of(error)}): use the role of the audit."}, REFUSED)
    except OSError as error:
        return _print({"refused": str(error)}, REFUSED)
    return _print({"done": done}, DONE)


async def _do(url: str, place: EvidencePlace, verb: str, arguments: Arguments) -> Any:
    return await VERBS[verb](url, place, arguments)


def _print(line: Mapping[str, Any], code: int) -> int:
    sys.stdout.write(f"{orjson.dumps(line).decode()}\n")
    sys.stdout.flush()
    return code


async def _connected(url: str) -> DirectAsync:
    return await DirectAsync.connect(url, settings=SESSION, autocommit=True, application_name="audit-evidence")


async def _origins(url: str, place: EvidencePlace) -> list[str]:
    """Return the origins in use; before the first start of the service those that it will begin with."""
    async with await _connected(url) as connection, LogReader(url) as events:
        heads = await current_heads(connection)
        if heads:
            return [head.origin for head in heads.values()]
        log_id = await events.identity()
    if log_id is None:
        raise NotPossibleError("There is no log yet, and keys are named after it.")
    return [log_origin(place.name, log_id, tree) for tree in TREES]
