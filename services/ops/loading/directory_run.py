"""A directory compared with what is there, and the commands of the difference given as a load.

Each run compares anew, so that a run that was stopped, or refused rows of the night before, stand in nobody's way.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from services.ops.loading import directory
from services.ops.loading.directory import Directory
from services.ops.loading.encodings import Unreadable
from services.ops.loading.exports import READERS
from services.ops.loading.exports.export import Export
from services.ops.loading.exports.settle import settle
from services.ops.loading.foretell import Foretold, foretell
from services.ops.loading.load import REFUSED as REFUSED_NOTE
from services.ops.loading.plan import Plan, Present, Step, Told
from services.ops.loading.present import asked, plan, present
from services.ops.loading.through import PATIENCE_SECONDS, End, Wanted, place_of, through
from services.ops.terminal import USAGE, done, fail, reached

# Which line of the directory a command comes from; a note, so that it is not sent.
FROM: Final = "_from"
BEFORE: Final = ".before"
SEEN_WITHIN_MS: Final = 20_000


@dataclass
class Source:
    """What was given: a folder of CSV files, or the files of an export; all of it is read before anything is asked."""

    folder: Path
    found: Directory | None = None
    export: Export | None = None


@dataclass
class Compared:
    """The directory beside what is there, and what becomes of it. `ids` were mapped; `notes` are to be told."""

    plan: Plan
    registered: bool
    left_out: dict[str, int]
    ids: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    foretold: Foretold = field(default_factory=Foretold)
    read: dict[str, int] = field(default_factory=dict)


def source_of(paths: list[Path], kind: str | None) -> Source:
    """
    Raises:
        Unreadable: what was given is no such directory.
    """
    if kind is None:
        if len(paths) != 1 or not paths[0].is_dir():
            raise Unreadable(f"{paths[0]} is no folder: name the kind of an exported file, --from {'|'.join(READERS)}")
        return Source(paths[0], directory.read(paths[0]))
    export = Export()
    for path in paths:
        if path.is_dir():
            raise Unreadable(f"{path} is a folder: with --from {kind}, name the exported files")
        READERS[kind](path, export)
    return Source(paths[0].parent, export=export)


async def compare(source: Source, account: str, actor: str, url: str | None, since: int = 0) -> Compared:
    """What is to be done; `since` is a position of the log that what is there has to be as of."""
    async with reached(url, PATIENCE_SECONDS) as switchboard:
        asking = switchboard.account(account, actor)
        if since:
            await asking.account(at_least=since, wait_ms=SEEN_WITHIN_MS)
        there = await present(asking)
        compared, found = _settled(source, there)
        if there.registered:
            there = await asked(asking, found, there)
        compared.plan = plan(found, there)
        if there.registered:
            compared.foretold = await foretell(asking, compared.plan)
        else:
            compared.foretold = Foretold(unchanged=compared.plan.unchanged, refused=compared.plan.clashes)
        return compared


def _settled(source: Source, there: Present) -> tuple[Compared, Directory]:
    if source.export is None:
        assert source.found is not None, "it is either"
        return Compared(Plan(), there.registered, dict(source.found.left_out)), source.found
    settled = settle(source.export, there)
    left_out, export = dict(settled.directory.left_out), source.export
    read = {"rows": export.rows, "people": len(export.people), "shared mailboxes": len(export.shared)}
    return Compared(Plan(), there.registered, left_out, settled.ids, settled.notes, read=read), settled.directory


# ---- carried out


@dataclass
class Outcome:
    """What came of it; `end` is None when there was nothing to give."""

    accepted: int
    unchanged: int
    refusals: list[Told]
    refused_file: Path | None
    end: End | None


def reached_before(file: Path) -> int:
    """The position that a load of these commands came to when it was stopped; 0 when none was.

    Raises:
        typer.Exit: what is there is not its.
    """
    place = place_of(file)
    if not place.exists():
        return 0
    try:
        return int(orjson.loads(place.read_bytes())["known_position"])
    except (KeyError, TypeError, ValueError):
        fail(f"{place} is there already and is not of a load: move it away, or begin again with --anew.", USAGE)


def require_own(file: Path) -> None:
    """
    Raises:
        typer.Exit: a file of somebody else has the name that the commands are to have.
    """
    if file.exists() and not all(FROM in row for row in _rows(file)):
        fail(f"{file} is there already and is no directory's: move it away, or begin again with --anew.", USAGE)


def make_room(wanted: Wanted) -> None:
    """What an earlier run left is written over; its refused rows are kept once more, as `….before`."""
    place_of(wanted.file).unlink(missing_ok=True)
    former = wanted.to_refused
    if former.exists() and former.stat().st_size:
        former.replace(former.with_name(f"{former.name}{BEFORE}"))


def carry_out(compared: Compared, account: str, actor: str, wanted: Wanted) -> Outcome:
    """Give the commands; what clashes stands with what is refused, and can be loaded once it is mended.

    Raises:
        typer.Exit: it was not begun, or cannot go on; why, is told.
    """
    steps, clashes = compared.foretold.steps, compared.foretold.refused
    outcome = Outcome(0, compared.plan.unchanged, list(compared.foretold.clashes), None, None)
    wanted.file.write_text("".join(f"{json.dumps(step.row(account, actor))}\n" for step in steps))
    if steps:
        # Addresses that come back with a user are named by none of the commands that order rows: one after the other.
        outcome.end = through(replace(wanted, in_flight=1) if compared.plan.returning else wanted)
        outcome.accepted = outcome.end.place.accepted
        outcome.unchanged += outcome.end.place.unchanged
        if not outcome.end.whole:
            return outcome
        outcome.refusals += list(_refused(wanted.to_refused, steps))
        done(_seen(wanted.url, account, actor, outcome.end.place.known_position))
    if clashes:
        with wanted.to_refused.open("a") as file:
            for clash in clashes:
                row = {"account": account, "command": clash.command, "actor": actor, **clash.fields}
                file.write(f"{json.dumps({**row, REFUSED_NOTE: {'reason': 'CLASH', **clash.told._asdict()}})}\n")
    outcome.refused_file = wanted.to_refused if outcome.refusals else None
    return outcome


def _refused(file: Path, steps: Sequence[Step]) -> Iterator[Told]:
    """The rows that were refused, as the directory has them."""
    for row in _rows(file) if file.exists() else ():
        note = row.get(REFUSED_NOTE, {})
        step = steps[note["line"] - 1]
        why = f"was refused, {note.get('reason')}: {note.get('message', '')}"
        yield Told(step.file, step.line, step.what, why)


async def _seen(url: str | None, account: str, actor: str, position: int) -> None:
    """Wait until questions are answered as of this run, so that the next one compares with it."""
    if position:
        async with reached(url, PATIENCE_SECONDS) as switchboard:
            await switchboard.account(account, actor).account(at_least=position, wait_ms=SEEN_WITHIN_MS)


def _rows(file: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; what is none of them is an empty one."""
    rows = []
    # A name may hold what else ends a line, such as U+2028.
    for line in filter(None, file.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        rows.append(row if isinstance(row, dict) else {})
    return rows
