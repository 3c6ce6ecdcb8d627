"""One load from the start, or from its checkpoint, to its end; each obstacle has a message and an exit code."""

import asyncio
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from services.ops.loading import encodings, progress_bar, rows
from services.ops.loading.checkpoint import (
    Checkpoint,
    InputChangedError,
    OptionsChangedError,
    RejectsFileEditedError,
    WrongServerError,
)
from services.ops.loading.load import Load
from services.ops.terminal import NO_ANSWER, USAGE, done, err, fail, switchboard_at
from shared.client import RequestTimeout

PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True)
class LoadRequest:
    """The command line; `refused` names another file for refused rows."""

    file: Path
    refused: Path | None
    account: str | None
    actor: str | None
    in_flight: int
    start_over: bool
    url: str | None

    @property
    def refused_file(self) -> Path:
        return self.refused or self.file.with_name(f"{self.file.name}.refused.jsonl")

    @property
    def options(self) -> dict[str, str | None]:
        """The options that change the commands of the rows, or where refused rows go."""
        return {"account": self.account, "actor": self.actor, "refused": str(self.refused) if self.refused else None}


class LoadResult(NamedTuple):
    """The end of a load. `error` says why rows are unanswered although it was not stopped.

    `before` rows were answered when this run started; it took `seconds`.
    """

    checkpoint: Checkpoint
    whole: bool
    error: str
    interrupted: bool
    before: int
    seconds: float


def checkpoint_path(file: Path) -> Path:
    return file.with_name(f"{file.name}.load")


def run_load(request: LoadRequest) -> LoadResult:
    """
    Raises:
        typer.Exit: it could not start or go on; the reason is printed.
    """
    file, refused_file = request.file, request.refused_file
    try:
        # Opening a pipe without a writer would block.
        encodings.require_file(file)
    except encodings.UnreadableFileError as error:
        fail(f"{error}.", USAGE)
    resumes = checkpoint_path(file).exists() and not request.start_over
    if refused_file.exists() and (refused_file.samefile(file) or (not resumes and refused_file.stat().st_size)):
        fail(f"{refused_file} exists already: move it away, or name another file with --refused.", USAGE)
    if not os.access(refused_file if refused_file.exists() else refused_file.parent, os.W_OK):
        fail(f"{refused_file} cannot be written: name another file with --refused.", USAGE)
    with _locked(file):
        try:
            table = rows.read(file, request.account, request.actor)
            result = done(_run(request, table))
        except encodings.UnreadableFileError as error:
            fail(f"{error}.", USAGE)
        except RejectsFileEditedError:
            fail(
                f"{refused_file} was edited since it was written: move it away, then run the same command to resume.",
                USAGE,
            )
        except WrongServerError as row:
            fail(
                f"{row} of {file.name} was answered before, and that answer is not on record here. This is another"
                " Switchboard than the load started with (see --url), or one restored from an older backup; if it was"
                " restored, start over with --anew.",
                USAGE,
            )
        except OSError as error:
            fail(f"The progress cannot be saved: {error}. Run the same command to resume.", NO_ANSWER)
        if refused_file.exists() and not refused_file.stat().st_size:
            refused_file.unlink()
        if result.whole:
            result.checkpoint.remove()
        return result


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Keep a second load of the same file from counting the same rows."""
    with file.open("rb") as locked:
        try:
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(f"{file} is being loaded already.", USAGE)
        yield


async def _run(request: LoadRequest, table: rows.Rows) -> LoadResult:
    async with switchboard_at(request.url, PATIENCE_SECONDS) as switchboard:
        # Only once connected: a load that never started leaves no checkpoint.
        checkpoint = _open_checkpoint(request, table.digest)
        began, before = time.monotonic(), checkpoint.rows
        if before:
            err.print(f"Resuming after {before:,} rows; --anew starts over.")
        load = Load(switchboard, checkpoint, request.refused_file, request.in_flight)
        with progress_bar.show(request.file.name, table.count, checkpoint) as update:
            refreshing = asyncio.create_task(progress_bar.refresh(update, load))
            try:
                whole = await load.run(table)
            finally:
                refreshing.cancel()
            update(False)
        return LoadResult(checkpoint, whole, _reason(load), load.interrupted, before, time.monotonic() - began)


def _reason(load: Load) -> str:
    if isinstance(load.error, RequestTimeout):
        return f"no answer for {PATIENCE_SECONDS:g} s, {load.error.cause}"
    return str(load.error or "")


def _open_checkpoint(request: LoadRequest, digest: str) -> Checkpoint:
    file, path = request.file, checkpoint_path(request.file)
    if request.start_over:
        path.unlink(missing_ok=True)
    try:
        return Checkpoint.open(path, digest, request.options)
    except OptionsChangedError as before:
        fail(f"This load started with {before}: use the same options, or start over with --anew.", USAGE)
    except InputChangedError:
        fail(f"{file.name} changed since its load started: restore it, or start over with --anew.", USAGE)
    except OSError as error:
        fail(f"{path} cannot be written: {error}. Load a copy of {file.name} in a folder of your own.", USAGE)
    except (KeyError, TypeError, ValueError) as error:
        fail(f"{path} is damaged ({error}); the load cannot be resumed: start over with --anew.", USAGE)
