"""`switchboard load-directory`: its options and its report."""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from services.ops.loading.command import InFlight, Refused, StartOver
from services.ops.loading.directory_run import (
    Comparison,
    DirectoryResult,
    carry_out,
    clear_previous_run,
    compare,
    position_of_stopped_run,
    require_own,
    source_of,
)
from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.exports import READERS
from services.ops.loading.load import IN_FLIGHT
from services.ops.loading.load_run import LoadRequest
from services.ops.loading.plan import RowNote
from services.ops.render import plain_table
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
    typer.Argument(
        metavar="FOLDER|FILE...", exists=True, readable=True, help="A folder of CSV files; with --from, exported files."
    ),
]
Into = Annotated[str, typer.Argument(metavar="ACCOUNT", help="A registered account.")]
# One choice for each reader.
Kind = StrEnum("Kind", list(READERS))  # type: ignore[misc]
From = Annotated[Kind | None, typer.Option("--from", help="The system that exported the FILEs.")]
As = Annotated[
    str, typer.Option("--actor", help="The service that gives the commands; only services connect for others.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what the load would do and refuse; write nothing.")]


def load_directory(
    paths: Paths,
    account: Into,
    source: From = None,
    actor: As = "service:directory",
    dry_run: DryRun = False,
    refused: Refused = None,
    in_flight: InFlight = IN_FLIGHT,
    start_over: StartOver = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Make an account match a directory. Run it as often as you like: rows that match already change nothing.

    A FOLDER of CSV files. users.csv: user,name,permissions?,seat?,active? - teams.csv: team,name,members? -
    inboxes.csv: inbox,name,members?,teams? - addresses.csv: address,kind,owner?,inbox?,provider?,from_name?,aliases? -
    lists within a cell are separated by ; and switches are true or false. Values of a missing column stay as they are.
    The load removes nothing: users, teams, inboxes and addresses in no file are left alone.

    Or the FILEs of an export, with --from: google (users, downloaded from the admin console), microsoft (users,
    exported from the Microsoft 365 admin center), exchange (Get-Mailbox | Export-Csv), scim (list responses), ldif.
    Each person becomes a user without a seat, with personal_email_access, their primary address and its aliases.
    Suspended people are deactivated. A shared mailbox becomes an address of an inbox without readers; give them access
    with SetInboxAccess. Rooms, equipment and guests are left out.

    By running it you acknowledge that a whole team sees the mail of its addresses.

    Commands go to ACCOUNT.jsonl beside the files, refused rows to ACCOUNT.jsonl.refused.jsonl. Run the same command
    again after an interruption. The exit codes are those of load; for a dry run, 1 means that rows clash.
    """
    if not ACCOUNT.fullmatch(account):
        fail(f"{account!r} is not an account name: use 1 to 32 of A-Z a-z 0-9 _ -", USAGE)
    if not actor.startswith(SERVICE):
        fail(f"--actor must be a service, such as {SERVICE}directory: only services connect for others.", USAGE)
    try:
        files = source_of(paths, source)
    except UnreadableFileError as error:
        fail(f"{error}.", USAGE)
    file = files.folder / f"{account}.jsonl"
    request = LoadRequest(file, refused, None, None, in_flight, True, url)
    since = 0 if start_over else position_of_stopped_run(file)
    if not start_over and not dry_run:
        require_own(file)
    comparison = done(compare(files, account, actor, url, since))
    if dry_run:
        raise typer.Exit(_report_dry_run(comparison, account, as_json=as_json))
    if not comparison.registered:
        fail(f"{_no_account(account)}.", REFUSED)
    clear_previous_run(request)
    result = carry_out(comparison, account, actor, request)
    raise typer.Exit(_report_load(comparison, result, as_json=as_json))


def _report_dry_run(comparison: Comparison, account: str, *, as_json: bool) -> int:
    dry_run, refusals = comparison.dry_run, comparison.dry_run.clashes
    commands = Counter(step.command for step in dry_run.steps or comparison.plan.steps)
    code = REFUSED if refusals or not comparison.registered else DONE
    numbers = {"accepted": dry_run.accepted, "unchanged": dry_run.unchanged, "refused": len(refusals)}
    if as_json:
        clashes = [one._asdict() for one in refusals]
        report = {"commands": commands, "registered": comparison.registered, "clashes": clashes}
        print_json({**report, **numbers, "warnings": dry_run.warnings, **_as_json(comparison)})
        return code
    _print_comparison(comparison)
    counts = ", ".join(f"{count:,} {name}" for name, count in commands.items())
    out.print(f"{commands.total():,} commands{': ' if counts else ''}{counts}", markup=False)
    if not comparison.registered:
        out.print(f"{_no_account(account)} …", markup=False)
    out.print(", ".join(f"{count:,} {name}" for name, count in numbers.items()))
    if dry_run.warnings:
        out.print(f"Warnings: {_counts(dry_run.warnings)}", markup=False)
    _print_notes("Clash", refusals)
    out.print(f"{len(refusals):,} clashes." if refusals else "No clash.")
    return code


def _report_load(comparison: Comparison, result: DirectoryResult, *, as_json: bool) -> int:
    load, refusals = result.load, result.refusals
    whole = load is None or load.whole
    numbers = {
        "rows": result.accepted + result.unchanged + len(refusals), "accepted": result.accepted,
        "unchanged": result.unchanged, "refused": len(refusals),
    }  # fmt: skip
    if as_json:
        where = str(result.refused_file) if result.refused_file else None
        report = {"whole": whole, "refused_file": where, "clashes": [one._asdict() for one in refusals]}
        print_json({**numbers, **report, **_as_json(comparison)})
    else:
        _print_comparison(comparison)
        _print_notes("Refused", refusals)
        seconds = f", in {load.seconds:.1f} s" if load else ""
        out.print(f"{', '.join(f'{count:,} {name}' for name, count in numbers.items())}{seconds}")
        if result.refused_file:
            out.print(f"Refused rows with reasons: {result.refused_file}. Correct the directory.", markup=False)
    if load is not None and not load.whole:
        err.print(f"Not finished: {load.error or 'stopped'}. Run the same command to do the rest.", markup=False)
        return INTERRUPTED if load.interrupted else NO_ANSWER
    return REFUSED if refusals else DONE


def _as_json(comparison: Comparison) -> Mapping[str, Any]:
    return {
        "left_as_it_is": [one._asdict() for one in comparison.plan.left],
        "returning": [one._asdict() for one in comparison.plan.returning],
        "not_in_the_directory": comparison.plan.not_listed,
        "read": comparison.read,
        "left_out": comparison.left_out,
        "ids": comparison.ids,
        "notes": comparison.notes,
    }


def _print_comparison(comparison: Comparison) -> None:
    """Print the rows that were read, left out and mapped, and those that stay as they are."""
    if comparison.read:
        out.print(f"Read: {_counts(comparison.read)}", markup=False)
    if comparison.left_out:
        out.print(f"Left out: {_counts(comparison.left_out)}", markup=False)
    for note in comparison.notes[:MOST_SHOWN]:
        out.print(f"Note: {note}", markup=False)
    if comparison.ids:
        table = plain_table("In the export", "Id here")
        for own_id, mapped in list(comparison.ids.items())[:MOST_SHOWN]:
            table.add_row(Text(own_id), Text(mapped))
        out.print(table)
        _more(len(comparison.ids))
    _print_notes("Left as it is", comparison.plan.left)
    _print_notes("Comes back", comparison.plan.returning)
    if comparison.plan.not_listed:
        out.print(f"Not in the directory, left alone: {_counts(comparison.plan.not_listed)}", markup=False)


def _print_notes(title: str, notes: Sequence[RowNote]) -> None:
    if not notes:
        return
    table = plain_table("File", "Line", "What", title)
    for one in notes[:MOST_SHOWN]:
        table.add_row(one.file, str(one.line), Text(one.what), Text(one.why))
    out.print(table)
    _more(len(notes))


def _more(count: int) -> None:
    if count > MOST_SHOWN:
        out.print(f"… and {count - MOST_SHOWN:,} more; --json has all of them.")


def _counts(counts: Mapping[str, int]) -> str:
    """Counts behind the names of kinds, so that these are right for one, too."""
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _no_account(account: str) -> str:
    return f"There is no account {account}: register it first, switchboard command {account} RegisterAccount"
