"""The report of a verification for people."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from services.ops.audit.layout import block, grid, indented
from services.ops.evidence.findings import Finding, Kind
from services.ops.evidence.verify import TreeReport
from services.ops.printable import printable

SHOWN: Final = 20
ROWS: Final = {"events": ("events", "position"), "journal": ("journal entries", "ordinal")}

NO_OUTSIDE: Final = (
    "Compared with the checkpoints of the evidence only. Somebody who has the database, the evidence and the signing "
    "key can rewrite all three, and this comparison would not show it. Keep a copy of each checkpoint elsewhere, and "
    "give it with --checkpoint."
)
KEYS_BESIDE: Final = (
    "The signatures were verified with the keys beside the evidence. A copy of the keys that you keep elsewhere is "
    "better: --key FILE."
)
ADVICE: Final = (
    "Repair nothing yet. Copy the database and the evidence as they are, and find out who could write to the database. "
    "Restore a backup elsewhere, and verify it with the same checkpoints: it shows what the rows were."
)


def show_trees(reports: Sequence[TreeReport], *, keys_beside: bool) -> Iterator[RenderableType]:
    """Yield the report of each tree, and the verdict."""
    for one in reports:
        yield block(Text(one.outcome.tree.capitalize(), style="bold"), indented(_facts(one)), *_findings(one))
    if any(one.findings for one in reports):
        total = sum(len(one.findings) for one in reports)
        word = "finding" if total == 1 else "findings"
        yield block(Text(f"NOT SOUND: {total:,} {word}.", style="bold red"), Text(ADVICE))
    else:
        yield block(Text("Sound: no difference was found.", style="bold green"))
    if not all(one.outside for one in reports):
        yield block(Text(NO_OUTSIDE))
    if keys_beside:
        yield block(Text(KEYS_BESIDE))


def _facts(report: TreeReport) -> RenderableType:
    rows, counted = ROWS[report.outcome.tree]
    outcome = report.outcome
    rate = f", {outcome.rows / outcome.seconds:,.0f} a second" if outcome.seconds > 0 else ""
    after = f" after the trusted checkpoint at {report.start:,}" if report.start else ""
    lines = [("compared", f"{outcome.rows:,} {rows}{after}, up to {counted} {outcome.last:,}{rate}")]
    lines.append(("protected", f"up to {counted} {report.protected:,}" if report.protected else "nothing yet"))
    if report.outside:
        lines.append(("", f"by a checkpoint from outside up to {counted} {report.outside:,}"))
    for name, time, size in report.witnesses:
        at = "" if time is None else f" at {_time(time)}"
        lines.append(("witnessed", f"by {printable(name)}{at}, up to {counted} {size:,}"))
    if (left := outcome.last - report.protected) > 0:
        since = f"since {counted} {report.protected + 1:,}: {left:,} {rows} are under no checkpoint that fits"
        lines.append(("unprotected", since))
    return grid(lines, 11)


def _findings(report: TreeReport) -> Iterator[RenderableType]:
    counted = ROWS[report.outcome.tree][1]
    for one in report.findings[:SHOWN]:
        yield indented(Text(_sentence(one, counted), style="red"))
    if (more := len(report.findings) - SHOWN) > 0:
        yield indented(Text(f"and {more:,} more; --json has them", style="red"))


def _sentence(one: Finding, counted: str) -> str:
    about = f": {printable(one.about)}" if one.about else ""
    if one.first is None or one.last is None:
        word = {Kind.UNTRUSTED: "not trusted", Kind.DAMAGED_EVIDENCE: "evidence damaged"}.get(one.kind, one.kind)
        return f"{word}{about}"
    several = one.last > one.first
    numbers = f"{counted}s {one.first:,} to {one.last:,}" if several else f"{counted} {one.first:,}"
    match one.kind:
        case Kind.MOVED if one.to is not None:
            to = f"{one.to:,} to {one.to + one.last - one.first:,}" if several else f"{one.to:,}"
            return f"moved from {numbers} to {to}"
        case Kind.ROLLED_BACK:
            return f"rolled back: {numbers} were signed, and the log does not have them{about}"
        case Kind.CONTRADICTION:
            return f"contradiction within {numbers}{about}"
        case _:
            return f"{one.kind} at {numbers}{about}"


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
