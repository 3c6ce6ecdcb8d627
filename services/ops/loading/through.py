"""One load from its beginning, or from where it stopped, to its end; whatever keeps it is told, with the exit code."""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from services.ops.loading import bar, encodings, rows
from services.ops.loading.load import Load
from services.ops.loading.place import Changed, Elsewhere, Mended, Otherwise, Place
from services.ops.terminal import NO_ANSWER, USAGE, done, err, fail, reached
from shared.client import RequestTimeout

PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Wanted:
    """What was typed; `refused` names another file for refused rows."""

    file: Path
    refused: Path | None
    account: str | None
    actor: str | None
    in_flight: int
    anew: bool
    url: str | None

    @property
    def to_refused(self) -> Path:
        return self.refused or self.file.with_name(f"{self.file.name}.refused.jsonl")

    @property
    def given(self) -> dict[str, str | None]:
        """What makes other commands of the same rows, or puts them elsewhere."""
        return {"account": self.account, "actor": self.actor, "refused": str(self.refused) if self.refused else None}


class End(NamedTuple):
    """Where a load came to. `trouble` says why not all rows are answered, when nobody stopped it.

    `before` rows were answered when it began, `seconds` before it ended.
    """

    place: Place
    whole: bool
    trouble: str
    interrupted: bool
    before: int
    seconds: float


def place_of(file: Path) -> Path:
    """Where a load of the file keeps how far it came."""
    return file.with_name(f"{file.name}.load")


def through(wanted: Wanted) -> End:
    """
    Raises:
        typer.Exit: it was not begun, or cannot go on; why, is told.
    """
    file, to_refused = wanted.file, wanted.to_refused
    try:
        # A pipe that nobody writes to would be waited for.
        encodings.require_file(file)
    except encodings.Unreadable as error:
        fail(f"{error}.", USAGE)
    begun = place_of(file).exists() and not wanted.anew
    if to_refused.exists() and (to_refused.samefile(file) or (not begun and to_refused.stat().st_size)):
        fail(f"{to_refused} is there already: move it away, or name another file with --refused.", USAGE)
    if not os.access(to_refused if to_refused.exists() else to_refused.parent, os.W_OK):
        fail(f"{to_refused} cannot be written: name another file with --refused.", USAGE)
    with _alone(file):
        try:
            told = rows.read(file, wanted.account, wanted.actor)
            end = done(_from_where_it_stands(wanted, told))
        except encodings.Unreadable as error:
            fail(f"{error}.", USAGE)
        except Mended:
            fail(
                f"{to_refused} was changed since it was written: move it away, and the same command line goes on.",
                USAGE,
            )
        except Elsewhere as row:
            fail(
                f"{row} of {file.name} was answered before and is not on record here. This is another Switchboard than"
                " the load was begun with (see --url), or one restored from an earlier day: then begin again with"
                " --anew.",
                USAGE,
            )
        except OSError as error:
            fail(f"How far it came cannot be kept: {error}. The same command line goes on.", NO_ANSWER)
        if to_refused.exists() and not to_refused.stat().st_size:
            to_refused.unlink()
        if end.whole:
            end.place.remove()
        return end


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Holds the file against another load of it, which would count the same rows."""
    with file.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(f"{file} is being loaded already.", USAGE)
        yield


async def _from_where_it_stands(wanted: Wanted, told: rows.Rows) -> End:
    async with reached(wanted.url, PATIENCE_SECONDS) as switchboard:
        # Not before Switchboard is there: a load that was never begun is none to go on with.
        place = _begun(wanted, told.digest)
        began, before = time.monotonic(), place.rows
        if before:
            err.print(f"Going on after {before:,} rows; --anew begins again.")
        load = Load(switchboard, place, wanted.to_refused, wanted.in_flight)
        with bar.shown(wanted.file.name, told.count, place) as look:
            looking = asyncio.create_task(bar.look_again(look, load))
            try:
                whole = await load.run(told)
            finally:
                looking.cancel()
            look(False)
        return End(place, whole, _trouble(load), load.interrupted, before, time.monotonic() - began)


def _trouble(load: Load) -> str:
    if isinstance(load.trouble, RequestTimeout):
        return f"no answer for {PATIENCE_SECONDS:g} s, {load.trouble.cause}"
    return str(load.trouble or "")


def _begun(wanted: Wanted, digest: str) -> Place:
    file, path = wanted.file, place_of(wanted.file)
    if wanted.anew:
        path.unlink(missing_ok=True)
    try:
        return Place.of(path, digest, wanted.given)
    except Otherwise as before:
        fail(f"This load was begun with {before}: give the same, or begin again with --anew.", USAGE)
    except Changed:
        fail(f"{file.name} is not as it was when its load began: put it back, or begin again with --anew.", USAGE)
    except OSError as error:
        fail(f"{path} cannot be kept: {error}. Load a copy of {file.name} in a folder of yours.", USAGE)
    except (KeyError, TypeError, ValueError) as error:
        fail(f"{path} says no longer how far the load came ({error}): begin again with --anew.", USAGE)
