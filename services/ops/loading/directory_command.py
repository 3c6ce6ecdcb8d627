"""`switchboard load-directory`, as it is typed and as it tells what it does."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from services.ops.loading.command import Anew, InFlight, Refused
from services.ops.loading.directory_run import (
    Compared,
    Outcome,
    carry_out,
    compare,
    make_room,
    reached_before,
    require_own,
    source_of,
)
from services.ops.loading.encodings import Unreadable
from services.ops.loading.exports import READERS
from services.ops.loading.load import IN_FLIGHT
from services.ops.loading.plan import Told
from services.ops.loading.through import Wanted
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
)
from shared.language.text import SERVICE
from shared.messaging.json_body import ACCOUNT

MOST_SHOWN: Final = 200

Paths = Annotated[
    list[Path],
    typer.Argument(metavar="FOLDER|FILE...", exists=True, readable=True, help="Its files; with --from, the export's."),
]
Into = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account, registered already.")]
# One choice for each reader there is.
Kind = StrEnum("Kind", list(READERS))  # type: ignore[misc]
From = Annotated[Kind | None, typer.Option("--from", help="What the FILEs are an export of.")]
As = Annotated[str, typer.Option("--actor", help="Who gives the commands: a service, since it connects for others.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say exactly what would be done and refused; write nothing.")]


def load_directory(
    paths: Paths,
    account: Into,
    source: From = None,
    actor: As = "service:directory",
    dry_run: DryRun = False,
    refused: Refused = None,
    in_flight: InFlight = IN_FLIGHT,
    anew: Anew = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make an account what a directory says, as often as you like: what is so already is left alone.

    A FOLDER of CSV files. users.csv: user,name,permissions?,seat?,active? - teams.csv: team,name,members? -
    inboxes.csv: inbox,name,members?,teams? - addresses.csv: address,kind,owner?,inbox?,provider?,from_name?,aliases? -
    lists within a cell are separated by ; and switches are true or false. A column that is left out says nothing about
    what is there; what is there and in no file is left alone.

    Or the FILEs of an export, with --from: google (users, downloaded from the admin console), microsoft (users,
    exported from the Microsoft 365 admin center), exchange (Get-Mailbox | Export-Csv), scim (list responses), ldif.
    Each person becomes a user who may connect personal addresses and has no seat, with the primary address and its
    aliases; who is suspended is deactivated. A shared mailbox becomes an address of an inbox that nobody reads until
    you say who. Rooms, equipment and guests are left out.

    With it you acknowledge that a whole team sees the mail of its addresses.

    The commands stand in ACCOUNT.jsonl beside the files afterwards, what was refused in ACCOUNT.jsonl.refused.jsonl.
    A run that was stopped is given again. Exit codes are those of `load`; of a dry run 1 means that something clashes.
    """
    if not ACCOUNT.fullmatch(account):
        fail(f"{account!r} is no name of an account: 1 to 32 of A-Z a-z 0-9 _ -", USAGE)
    if not actor.startswith(SERVICE):
        fail(f"--actor is a service, such as {SERVICE}directory: nobody else connects for others.", USAGE)
    try:
        given = source_of(paths, source)
    except Unreadable as error:
        fail(f"{error}.", USAGE)
    file = given.folder / f"{account}.jsonl"
    wanted = Wanted(file, refused, None, None, in_flight, True, url)
    since = 0 if anew else reached_before(file)
    if not anew and not dry_run:
        require_own(file)
    compared = done(compare(given, account, actor, url, since))
    if dry_run:
        raise typer.Exit(_tell_foretold(compared, account, as_json=as_json))
    if not compared.registered:
        fail(f"{_no_account(account)}.", REFUSED)
    make_room(wanted)
    outcome = carry_out(compared, account, actor, wanted)
    raise typer.Exit(_tell_done(compared, outcome, as_json=as_json))


def _tell_foretold(compared: Compared, account: str, *, as_json: bool) -> int:
    foretold, refusals = compared.foretold, compared.foretold.clashes
    commands = Counter(step.command for step in foretold.steps or compared.plan.steps)
    code = REFUSED if refusals or not compared.registered else DONE
    numbers = {"accepted": foretold.accepted, "unchanged": foretold.unchanged, "refused": len(refusals)}
    if as_json:
        clashes = [one._asdict() for one in refusals]
        told = {"commands": commands, "registered": compared.registered, "clashes": clashes}
        print_json({**told, **numbers, "warnings": foretold.warnings, **_told(compared)})
        return code
    _tell_read(compared)
    counts = ", ".join(f"{count:,} {name}" for name, count in commands.items())
    out.print(f"{commands.total():,} commands{': ' if counts else ''}{counts}", markup=False)
    if not compared.registered:
        out.print(f"{_no_account(account)} …", markup=False)
    out.print(", ".join(f"{count:,} {name}" for name, count in numbers.items()))
    if foretold.warnings:
        out.print(f"Warnings: {_counts(foretold.warnings)}", markup=False)
    _table("Clash", refusals)
    out.print(f"{len(refusals):,} clashes." if refusals else "No clash.")
    return code


def _tell_done(compared: Compared, outcome: Outcome, *, as_json: bool) -> int:
    end, refusals = outcome.end, outcome.refusals
    whole = end is None or end.whole
    numbers = {
        "rows": outcome.accepted + outcome.unchanged + len(refusals), "accepted": outcome.accepted,
        "unchanged": outcome.unchanged, "refused": len(refusals),
    }  # fmt: skip
    if as_json:
        where = str(outcome.refused_file) if outcome.refused_file else None
        told = {"whole": whole, "refused_file": where, "clashes": [one._asdict() for one in refusals]}
        print_json({**numbers, **told, **_told(compared)})
    else:
        _tell_read(compared)
        _table("Refused", refusals)
        seconds = f", in {end.seconds:.1f} s" if end else ""
        out.print(f"{', '.join(f'{count:,} {name}' for name, count in numbers.items())}{seconds}")
        if outcome.refused_file:
            out.print(f"Refused, with the reasons: {outcome.refused_file}. Mend the directory.", markup=False)
    if end is not None and not end.whole:
        err.print(f"Not through: {end.trouble or 'stopped'}. The same command line does the rest.", markup=False)
        return INTERRUPTED if end.interrupted else NO_ANSWER
    return REFUSED if refusals else DONE


def _told(compared: Compared) -> Mapping[str, Any]:
    return {
        "left_as_it_is": [one._asdict() for one in compared.plan.left],
        "returning": [one._asdict() for one in compared.plan.returning],
        "not_in_the_directory": compared.plan.beside,
        "read": compared.read,
        "left_out": compared.left_out,
        "ids": compared.ids,
        "notes": compared.notes,
    }


def _tell_read(compared: Compared) -> None:
    """What was read, left out and mapped, and what stays as it is."""
    if compared.read:
        out.print(f"Read: {_counts(compared.read)}", markup=False)
    if compared.left_out:
        out.print(f"Left out: {_counts(compared.left_out)}", markup=False)
    for note in compared.notes[:MOST_SHOWN]:
        out.print(f"Note: {note}", markup=False)
    if compared.ids:
        table = plain_table("There", "Id here")
        for own_id, mapped in list(compared.ids.items())[:MOST_SHOWN]:
            table.add_row(Text(own_id), Text(mapped))
        out.print(table)
        _more(len(compared.ids))
    _table("Left as it is", compared.plan.left)
    _table("Comes back", compared.plan.returning)
    if compared.plan.beside:
        out.print(f"Here and not in the directory, left alone: {_counts(compared.plan.beside)}", markup=False)


def _table(title: str, told: Sequence[Told]) -> None:
    if not told:
        return
    table = plain_table("File", "Line", "What", title)
    for one in told[:MOST_SHOWN]:
        table.add_row(one.file, str(one.line), Text(one.what), Text(one.why))
    out.print(table)
    _more(len(told))


def _more(count: int) -> None:
    if count > MOST_SHOWN:
        out.print(f"… and {count - MOST_SHOWN:,} more; --json has all of them.")


def _counts(counts: Mapping[str, int]) -> str:
    """Names of kinds stand in front, so that they are right of one, too."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _no_account(account: str) -> str:
    return f"There is no account {account}: register it first, switchboard command {account} RegisterAccount"
