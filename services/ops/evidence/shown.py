"""The report of a verification for people."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from services.ops.audit.layout import block, grid, indented
from services.ops.evidence.findings import Finding, Kind
from services.ops.evidence.stream_check import StreamReport
from services.ops.evidence.verify import TreeReport
from services.ops.evidence.views_check import RowsReport
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


def show_trees(reports: Sequence[TreeReport]) -> Iterator[RenderableType]:
    """Yield the report of each tree."""
    for one in reports:
        yield block(Text(one.outcome.tree.capitalize(), style="bold"), indented(_facts(one)), *_findings(one))
    if not all(one.outside for one in reports):
        yield block(Text(NO_OUTSIDE))


def show_stream(report: StreamReport) -> RenderableType:
    """Return the comparison of the stream with the log."""
    events = f"{report.messages:,} events, positions {report.first:,} to {report.last:,}" if report.messages else "none"
    lines = [("compared", events)]
    if report.unpublished:
        lines.append(("unpublished", f"{report.unpublished:,} later events of the log; the relay is behind"))
    if report.foreign:
        lines.append(("foreign", f"{report.foreign:,} messages that no relay published; views ignore them"))
    words = {
        Kind.CHANGED: "other than in the log",
        Kind.MISSING: "missing in the stream",
        Kind.INSERTED: "in the stream, and not in the log,",
    }
    found = [_sentence(one, "position", words[one.kind]) for one in report.findings]
    return block(Text("Stream", style="bold"), indented(grid(lines, 11)), *_red(found))


def show_views(reports: Sequence[RowsReport]) -> RenderableType:
    """Return the comparison of live rows and histories with those that the log makes."""
    return block(
        Text("Rows of the views", style="bold"), indented(grid([(one.title, _of_rows(one)) for one in reports]))
    )


def _of_rows(report: RowsReport) -> str:
    if report.not_read:
        return f"not compared: {printable(report.not_read)}"
    as_made = f"{report.rows:,} rows at position {report.position:,}"
    if report.same:
        return f"{as_made}, all as the log makes them"
    words = {"added": "missing", "removed": "not from the log", "changed": "changed"}
    different = [
        f"{table[kind]:,} of {name} {word}"
        for name, table in (report.tables or {}).items()
        for kind, word in words.items()
        if table[kind]
    ]
    return f"{as_made}; DIFFERENT: {', '.join(different) or 'parked events'}"


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
    lines += [
        ("stamped", f"at {one.stamped:%Y-%m-%d %H:%M:%SZ}, up to {counted} {one.checkpoint.size:,}")
        for one in outcome.fitting
        if one.stamped is not None
    ]
    if (left := outcome.last - report.protected) > 0:
        since = f"since {counted} {report.protected + 1:,}: no checkpoint protects these {left:,} {rows}"
        lines.append(("unprotected", since))
    return grid(lines, 11)


def _findings(report: TreeReport) -> Iterator[RenderableType]:
    counted = ROWS[report.outcome.tree][1]
    return _red([_sentence(one, counted) for one in report.findings])


def _red(sentences: Sequence[str]) -> Iterator[RenderableType]:
    for one in sentences[:SHOWN]:
        yield indented(Text(one, style="red"))
    if (more := len(sentences) - SHOWN) > 0:
        yield indented(Text(f"and {more:,} more; --json has them", style="red"))


def _sentence(one: Finding, counted: str, word: str | None = None) -> str:
    about = f": {printable(one.about)}" if one.about else ""
    if one.first is None or one.last is None:
        words = {Kind.UNTRUSTED: "not trusted", Kind.DAMAGED_EVIDENCE: "evidence damaged"}
        return f"{words.get(one.kind, word or one.kind)}{about}"
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
            return f"{word or one.kind} at {numbers}{about}"


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return str(seconds)
