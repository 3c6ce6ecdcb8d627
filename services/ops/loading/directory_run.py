"""A directory compared with its account, and the commands of the difference given as a load.

Every run compares again. A run that was stopped, or refused rows of the night before, therefore block nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from services.ops.loading import directory
from services.ops.loading.account_state import read_account, with_dry_runs
from services.ops.loading.build_plan import build_plan
from services.ops.loading.directory import Directory
from services.ops.loading.dry_run import DryRun, DryRunResult
from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.exports import READERS
from services.ops.loading.exports.export import Export
from services.ops.loading.exports.normalize import normalize
from services.ops.loading.load import REFUSED as REFUSED_NOTE
from services.ops.loading.load_run import PATIENCE_SECONDS, LoadRequest, LoadResult, checkpoint_path, run_load
from services.ops.loading.plan import AccountState, Plan, RowNote, Step
from services.ops.terminal import USAGE, done, fail, switchboard_at

# The line of the directory that a command comes from; a note, so it is not sent.
FROM: Final = "_from"
BEFORE: Final = ".before"
VIEWS_WITHIN_MS: Final = 20_000


@dataclass
class Source:
    """A folder of CSV files, or the files of an export; read completely before the account is asked anything."""

    folder: Path
    directory: Directory | None = None
    export: Export | None = None


@dataclass
class Comparison:
    """The difference between directory and account. `ids` were mapped; `notes` are printed."""

    plan: Plan
    registered: bool
    left_out: dict[str, int]
    ids: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    dry_run: DryRunResult = field(default_factory=DryRunResult)
    read: dict[str, int] = field(default_factory=dict)


def source_of(paths: list[Path], kind: str | None) -> Source:
    """
    Raises:
        UnreadableFileError: the paths are not a directory of that kind.
    """
    if kind is None:
        if len(paths) != 1 or not paths[0].is_dir():
            kinds = "|".join(READERS)
            raise UnreadableFileError(f"{paths[0]} is not a folder: name the kind of an exported file, --from {kinds}")
        return Source(paths[0], directory.read(paths[0]))
    export = Export()
    for path in paths:
        if path.is_dir():
            raise UnreadableFileError(f"{path} is a folder: with --from {kind}, name the exported files")
        READERS[kind](path, export)
    return Source(paths[0].parent, export=export)


async def compare(source: Source, account: str, actor: str, url: str | None, since: int = 0) -> Comparison:
    """Compare the directory with the account as of position `since` or later."""
    async with switchboard_at(url, PATIENCE_SECONDS) as switchboard:
        client = switchboard.account(account, actor)
        if since:
            await client.account(at_least=since, wait_ms=VIEWS_WITHIN_MS)
        state = await read_account(client)
        comparison, rows = _normalized(source, state)
        if state.registered:
            state = await with_dry_runs(client, rows, state)
        comparison.plan = build_plan(rows, state)
        if state.registered:
            comparison.dry_run = await DryRun(switchboard, account, actor).run(comparison.plan)
        else:
            comparison.dry_run = DryRunResult(unchanged=comparison.plan.unchanged, refused=comparison.plan.clashes)
        return comparison


def _normalized(source: Source, state: AccountState) -> tuple[Comparison, Directory]:
    if source.export is None:
        assert source.directory is not None, "a source is one or the other"
        return Comparison(Plan(), state.registered, dict(source.directory.left_out)), source.directory
    normalized = normalize(source.export, state)
    left_out, export = dict(normalized.directory.left_out), source.export
    read = {"rows": export.rows, "people": len(export.people), "shared mailboxes": len(export.shared)}
    comparison = Comparison(Plan(), state.registered, left_out, normalized.ids, normalized.notes, read=read)
    return comparison, normalized.directory


# ---- the load


@dataclass
class DirectoryResult:
    """The result of a run; `load` is None when there was no command to give."""

    accepted: int
    unchanged: int
    refusals: list[RowNote]
    refused_file: Path | None
    load: LoadResult | None


def position_of_stopped_run(file: Path) -> int:
    """The position that a stopped load of these commands reached; 0 without one.

    Raises:
        typer.Exit: the file of that name is not a checkpoint.
    """
    path = checkpoint_path(file)
    if not path.exists():
        return 0
    try:
        return int(orjson.loads(path.read_bytes())["known_position"])
    except (KeyError, TypeError, ValueError):
        fail(f"{path} exists already and is not a checkpoint: move it away, or start over with --anew.", USAGE)


def require_own(file: Path) -> None:
    """
    Raises:
        typer.Exit: a file of that name exists and was not written by this command.
    """
    if file.exists() and not all(FROM in row for row in _rows(file)):
        fail(f"{file} exists already and does not come from a directory: move it away, or use --anew.", USAGE)


def clear_previous_run(request: LoadRequest) -> None:
    """Remove the previous checkpoint; keep the previous refused rows once more, as `….before`."""
    checkpoint_path(request.file).unlink(missing_ok=True)
    previous = request.refused_file
    if previous.exists() and previous.stat().st_size:
        previous.replace(previous.with_name(f"{previous.name}{BEFORE}"))


def carry_out(comparison: Comparison, account: str, actor: str, request: LoadRequest) -> DirectoryResult:
    """Give the commands; clashes go to the file of refused rows, and can be loaded once corrected.

    Raises:
        typer.Exit: the load could not start or go on; the reason is printed.
    """
    steps, clashes = comparison.dry_run.steps, comparison.dry_run.refused
    result = DirectoryResult(0, comparison.plan.unchanged, list(comparison.dry_run.clashes), None, None)
    request.file.write_text("".join(f"{json.dumps(step.row(account, actor))}\n" for step in steps))
    if steps:
        # Addresses that return with a user are named by no ordered command: then one command at a time.
        load = run_load(replace(request, in_flight=1) if comparison.plan.returning else request)
        result.load = load
        result.accepted = load.checkpoint.accepted
        result.unchanged += load.checkpoint.unchanged
        if not load.whole:
            return result
        result.refusals += list(_refused(request.refused_file, steps))
        done(_wait_for_views(request.url, account, actor, load.checkpoint.known_position))
    if clashes:
        with request.refused_file.open("a") as file:
            for clash in clashes:
                row = {"account": account, "command": clash.command, "actor": actor, **clash.fields}
                file.write(f"{json.dumps({**row, REFUSED_NOTE: {'reason': 'CLASH', **clash.note._asdict()}})}\n")
    result.refused_file = request.refused_file if result.refusals else None
    return result


def _refused(file: Path, steps: Sequence[Step]) -> Iterator[RowNote]:
    """The refused rows, by their lines in the directory."""
    for row in _rows(file) if file.exists() else ():
        note = row.get(REFUSED_NOTE, {})
        step = steps[note["line"] - 1]
        why = f"was refused, {note.get('reason')}: {note.get('message', '')}"
        yield RowNote(step.file, step.line, step.what, why)


async def _wait_for_views(url: str | None, account: str, actor: str, position: int) -> None:
    """Wait until answers include this run, so that the next run compares with it."""
    if position:
        async with switchboard_at(url, PATIENCE_SECONDS) as switchboard:
            await switchboard.account(account, actor).account(at_least=position, wait_ms=VIEWS_WITHIN_MS)


def _rows(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; a line that is not an object is an empty one."""
    rows = []
    # A name may contain other line separators, such as U+2028.
    for line in filter(None, file.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        rows.append(row if isinstance(row, dict) else {})
    return rows
