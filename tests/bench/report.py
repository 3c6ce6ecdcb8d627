"""The figures of a run as a person reads them: one table, each row with its ratios, then the other measures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.bench.contest import THEIRS
from tests.bench.stage import Figures


class Row(NamedTuple):
    """One line of the table. `against` is the row that Switchboard is compared with this one by."""

    name: str
    title: str
    against: str


SAME = "switchboard 1024"
ROWS = (
    Row(f"rival 256 {THEIRS}", "plain service on the same libraries, 256 in flight ¹", f"switchboard 256 {THEIRS}"),
    Row(f"switchboard 256 {THEIRS}", "Switchboard, 256 in flight ¹", ""),
    Row(f"switchboard 1024 {THEIRS}", "Switchboard, 1,024 in flight ¹", ""),
    Row("switchboard 256", "Switchboard, 256 in flight", ""),
    Row("switchboard 1024", "Switchboard, 1,024 in flight", ""),
    Row("umadb 64", "UmaDB from Python, 64 threads, no bus", "switchboard 1024"),
    Row(f"echo 256 {THEIRS}", "FastStream echo, no store, 256 in flight ¹", f"switchboard 256 {THEIRS}"),
    Row(f"echo 1024 {THEIRS}", "FastStream echo, no store, 1,024 in flight ¹", f"switchboard 1024 {THEIRS}"),
    Row("echo 256", "FastStream echo, no store, 256 in flight", "switchboard 256"),
    Row("echo 1024", "FastStream echo, no store, 1,024 in flight", "switchboard 1024"),
    Row("jetstream", "JetStream alone, asynchronous publish, events", "switchboard 1024"),
    Row("postgres", "PostgreSQL alone, insert in groups of 256, rows", "switchboard 1024"),
)
RIVAL = ROWS[0].name


def ratios(rows: Mapping[str, Figures]) -> dict[str, Figures]:
    """By row: `times_rival`, and for all others `switchboard_share`: Switchboard's speed by this one's."""
    found: dict[str, Figures] = {}
    for row in ROWS:
        if row.name not in rows:
            continue
        speed = rows[row.name]["per_second"]
        found[row.name] = {}
        if RIVAL in rows:
            found[row.name]["times_rival"] = speed / rows[RIVAL]["per_second"]
        if row.against in rows:
            found[row.name]["switchboard_share"] = rows[row.against]["per_second"] / speed
    return found


def table(rows: Mapping[str, Figures], rounds: int) -> str:
    share = ratios(rows)
    lines = [
        f"Commands a second: medians of {rounds} rounds, in turn on the same servers.\n",
        f"{'':54}{'per second':>11}{'p50 ms':>9}{'p99 ms':>9}{'× rival':>9}{'Switchboard':>13}{'client':>8}",
        f"{'':54}{'':11}{'':9}{'':9}{'':9}{'by this':>13}{'µs':>8}",
    ]
    lines += [_line(row.title, rows[row.name], share[row.name]) for row in ROWS if row.name in rows]
    if any(THEIRS in name for name in rows):
        lines.append(
            "\n¹ under the rival's own load generator, the others under ours, which leaves them more of the machine"
        )
    return "\n".join(lines)


def _line(title: str, figures: Figures, share: Figures) -> str:
    return (
        f"{title:54}{figures['per_second']:11,.0f}{_or_blank(figures.get('p50_ms'), '9.1f')}"
        f"{_or_blank(figures.get('p99_ms'), '9.1f')}{_or_blank(share.get('times_rival'), '9.1f')}"
        f"{_or_blank(share.get('switchboard_share'), '13.2f')}{_or_blank(figures.get('client_cpu_us'), '8.0f')}"
    )


def _or_blank(figure: float | None, form: str) -> str:
    width = int(form.partition(".")[0])
    return " " * width if figure is None else f"{figure:{form}}"


def cost(figures: Figures) -> str:
    """What a command costs in processor time, by process, dearest first."""
    spent = {name.removeprefix("cpu_us "): value for name, value in figures.items() if name.startswith("cpu_us ")}
    ordered = sorted(spent.items(), key=lambda item: -item[1])
    lines = [f"  {role:40}{value:8.0f}" for role, value in ordered if value >= 1]
    title = "Processor time a command at 256 in flight, µs, until stream and views have followed:"
    return "\n".join([title, *lines, f"  {'all':40}{sum(spent.values()):8.0f}"])


def latency(runs: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        "Latency at a fixed rate, from the moment a command was due, ms:\n",
        f"{'commands a second':>19}{'p50':>9}{'p99':>9}{'p99.9':>9}{'max':>9}{'BUSY':>8}   p99 of each round",
    ]
    for run in runs:
        rounds = ", ".join(f"{tail:.0f}" for tail in run["p99_ms_of_rounds"])
        times = "".join(f"{run[name]:9.1f}" for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms"))
        lines.append(f"{run['rate']:19,.0f}{times}{run['busy']:8,}   {rounds}")
    return "\n".join(lines)


def past(found: Mapping[str, Mapping[str, Figures]]) -> str:
    """Questions as of any moment and audit questions beside live ones, then what a history takes."""
    lines = [
        "Each question in turns live and otherwise, ms:\n",
        f"{'':44}{'live p50':>10}{'live p99':>10}{'p50':>10}{'p99':>10}{'p99 ratio':>11}",
    ]
    for group in ("as of", "audit"):
        for name, figures in found.get(group, {}).items():
            title = f"{name}, as of any moment" if group == "as of" else name
            times = "".join(f"{figures[key]:10.1f}" for key in ("live_p50_ms", "live_p99_ms", "p50_ms", "p99_ms"))
            lines.append(f"{title:44}{times}{figures['p99_ratio']:11.2f}")
    for group in ("history rebuild", "disk"):
        for view, figures in found[group].items():
            lines += ["", plain(f"{group.capitalize()}, {view}", figures)]
    return "\n".join(lines)


def plain(title: str, figures: Figures) -> str:
    """Any other measure: its figures by name."""
    return "\n".join([f"{title}:", *_lines(figures)])


def _lines(figures: Mapping[str, float]) -> Iterator[str]:
    for name, value in figures.items():
        yield f"  {name.replace('_', ' '):40}{value:12,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3}f}"
