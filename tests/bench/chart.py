"""Two pictures of a run as SVG, readable on light and dark pages: who is how fast, and how long a command takes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from tests.bench.contest import THEIRS
from tests.bench.stage import Figures

WIDTH = 760
STYLE = """
  svg { --ink: #1f2328; --quiet: #59636e; --line: #d1d9e0; --ours: #0969da; --theirs: #818b98; --limit: #d8dee4;
        --a: #0969da; --b: #1a7f37; --c: #9a6700; --d: #cf222e; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #f0f6fc; --quiet: #9198a1; --line: #3d444d; --ours: #4493f8; --theirs: #7d8590; --limit: #373e47;
          --a: #4493f8; --b: #3fb950; --c: #d29922; --d: #f85149; }
  }
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: var(--ink); }
  .title { font-size: 15px; font-weight: 600; } .quiet { fill: var(--quiet); font-size: 12px; }
  .grid { stroke: var(--line); } .strong { font-weight: 600; }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
"""
COLOURS = ("a", "b", "c", "d")


class Bar(NamedTuple):
    """`rows` are those of the table that it may show: the first that was measured."""

    rows: tuple[str, ...]
    title: str
    kind: str


BARS = (
    Bar((f"rival 256 {THEIRS}",), "A plain service, same libraries, 256 in flight", "theirs"),
    Bar(("umadb 64",), "UmaDB from Python, 64 threads, no bus", "theirs"),
    # Beside the rival, under the same load generator as the rival.
    Bar((f"switchboard 256 {THEIRS}", "switchboard 256"), "Switchboard, 256 in flight", "ours"),
    Bar(("switchboard 1024",), "Switchboard, 1,024 in flight", "ours"),
    Bar(("echo 1024",), "FastStream echo, no store, 1,024 in flight", "limit"),
)
LEFT, RIGHT, BAR, STEP = 300, 66, 22, 34


def throughput(rows: Mapping[str, Figures], machine: Mapping[str, Any]) -> str:
    """Bars of commands a second; below them, in words, what the parts do alone."""
    speeds = {bar: next((rows[row]["per_second"] for row in bar.rows if row in rows), 0.0) for bar in BARS}
    bars = [bar for bar in BARS if speeds[bar]]
    top = 64
    body = [text(0, 18, "Commands a second", "title"), text(0, 38, measured_on(machine), "quiet")]
    for number, bar in enumerate(bars):
        body += _bar(bar, speeds[bar], max(speeds.values()), top + number * STEP)
    alone = [f"{title} {rows[name]['per_second']:,.0f} {unit}/s" for name, title, unit in _PARTS if name in rows]
    bottom = top + len(bars) * STEP + 14
    if alone:
        body.append(text(0, bottom, f"The parts alone: {'; '.join(alone)}.", "quiet"))
    return svg(bottom + 12, "Commands a second, by service", body)


_PARTS = (("postgres", "PostgreSQL inserts", "rows"), ("jetstream", "JetStream stores", "events"))


def _bar(bar: Bar, value: float, largest: float, top: float) -> Iterator[str]:
    length = max(2.0, (WIDTH - LEFT - RIGHT) * value / largest)
    middle = top + BAR / 2 + 4.5
    yield text(LEFT - 10, middle, bar.title, "strong" if bar.kind == "ours" else "", "end")
    yield f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{BAR}" rx="3" fill="var(--{bar.kind})"/>'
    yield text(LEFT + length + 8, middle, f"{value:,.0f}", "strong" if bar.kind == "ours" else "")


def latency(runs: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]) -> str:
    """Latency over percentile, one line a rate; the axis of percentiles gives every further nine as much room."""
    frame = _Frame(runs)
    body = [
        text(0, 18, "Latency of a command at a fixed rate", "title"),
        text(0, 38, f"from the moment it was due; {measured_on(machine)}", "quiet"),
        *frame.grid(),
    ]
    for number, run in enumerate(sorted(runs, key=lambda run: float(run["rate"]))):
        body += frame.curve(run, COLOURS[number % len(COLOURS)], number)
    return svg(frame.bottom + 44, "Latency over percentile, by commands a second", body)


class _Frame:
    """Where a percentile and a latency stand."""

    def __init__(self, runs: Sequence[Mapping[str, Any]]) -> None:
        self.left, self.right, self.top, self.bottom = 46.0, WIDTH - 14.0, 76.0, 376.0
        times = [time for run in runs for _, time in run["percentiles"]]
        self._lowest = 10 ** math.floor(math.log10(max(0.1, min(times))))
        self._highest = _next_tick(max(times))
        self._nines = max(math.log10(run["commands"]) for run in runs)

    def x(self, percentile: float, commands: int) -> float:
        rest = max(1 - percentile / 100, 1 / commands)
        return self.left + (self.right - self.left) * -math.log10(rest) / self._nines

    def y(self, milliseconds: float) -> float:
        share = math.log(max(milliseconds, self._lowest) / self._lowest) / math.log(self._highest / self._lowest)
        return self.bottom - (self.bottom - self.top) * share

    def grid(self) -> Iterator[str]:
        for tick in _ticks(self._lowest, self._highest):
            y = f"{self.y(tick):.1f}"
            yield f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y}" y2="{y}"/>'
            yield text(self.left - 8, self.y(tick) + 4, f"{tick:,g}", "quiet", "end")
        yield text(self.left - 8, self.top - 8, "ms", "quiet", "end")
        for percentile in (0, 50, 90, 99, 99.9, 99.99, 99.999):
            x = self.x(percentile, 10**9)
            if x < self.right - 10:
                yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{self.bottom}" y2="{self.bottom + 5}"/>'
                yield text(x, self.bottom + 20, f"{percentile:g} %", "quiet", "middle")

    def curve(self, run: Mapping[str, Any], colour: str, number: int) -> Iterator[str]:
        points = [(self.x(point, run["commands"]), self.y(time)) for point, time in run["percentiles"]]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline class="curve" stroke="var(--{colour})" points="{path}"/>'
        # Curves rise to the right: what is below them there is free.
        x, y = self.right - 230, self.bottom - 20 - 20 * number
        yield f'<line x1="{x}" x2="{x + 20}" y1="{y - 4}" y2="{y - 4}" stroke="var(--{colour})" stroke-width="3"/>'
        yield text(x + 28, y, f"{run['rate']:,.0f} a second, p99 {run['p99_ms']:,.0f} ms")


def _ticks(lowest: float, highest: float) -> list[float]:
    decades = range(round(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    return [tick for decade in decades for step in (1, 2, 5) if lowest <= (tick := step * 10.0**decade) <= highest]


def _next_tick(value: float) -> float:
    return next(tick for tick in _ticks(0.1, 1_000_000) if tick >= value)


def measured_on(machine: Mapping[str, Any]) -> str:
    return (
        f"measured on {machine['cores']} cores, load and servers included; "
        f"Python {machine['python']}, PostgreSQL {machine['postgresql']}, NATS {machine['nats_server'].lstrip('v')}"
    )


def text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{placed}>{escape(text)}</text>'


def svg(height: float, title: str, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *body, "</svg>\n"])
