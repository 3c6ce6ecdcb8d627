"""`switchboard load` and `switchboard load-directory`, as they are typed and as they tell how far they are."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from services.ops.loading import clashes, directory, encodings
from services.ops.loading.load import IN_FLIGHT
from services.ops.loading.through import PATIENCE_SECONDS, Wanted, place_of, through
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
from shared.language.text import SERVICE

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

    The file is read to its end before anything is begun. A cell is read by the type of its field, an empty one is
    absent; what a field cannot take is a refused row.

    Commands that name the same address, user or inbox keep their order. Ctrl-C or a lost connection loses nothing: the
    same command line goes on, and nothing is done twice. What is refused is written to a file that can be loaded again
    once it is mended.

    Exit code 0: all accepted or unchanged; 1: some refused; 2: wrong usage; 3: no answer, 130: Ctrl-C (run it again).

    A row: {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "b@a.example", "owner": "bob"}
    """
    wanted = Wanted(file, refused, account, actor, in_flight, anew, url)
    end = through(wanted)
    place = end.place
    told = {"rows": place.rows, "accepted": place.accepted, "unchanged": place.unchanged, "refused": place.refused}
    if as_json:
        print_json({**told, "whole": end.whole, "refused_file": str(wanted.to_refused) if place.refused else None})
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in told.items())
        out.print(f"{counts}, in {end.seconds:.1f} s ({(place.rows - end.before) / end.seconds:,.0f} a second)")
        if place.refused:
            out.print(f"Refused, with the reasons: {wanted.to_refused}. Mend it and load it.", markup=False)
    if end.whole:
        raise typer.Exit(REFUSED if place.refused else DONE)
    err.print(
        f"Not through: {end.trouble or 'stopped'}. The same command line goes on after row {place.rows:,}.",
        markup=False,
    )
    raise typer.Exit(INTERRUPTED if end.interrupted else NO_ANSWER)


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
    except encodings.Unreadable as error:
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
