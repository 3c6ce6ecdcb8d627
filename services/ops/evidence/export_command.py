"""`switchboard audit export`: its options, its progress, its errors, and what is printed at the end."""

import asyncio
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from services.ops.audit.options import Actor
from services.ops.audit.request import default_actor
from services.ops.evidence.bundle_entries import ExportQuery
from services.ops.evidence.options import Evidence, Keys, PostgresUrl, where
from services.ops.moments import moment
from services.ops.postgres_url import postgres_url
from services.ops.printable import printable
from services.ops.replay.options import OneAccount, Types, account_of, actor_of, types_of
from services.ops.terminal import INTERRUPTED, NO_ANSWER, REFUSED, USAGE, Json, err, fail, out, print_json, settings
from shared.process import failpoints

if TYPE_CHECKING:
    from services.ops.evidence.export import Exported

EXIT_CODES: Final = (
    "Exit code 0: exported; 1: the log was changed, or the folder cannot be used; 2: wrong usage; "
    "3: log or evidence could not be read."
)
# Of a process that exports.
PROCESS: Final = "export"
# Beside a full disk: a quota, and a largest size of files.
NO_SPACE: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
AGAIN: Final = "Run the same command again: it goes on where it stopped."
WHEN: Final = "a position, or a time with its offset such as 2026-03-03T09:15:00+01:00"

To = Annotated[Path, typer.Option("--to", metavar="FOLDER", help="The folder to make.")]
From = Annotated[str | None, typer.Option("--from", metavar="MOMENT", help=f"Nothing before: {WHEN}.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="MOMENT", help="Nothing after, as --from. Default: the checkpoint.")
]


def export(
    to: To,
    account: OneAccount = None,
    types: Types = None,
    from_: From = None,
    until: Until = None,
    evidence: Evidence = None,
    keys: Keys = None,
    actor: Actor = None,
    postgres: PostgresUrl = None,
    as_json: Json = False,
) -> None:
    """Write the log, or an extract of it, into a folder that proves itself: a bundle.

    A bundle has the events and the command journal up to the last checkpoints, proofs, and verify.py, which checks it
    on any machine with Python and openssl. Ctrl-C stops it; the same command goes on.

    Example: switchboard audit export --to march --from 2026-03-01T00:00:00Z --until 2026-04-01T00:00:00Z
    """
    typed = {"account": account, "types": types or [], "from": from_, "until": until}
    made_by = actor_of(actor or default_actor())
    with _errors(to):
        failpoints.arm(settings().failpoints, PROCESS)
        url = postgres_url(postgres)
        query = _query(account_of(account), types_of(types), from_, until, url)
        done = _exported(to, query, evidence, keys or (), url, made_by, typed)
    if as_json:
        print_json(_as_json(to, query, done))
        return
    for line in _summary(to, query, done):
        out.print(Text(printable(line)))


def _exported(
    to: Path,
    query: ExportQuery,
    place: str | None,
    keys: Sequence[str],
    postgres: str,
    made_by: str,
    typed: Mapping[str, Any],
) -> "Exported":
    from services.ops.evidence.bundle_folder import BundleFolder
    from services.ops.evidence.export import Export
    from services.ops.evidence.heads import trusted_keys
    from services.ops.evidence.sources import evidence_at
    from shared.process.row_scan import row_scan

    source = evidence_at(where(place))
    trusted = trusted_keys(keys, source)
    with (
        BundleFolder.opened(to, query.written()) as folder,
        row_scan(postgres) as scan,
        _progress() as on_progress,
    ):
        if folder.resumed:
            err.print(Text(printable(f"Going on with {folder.path} …")))
        return Export(scan, source, trusted, folder, query, on_progress).run(made_by, typed)


def _query(
    account: str | None, types: tuple[str, ...], from_: str | None, until: str | None, postgres: str
) -> ExportQuery:
    """Return the query with positions in place of times."""
    if from_ is None and until is None:
        return ExportQuery(account, None, None, types)
    from services.ops.replay.log_range import range_of
    from shared.process.log_reader import LogReader

    async def found() -> ExportQuery:
        async with LogReader(postgres) as log:
            bounds = await range_of(
                log, None if from_ is None else moment(from_), None if until is None else moment(until)
            )
        return ExportQuery(account, bounds.first, None if until is None else bounds.last, types)

    return asyncio.run(found())


@contextmanager
def _errors(to: Path) -> Iterator[None]:
    """End the program with a message and its exit code."""
    from services.ops.evidence.bundle_folder import BundleError
    from services.ops.evidence.export import LogContradictsError, NoEvidenceError
    from services.ops.evidence.heads import WrongInputError
    from services.ops.evidence.sources import EvidenceUnavailableError
    from services.ops.replay.log_range import RangeError
    from shared.process.postgres import PostgresError, reason_of
    from shared.transparency.errors import TransparencyError

    try:
        yield
    except (RangeError, WrongInputError) as error:
        fail(str(error), USAGE)
    except BundleError as error:
        fail(str(error), REFUSED)
    except LogContradictsError as error:
        fail(f"{error} No bundle was made.", REFUSED)
    except (NoEvidenceError, EvidenceUnavailableError) as error:
        fail(f"{error} The audit service makes checkpoints; --evidence says where they are.", NO_ANSWER)
    except TransparencyError as error:
        fail(f"The evidence cannot be used: {error}.", NO_ANSWER)
    except PostgresError as error:
        fail(f"PostgreSQL: {reason_of(error)}. {AGAIN}", NO_ANSWER)
    except OSError as error:
        _not_written(to, error)
    except KeyboardInterrupt:
        fail(f"Stopped. {AGAIN}", INTERRUPTED)


def _not_written(to: Path, error: OSError) -> NoReturn:
    if error.errno in NO_SPACE:
        fail(f"No space is left for {to}. Free some, or remove {to}.unfinished. {AGAIN}", REFUSED)
    fail(f"{error.filename or to}: {error.strerror or error}.", REFUSED)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks = {tree: progress.add_task(tree, total=None, rate="") for tree in ("events", "journal")}

        def on_progress(tree: str, number: int, last: int) -> None:
            speed = progress.tasks[tasks[tree]].speed
            progress.update(tasks[tree], completed=number, total=last, rate=f"{speed:,.0f}/s" if speed else "")

        yield on_progress


def _as_json(to: Path, query: ExportQuery, done: "Exported") -> Mapping[str, Any]:
    trees = {
        tree: {"entries": done.entries[tree], "origin": head.origin, "size": head.size, "after": done.after[tree]}
        for tree, head in done.heads.items()
    }
    return {"folder": str(to), "complete": query.complete, "trees": trees}


def _summary(to: Path, query: ExportQuery, done: "Exported") -> Sequence[str]:
    lines = [
        f"Exported to {to}:",
        f"  {done.entries['events']:,} events and {done.entries['journal']:,} entries of the command journal",
    ]
    sizes = f"position {done.heads['events'].size:,} and ordinal {done.heads['journal'].size:,}"
    if query.complete:
        lines.append(f"  everything up to the checkpoints, at {sizes}")
    else:
        lines.append(f"  an extract of the log up to the checkpoints, at {sizes}:")
        lines.append("  proven is that each entry is in the log, not that there are no others")
        if query.types:
            lines.append("  with --type it has no entries of the command journal")
    if any(done.after.values()):
        lines.append(
            f"  not part of it: {done.after['events']:,} events and {done.after['journal']:,} entries that came after "
            "the checkpoints"
        )
    return [*lines, f"Check it on any machine: python3 {to}/{'verify.py'}"]
