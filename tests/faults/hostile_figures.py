"""What `hostile.py` measured: as lines, judged against what is usual, and as a page and figures to keep."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.bench.load import percentile

MOST_TIMES_USUAL: Final = 2.0
# Of what an attacker was to send. It has the lowest priority: with every processor taken it does not keep its rate.
LEAST_SENT: Final = 0.5
HEAD: Final = (
    f"{'beside':24}{'cmd p50':>8}{'p99 ms':>8}{'ratio':>7}{'ask p50':>9}{'p99 ms':>8}{'ratio':>7}{'MB':>8}"
    "  not as wished; what the attacker says"
)
COLUMNS: Final = (
    "beside", "commands p50, ms", "p99, ms", "times the usual", "questions p50, ms", "p99, ms", "times the usual",
    "memory, MB", "not as wished", "sent",
)  # fmt: skip


class Row(NamedTuple):
    """One measurement: the client's waits in seconds, sorted; its answers by outcome; what the attacker says.

    `least` is how much the attacker had to send; a row is `judged` when it keeps its target or fails.
    """

    attack: str
    commands: Sequence[float]
    questions: Sequence[float]
    outcomes: Counter[str]
    told: Mapping[str, Any] = {}
    least: int = 0
    judged: bool = False
    megabytes: float = 0.0

    @property
    def otherwise(self) -> dict[str, int]:
        """What was not answered as wished."""
        return {name: count for name, count in self.outcomes.items() if name != "as wished"}


def together(rows: Sequence[Row]) -> Row:
    """What is usual: all that was measured while nobody attacked."""
    outcomes: Counter[str] = Counter()
    for row in rows:
        outcomes.update(row.outcomes)
    commands = sorted(wait for row in rows for wait in row.commands)
    questions = sorted(wait for row in rows for wait in row.questions)
    return Row("usual", commands, questions, outcomes, megabytes=rows[0].megabytes)


def failures(rows: Sequence[Row], usual: Row) -> list[str]:
    """Why the run has not passed, by the name of the attack."""
    told = [f"usual: {usual.otherwise}"] if usual.otherwise else []
    for row in rows:
        if row.told.get("sent", 0) < row.least:
            told.append(f"{row.attack}: its attacker sent {row.told.get('sent', 0)}, at least {row.least} were to be")
        if not row.judged:
            continue
        if row.otherwise:
            told.append(f"{row.attack}: not all answered as wished: {row.otherwise}")
        for name, waits, before in _compared(row, usual):
            if (times := ratio(waits, before)) > MOST_TIMES_USUAL:
                p99 = f"{_ms(waits, 99):.1f} ms, usually {_ms(before, 99):.1f}"
                told.append(f"{row.attack}: the p99 of {name} is {times:.1f} times the usual ({p99})")
    return told


def ratio(waits: Sequence[float], usual: Sequence[float]) -> float:
    """Of their p99."""
    return _ms(waits, 99) / _ms(usual, 99)


def line(row: Row, usual: Row) -> str:
    figures = [(_ms(waits, 50), _ms(waits, 99), ratio(waits, before)) for _, waits, before in _compared(row, usual)]
    (c50, c99, c), (q50, q99, q) = figures
    return (
        f"{row.attack:24}{c50:8.1f}{c99:8.1f}{c:7.1f}{q50:9.1f}{q99:8.1f}{q:7.1f}{row.megabytes:8.0f}"
        f"  {json.dumps(row.otherwise) if row.otherwise else '-'}  {json.dumps(row.told) if row.told else ''}"
    )


def write(rows: Sequence[Row], usual: Row, about: Mapping[str, Any], folder: Path) -> None:
    """`hostile.json` with every figure and `HOSTILE.md` to read."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = {**about, "failures": failures(rows, usual), "rows": [_kept(row, usual) for row in (usual, *rows)]}
    (folder / "hostile.json").write_text(json.dumps(kept, indent=1) + "\n")
    (folder / "HOSTILE.md").write_text(page(rows, usual, about))


def page(rows: Sequence[Row], usual: Row, about: Mapping[str, Any]) -> str:
    """The figures as Markdown."""
    machine = about["machine"]
    made = (
        f"Made by `{about['command']}` on {about['day']}, in {about['minutes']:.0f} minutes, on {machine['cores']}"
        f" cores; Python {machine['python']}, PostgreSQL {machine['postgresql']}, NATS"
        f" {machine['nats_server'].lstrip('v')}. A well-behaved client's waits, usually and beside each attacker; asked"
        f" for at the rated attacks: a p99 within {MOST_TIMES_USUAL:g} times the usual, every answer as wished. The"
        " unlimited ones are told, not judged: they fill these processors whatever is done."
    )
    parts = [
        ["# Beside clients that mean harm"],
        [made],
        ["## At a rate"],
        _table([usual, *(row for row in rows if row.judged)], usual),
    ]
    if unlimited := [row for row in rows if not row.judged]:
        parts += [["## As fast as NATS takes it"], _table(unlimited, usual)]
    found = failures(rows, usual)
    parts += [["Passed."] if not found else ["Failed:", "", *(f"- {why}" for why in found)]]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _table(rows: Sequence[Row], usual: Row) -> list[str]:
    cells = [COLUMNS, ["---"] * len(COLUMNS), *(_cells(_kept(row, usual)) for row in rows)]
    return [f"| {' | '.join(line)} |" for line in cells]


def _cells(kept: Mapping[str, Any]) -> list[str]:
    figures = [
        cell
        for name in ("commands", "questions")
        for cell in (f"{kept[name]['p50_ms']:.1f}", f"{kept[name]['p99_ms']:.1f}", f"{kept[name]['times_usual']:.1f}")
    ]
    other = ", ".join(f"{count:,} {name}" for name, count in kept["not_as_wished"].items())
    sent = kept["attacker"].get("sent")
    return [kept["beside"], *figures, f"{kept['megabytes']:.0f}", other or "-", "-" if sent is None else f"{sent:,}"]


def _kept(row: Row, usual: Row) -> dict[str, Any]:
    return {
        "beside": row.attack,
        "judged": row.judged,
        **{
            name: {
                "measured": len(waits),
                "p50_ms": _ms(waits, 50),
                "p99_ms": _ms(waits, 99),
                "times_usual": round(ratio(waits, before), 2),
            }
            for name, waits, before in _compared(row, usual)
        },
        "not_as_wished": row.otherwise,
        "attacker": dict(row.told),
        "megabytes": round(row.megabytes),
    }


def _compared(row: Row, usual: Row) -> list[tuple[str, Sequence[float], Sequence[float]]]:
    return [("commands", row.commands, usual.commands), ("questions", row.questions, usual.questions)]


def _ms(waits: Sequence[float], point: float) -> float:
    """What was never answered took for ever."""
    return percentile(waits, point) if waits else math.inf
