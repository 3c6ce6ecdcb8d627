"""All measures in one run on the same servers: `make bench`. Prints a table, writes figures and two pictures.

A measure that fails says so, and the rest goes on.
"""

import argparse
import json
import logging
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import psutil
import structlog

from shared.process.clock import now
from tests.bench import chart, peers, report
from tests.bench.alone import alone
from tests.bench.bulk import bulk
from tests.bench.contest import Sizes, contenders
from tests.bench.following import caught_up, commit_to_stream
from tests.bench.freshness import freshness
from tests.bench.growth import growth
from tests.bench.machine import machine
from tests.bench.open_loop import latencies
from tests.bench.past import past_figures
from tests.bench.rebuild import fill, rebuilt
from tests.bench.stage import Figures, Stage, new_stage

T = TypeVar("T")

RESULTS = Path(__file__).parent / "results"
# Whether others work on this machine, seen before anything is started.
QUIET_SECONDS = 3.0
BUSY_PERCENT = 10.0
RATES = (500.0, 1_000.0, 2_000.0)
MEASURES = ("contest", "latency", "alone", "freshness", "stream", "bulk", "log", "past", "growth")


class Run:
    """One run: `found` is what it measured so far, and which measures failed."""

    def __init__(self, stage: Stage, options: argparse.Namespace) -> None:
        self._stage = stage
        self._options = options
        self.found: dict[str, Any] = {"day": now()[:10], "machine": machine(stage.postgres.url), "failed": []}

    def everything(self) -> None:
        """Each measure that is asked for, in an order in which it finds what it builds on."""
        for name in self._options.only:
            began = time.monotonic()
            self._try(name, getattr(self, f"_{name}"))
            say(f"[{name}: {time.monotonic() - began:.0f} s]\n")

    def _try(self, name: str, measure: Callable[[], T]) -> T | None:
        try:
            return measure()
        except Exception as error:  # noqa: BLE001  the other measures stand without this one
            self.found["failed"].append(name)
            traceback.print_exc()
            say(f"{name} FAILED: {error}")
            return None

    def _contest(self) -> None:
        sizes = Sizes(self._options.commands, self._options.rival_commands)
        rounds: dict[str, list[Figures]] = {}
        for number in range(1, self._options.rounds + 1):
            for name, compete in contenders(self._options.rival, sizes).items():
                say(f"round {number} of {self._options.rounds}: {name}")
                rows = self._try(name, lambda compete=compete: compete(self._stage))  # type: ignore[misc]
                for row, figures in (rows or {}).items():
                    rounds.setdefault(row, []).append(figures)
        rows = {row: medians(figures) for row, figures in rounds.items()}
        self.found["contest"] = {"sizes": asdict(sizes), "rows": rows, "ratios": report.ratios(rows), "rounds": rounds}
        say("\n" + report.table(rows, self._options.rounds))
        if "switchboard 256" in rows:
            say("\n" + report.cost(rows["switchboard 256"]))

    def _latency(self) -> None:
        rates = list(RATES)
        if most := self.found.get("contest", {}).get("rows", {}).get("switchboard 1024"):
            rates.append(round(most["per_second"] / 2, -2))
        runs = latencies(self._stage, rates, self._options.seconds, self._options.rounds)
        self.found["latency"] = runs
        say(report.latency(runs))

    def _alone(self) -> None:
        self._keep("alone", "One command at a time", alone(self._stage, 300))

    def _freshness(self) -> None:
        figures = freshness(self._stage, 500, 2 * self._options.seconds)
        self._keep("freshness", "A question right after its command, at 500 commands/s", figures)

    def _stream(self) -> None:
        figures = commit_to_stream(self._stage, 1_000, 2 * self._options.seconds)
        self._keep("commit_to_stream", "From a commit to its event on the stream, at 1,000 commands/s", figures)

    def _bulk(self) -> None:
        commands = 5 * self._options.commands
        self._keep("bulk", f"switchboard load, {commands:,} commands", bulk(self._stage, self._options.rival, commands))

    def _log(self) -> None:
        database = self._stage.postgres.new_database()
        written = fill(database, self._options.events)
        events = int(written["events"])
        self._keep("writer", "One writer alone, the bus left out", written)
        if relayed := self._try("relay", lambda: caught_up(self._stage, database, events)):
            self._keep("relay", "The relay catching up", relayed)
        for name, figures in (self._try("rebuild", lambda: rebuilt(self._stage, database, events)) or {}).items():
            self._keep(f"rebuild_{name}", f"The view {name} made anew", figures)

    def _past(self) -> None:
        found = past_figures(self._stage, self._options.events)
        self.found["past"] = found
        say(report.past(found))

    def _growth(self) -> None:
        grown = growth(self._stage, self._options.growth, self._options.rounds, self._options.commands)
        self.found["growth_steps"] = grown.steps
        self.found["growth_rounds"] = {"empty": grown.empty, "full": grown.full}
        self._keep("growth", f"After {self._options.growth:,} commands", grown.summary())

    def _keep(self, name: str, title: str, figures: Figures) -> None:
        self.found[name] = figures
        say(report.plain(title, figures))


def medians(rounds: Sequence[Figures]) -> Figures:
    """Each figure's median over the rounds that have it."""
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: statistics.median(figures[name] for figures in rounds if name in figures) for name in names}


def write(found: Mapping[str, Any], folder: Path) -> None:
    """`latest.json`, and a picture of each measure that was taken."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "latest.json").write_text(json.dumps(rounded(found), indent=1) + "\n")
    if rows := found.get("contest", {}).get("rows"):
        (folder / "throughput.svg").write_text(chart.throughput(rows, found["machine"]))
    if runs := found.get("latency"):
        (folder / "latency.svg").write_text(chart.latency(runs, found["machine"]))


def rounded(found: Any) -> Any:
    """The same with four significant digits: more would pretend."""
    match found:
        case float():
            return float(f"{found:.4g}")
        case dict():
            return {name: rounded(value) for name, value in found.items()}
        case list() | tuple():
            return [rounded(value) for value in found]
    return found


def say(text: str) -> None:
    print(text, flush=True)


def options() -> argparse.Namespace:
    parse = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parse.add_argument("--long", action="store_true", help="a million commands and events, more and longer rounds")
    parse.add_argument(
        "--rival", type=Path, default=Path("../shared/rival"), help="folder of the service to compare with"
    )
    parse.add_argument("--only", nargs="+", choices=MEASURES, help="some measures instead of all")
    parse.add_argument("--rounds", type=int, help="default 3, long 5")
    parse.add_argument("--commands", type=int, default=20_000, help="of each load in a round")
    parse.add_argument("--rival-commands", type=int, default=2_000)
    parse.add_argument("--seconds", type=float, help="of each fixed rate in a round; default 5, long 10")
    parse.add_argument("--events", type=int, help="of the log that is told and viewed; default 100,000, long 1,000,000")
    parse.add_argument("--growth", type=int, default=1_000_000, help="commands of the measure `growth`")
    parse.add_argument("--results", type=Path, help="folder for figures and pictures; some measures alone write none")
    given = parse.parse_args()
    given.results = given.results or (None if given.only else RESULTS)
    given.only = given.only or [name for name in MEASURES if given.long or name != "growth"]
    given.rounds = given.rounds or (5 if given.long else 3)
    given.seconds = given.seconds or (10.0 if given.long else 5.0)
    given.events = given.events or (1_000_000 if given.long else 100_000)
    given.rival = given.rival.resolve()
    if not (given.rival / "naive_service.py").exists():
        say("Without the rival: it is not there (make bench RIVAL=/path/to/its/folder).")
        given.rival = None
    if not peers.umadb_is_there():
        say("Without UmaDB: it is not installed (tests/bench/requirements.txt).")
    return given


def main() -> None:
    # So that nothing of it runs on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # What our own code says while it fills a log is no figure.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    given, began = options(), time.monotonic()
    busy = psutil.cpu_percent(QUIET_SECONDS)
    if busy > BUSY_PERCENT:
        say(f"This machine is {busy:.0f} % busy already: its figures will be worse than they could be.")
    with new_stage() as stage:
        run = Run(stage, given)
        run.everything()
    run.found["machine"]["busy_before_percent"] = busy
    run.found["seconds"] = time.monotonic() - began
    if given.results:
        write(run.found, given.results)
        say(f"Figures and pictures are in {given.results}.")
    say(f"{run.found['seconds']:.0f} s.")
    if run.found["failed"]:
        sys.exit(f"Failed: {', '.join(run.found['failed'])}.")


if __name__ == "__main__":
    main()
