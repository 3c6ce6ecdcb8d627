"""`switchboard load` and `switchboard load-directory`, as they are typed and as they tell how far they are."""

import asyncio
import fcntl
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from services.ops.loading import clashes, directory, rows
from services.ops.loading.load import IN_FLIGHT, Load
from services.ops.loading.place import Changed, Elsewhere, Mended, Otherwise, Place
from services.ops.showing import plain_table
from services.ops.terminal import (
    DONE,
    INTERRUPTED,
    NO_ANSWER,
    REFUSED,
    USAGE,
    Json,
    Url,
    done,
    err,
    fail,
    out,
    print_json,
    reached,
)
from shared.client.asking import Unanswered
from shared.language.text import SERVICE

PATIENCE_SECONDS: Final = 30.0
# Without an answer for so long, that is told instead of a rate.
SILENT_SECONDS: Final = 1.5
LOOK_SECONDS: Final = 0.2
ENDING: Final = "waiting for answers; Ctrl-C again leaves at once"

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="Commands, .jsonl or .csv.")]
Refused = Annotated[Path | None, typer.Option(help="Where refused rows go; else beside the rest, FILE.refused.jsonl.")]
Account = Annotated[str | None, typer.Option(help="The account of rows that name none.")]
Actor = Annotated[str | None, typer.Option(help="The actor of rows that name none.")]
InFlight = Annotated[int, typer.Option(min=1, max=4_096, help="How many commands are under way at once.")]
Anew = Annotated[
    bool, typer.Option("--anew", help="Begin again, under new command ids, where an earlier load stopped.")
]


def load(
    file: File,
    refused: Refused = None,
    account: Account = None,
    actor: Actor = None,
    in_flight: InFlight = IN_FLIGHT,
    anew: Anew = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Give many commands out of a file: one JSON object a line, or CSV with the same names as header.

    Commands that name the same address, user or inbox keep their order. Ctrl-C or a lost connection loses nothing: the
    same command line goes on, and nothing is done twice. What is refused is written to a file that can be loaded again
    once it is mended.

    Exit code 0: all accepted or unchanged; 1: some refused; 2: wrong usage; 3: no answer, 130: Ctrl-C (run it again).

    A row: {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "b@a.example", "owner": "bob"}
    """
    to_refused = refused or file.with_name(f"{file.name}.refused.jsonl")
    with _alone(file):
        place, end, seconds, before = _through(file, to_refused, refused, account, actor, in_flight, anew, url)
        if to_refused.exists() and not to_refused.stat().st_size:
            to_refused.unlink()
        if end.whole:
            place.remove()
    told = {"rows": place.rows, "accepted": place.accepted, "unchanged": place.unchanged, "refused": place.refused}
    if as_json:
        print_json({**told, "whole": end.whole, "refused_file": str(to_refused) if place.refused else None})
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in told.items())
        out.print(f"{counts}, in {seconds:.1f} s ({(place.rows - before) / seconds:,.0f} a second)")
        if place.refused:
            out.print(f"Refused, with the reasons: {to_refused}. Mend it and load it.", markup=False)
    if end.whole:
        raise typer.Exit(REFUSED if place.refused else DONE)
    err.print(
        f"Not through: {end.trouble or 'stopped'}. The same command line goes on after row {place.rows:,}.",
        markup=False,
    )
    raise typer.Exit(INTERRUPTED if end.interrupted else NO_ANSWER)


class End(NamedTuple):
    """`trouble` says why not all rows are answered, when nobody stopped it."""

    whole: bool
    trouble: str
    interrupted: bool


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Holds the file against another load of it, which would count the same rows."""
    with file.open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fail(f"{file} is being loaded already.", USAGE)
        yield


def _through(
    file: Path,
    to_refused: Path,
    refused: Path | None,
    account: str | None,
    actor: str | None,
    in_flight: int,
    anew: bool,
    url: str | None,
) -> tuple[Place, End, float, int]:
    """The place where it came to and how it ended, after how many seconds, and how many rows were answered before."""
    begun = place_of(file).exists() and not anew
    if to_refused.exists() and (to_refused.samefile(file) or (not begun and to_refused.stat().st_size)):
        fail(f"{to_refused} is there already: move it away, or name another file with --refused.", USAGE)
    if not os.access(to_refused if to_refused.exists() else to_refused.parent, os.W_OK):
        fail(f"{to_refused} cannot be written: name another file with --refused.", USAGE)
    given = {"account": account, "actor": actor, "refused": str(refused) if refused else None}

    async def loaded() -> tuple[Place, End, float, int]:
        async with reached(url, PATIENCE_SECONDS) as switchboard:
            # Not before Switchboard is there: a load that was never begun is none to go on with.
            place = _begun(file, given, account, anew=anew)
            began, before = time.monotonic(), place.rows
            if before:
                err.print(f"Going on after {before:,} rows; --anew begins again.")
            end = await _loaded(Load(switchboard, place, to_refused, in_flight), file, place, account, actor)
            return place, end, time.monotonic() - began, before

    try:
        return done(loaded())
    except rows.Unreadable as error:
        fail(f"{error}.", USAGE)
    except Mended:
        fail(f"{to_refused} was changed since it was written: move it away, and the same command line goes on.", USAGE)
    except Elsewhere as row:
        fail(
            f"{row} of {file.name} was answered before and is not on record here. This is another Switchboard than the"
            " load was begun with (see --url), or it was restored from an earlier day: then begin again with --anew.",
            USAGE,
        )
    except OSError as error:
        fail(f"How far it came cannot be kept: {error}. The same command line goes on.", NO_ANSWER)


def place_of(file: Path) -> Path:
    """Where a load of the file keeps how far it came."""
    return file.with_name(f"{file.name}.load")


def _begun(file: Path, given: dict[str, str | None], account: str | None, *, anew: bool) -> Place:
    path = place_of(file)
    digest = rows.digest_of(file, account)
    if anew:
        path.unlink(missing_ok=True)
    try:
        return Place.of(path, digest, given)
    except Otherwise as before:
        fail(f"This load was begun with {before}: give the same, or begin again with --anew.", USAGE)
    except Changed:
        fail(f"{file.name} is not as it was when its load began: put it back, or begin again with --anew.", USAGE)
    except OSError as error:
        fail(f"{path} cannot be kept: {error}. Load a copy of {file.name} in a folder of yours.", USAGE)
    except (KeyError, TypeError, ValueError) as error:
        fail(f"{path} says no longer how far the load came ({error}): begin again with --anew.", USAGE)


async def _loaded(load: Load, file: Path, place: Place, account: str | None, actor: str | None) -> End:
    with _bar(file, place) as look:
        looking = asyncio.create_task(_look_again(look, load))
        try:
            whole = await load.run(rows.rows_of(file, account, actor))
        finally:
            looking.cancel()
        look(False)
    trouble = ""
    if isinstance(load.trouble, Unanswered):
        trouble = f"no answer for {PATIENCE_SECONDS:g} s, {load.trouble.why}"
    elif load.trouble:
        trouble = str(load.trouble)
    return End(whole, trouble, load.interrupted)


async def _look_again(look: Callable[[bool], None], load: Load) -> None:
    """Not with each answer: to tell the pace costs more than a command. So it shows, too, when no answers come."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        look(load.interrupted)


@contextmanager
def _bar(file: Path, place: Place) -> Iterator[Callable[[bool], None]]:
    """Rate, refused and time left, on a terminal, each time that the result is called with whether it is ending."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[pace]}", markup=False),
        TextColumn("{task.fields[refused]} refused", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, disable=not sys.stderr.isatty(), refresh_per_second=5) as progress:
        task = progress.add_task(
            file.name, total=rows.count_of(file), completed=place.rows, pace="", refused=place.refused
        )
        reached_rows, since = place.rows, time.monotonic()

        def look(ending: bool) -> None:
            nonlocal reached_rows, since
            if place.rows > reached_rows:
                reached_rows, since = place.rows, time.monotonic()
            pace = ENDING if ending else pace_of(progress.tasks[0], time.monotonic() - since)
            progress.update(task, completed=place.rows, pace=pace, refused=f"{place.refused:,}")

        yield look


def pace_of(task: Task, silent: float) -> str:
    """How many a second and the time left, or how long nothing was answered, in seconds."""
    if silent > SILENT_SECONDS:
        return f"no answer for {silent:.0f} s, asking again"
    if not task.speed:
        return ""
    left = "" if task.remaining is None else f", {timedelta(seconds=round(task.remaining / task.speed))} left"
    return f"{task.speed:,.0f} a second{left}"


# ---- a directory


Folder = Annotated[Path, typer.Argument(exists=True, file_okay=False, help="users.csv, inboxes.csv, addresses.csv.")]
Into = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, registered already.")]
As = Annotated[str, typer.Option("--actor", help="Who gives the commands: a service, since it connects for others.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="List every clash, among the files and with what is there.")]


def load_directory(
    folder: Folder,
    account: Into,
    actor: As = "service:directory",
    dry_run: DryRun = False,
    refused: Refused = None,
    in_flight: InFlight = IN_FLIGHT,
    anew: Anew = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make a directory that was exported elsewhere so: users, inboxes and addresses, as CSV files in a folder.

    users.csv: user,name,permissions?,seat? - inboxes.csv: inbox,name,members? -
    addresses.csv: address,kind,owner?,inbox?,provider?,from_name? - lists within a cell are separated by ;

    With it you acknowledge that a whole team sees the mail of its addresses. A seat is `true` or `false`.

    The commands stand in FOLDER/ACCOUNT.jsonl afterwards, and go like those of `load`. Exit codes are those of `load`;
    of a dry run 1 means clashes.
    """
    if not directory.ID.fullmatch(account):
        fail(f"{account!r} is no name of an account: 1 to 32 of A-Z a-z 0-9 _ -", USAGE)
    if not actor.startswith(SERVICE):
        fail(f"--actor is a service, such as {SERVICE}directory: nobody else connects for others.", USAGE)
    try:
        found = directory.read(folder)
    except rows.Unreadable as error:
        fail(f"{error}.", USAGE)
    if dry_run:
        raise typer.Exit(_foretold(found, account, actor, url, as_json=as_json))
    file = folder / f"{account}.jsonl"
    commands = "".join(f"{json.dumps(one)}\n" for one in directory.commands(found, account, actor))
    there = file.read_text(errors="replace") if file.exists() else None
    if there != commands and not anew:
        if place_of(file).exists():
            fail(f"{folder} is not as it was when its load began: put it back, or begin again with --anew.", USAGE)
        if there is not None:
            fail(f"{file} is there already and says otherwise: move it away, or begin again with --anew.", USAGE)
    if there != commands:
        file.write_text(commands)
    load(file, refused, in_flight=in_flight, anew=anew, url=url, as_json=as_json)


def _foretold(found: directory.Directory, account: str, actor: str, url: str | None, *, as_json: bool) -> int:
    there = done(_present(url, account, actor))
    told = clashes.clashes(found, there)
    given = Counter(one["command"] for one in directory.commands(found, account, actor))
    if as_json:
        print_json({"commands": given, "registered": there.registered, "clashes": [one._asdict() for one in told]})
        return REFUSED if told or not there.registered else DONE
    out.print(f"{given.total():,} commands: {', '.join(f'{count:,} {name}' for name, count in given.items())}")
    if not there.registered:
        out.print(f"There is no account {account}: register it first, switchboard command {account} RegisterAccount …")
    if told:
        table = plain_table("File", "Line", "What", "Clash")
        for one in told:
            table.add_row(one.file, str(one.line), Text(one.what), Text(one.why))
        out.print(table)
    out.print(f"{len(told):,} clashes." if told else "No clash.")
    return REFUSED if told or not there.registered else DONE


async def _present(url: str | None, account: str, actor: str) -> clashes.Present:
    async with reached(url, PATIENCE_SECONDS) as switchboard:
        return await clashes.present(switchboard.account(account, actor))
