"""An hour in a picture: memory, open files, latency by the minute, with the minutes marked in which nemeses struck."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from tests.bench.chart import WIDTH, svg, text
from tests.bench.load import percentile

if TYPE_CHECKING:
    from tests.faults.soak import Soak

LEFT, RIGHT, TOP, HEIGHT, GAP = 56.0, 190.0, 66.0, 130.0, 54.0
COLOURS: Final = ("a", "b", "c", "d", "quiet", "theirs")

Line = Sequence[tuple[float, float]]


def drawn(run: "Soak") -> str:
    """The picture as SVG."""
    end = max(1.0, run.fought.seconds)
    panels: list[tuple[str, Mapping[str, Line]]] = [
        ("Memory, MB", {role: _sampled(run, "megabytes", role) for role in _roles(run, "megabytes")}),
        ("Open files", {role: _sampled(run, "open_files", role) for role in _roles(run, "open_files")}),
        ("Latency, ms, by the minute", latencies(run)),
    ]
    commands = run.fought.counts.get("commands", 0)
    body = [
        text(0, 18, f"{end / 60:.0f} minutes at work, with a random nemesis in a quarter of the time", "title"),
        text(0, 38, f"{len(run.fought.struck)} faults, in the marked minutes; {commands:,} commands", "quiet"),
    ]
    for number, (title, lines) in enumerate(panels):
        body += _panel(title, lines, TOP + number * (HEIGHT + GAP), end, run.storms, logarithmic=number == 2)
    return svg(TOP + len(panels) * (HEIGHT + GAP), "A soak: memory, open files and latency over time", body)


def latencies(run: "Soak") -> Mapping[str, Line]:
    """By the minute, in milliseconds."""
    return {
        "command p50": by_minute(run.commands, 50),
        "command p99": by_minute(run.commands, 99),
        "question p50": by_minute(run.questions, 50),
        "question p99": by_minute(run.questions, 99),
    }


def by_minute(latencies: Sequence[tuple[float, float]], percent: int) -> Line:
    """(middle of the minute in seconds, milliseconds)."""
    minutes: dict[int, list[float]] = {}
    for at, took in latencies:
        minutes.setdefault(int(at // 60), []).append(took)
    return [(60.0 * minute + 30, percentile(sorted(of), percent)) for minute, of in sorted(minutes.items())]


def _roles(run: "Soak", of: str) -> list[str]:
    return sorted({role for sample in run.samples for role in getattr(sample, of)})


def _sampled(run: "Soak", of: str, role: str) -> Line:
    return [(sample.at, getattr(sample, of)[role]) for sample in run.samples if role in getattr(sample, of)]


def _panel(
    title: str,
    lines: Mapping[str, Line],
    top: float,
    end: float,
    storms: Sequence[tuple[float, float]],
    *,
    logarithmic: bool,
) -> Iterator[str]:
    width, bottom = WIDTH - LEFT - RIGHT, top + HEIGHT
    values = [value for line in lines.values() for _, value in line]
    highest = max(values, default=1.0) * 1.05 or 1.0
    lowest = max(0.1, min(values, default=0.1)) * 0.9

    def x(at: float) -> float:
        return LEFT + width * min(at, end) / end

    def y(value: float) -> float:
        if not logarithmic:
            return bottom - HEIGHT * value / highest
        return bottom - HEIGHT * math.log(max(value, lowest) / lowest) / math.log(highest / lowest)

    yield text(0, top - 8, title, "strong")
    for begin, over in storms:
        left, wide = f"{x(begin):.1f}", f"{x(over) - x(begin):.1f}"
        yield f'<rect x="{left}" y="{top}" width="{wide}" height="{HEIGHT}" fill="var(--limit)"/>'
    for tick in _ticks(lowest, highest, logarithmic=logarithmic):
        yield f'<line class="grid" x1="{LEFT}" x2="{LEFT + width}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>'
        yield text(LEFT - 8, y(tick) + 4, f"{tick:,g}", "quiet", "end")
    for minute in range(0, int(end // 60) + 1, 10):
        yield text(x(60 * minute), bottom + 16, f"{minute} min", "quiet", "middle")
    for number, (name, line) in enumerate(lines.items()):
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line)
        colour = COLOURS[number % len(COLOURS)]
        yield f'<polyline class="curve" stroke="var(--{colour})" points="{points}"/>'
        yield f'<rect x="{LEFT + width + 12}" y="{top + 18 * number}" width="12" height="4" fill="var(--{colour})"/>'
        yield text(LEFT + width + 30, top + 18 * number + 7, name, "quiet")


def _ticks(lowest: float, highest: float, *, logarithmic: bool) -> list[float]:
    if logarithmic:
        steps = [step * 10.0**decade for decade in range(-1, 6) for step in (1, 3)]
        return [tick for tick in steps if lowest <= tick <= highest]
    step = 10.0 ** math.floor(math.log10(highest))
    while highest / step < 3:
        step /= 2
    return [step * number for number in range(int(highest / step) + 1)]
