"""Views from outside: where they stand, what is parked, and rows made anew, compared, switched to and back.

Each verb is done by a process of the view's own room, of the code that is installed here, which says how far it is in
lines of JSON; this page prints them. So nothing here knows what rows are made of, and no service has to run.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import IO, Annotated, Any, Final

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column, Table

from services.ops.terminal import NO_ANSWER, REFUSED, USAGE, Json, Yes, err, fail, out, print_json, settings

VIEWS: Final[Mapping[str, str]] = {
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
}
LONGEST_VALUE = 60

app = typer.Typer(help="The views: where they stand; rows made anew, compared, switched to and back; parked events.")
parked = typer.Typer(help="Events that could not be applied, and what follows on the same aggregate.")
app.add_typer(parked, name="parked", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="VIEW", help=f"One of {', '.join(VIEWS)}.")]
Position = Annotated[int, typer.Argument(min=1, help="The event's position in the log.")]
Url = Annotated[
    str | None, typer.Option(help="PostgreSQL; else SWITCHBOARD_POSTGRES_URL, else the one of `switchboard run`.")
]
Force = Annotated[bool, typer.Option("--force", help="Also when no process is there to answer from these rows.")]


# ---- where they stand


@app.callback(invoke_without_command=True)
def _shown_by_default(context: typer.Context, url: Url = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        show(url, as_json)


@app.command()
def show(url: Url = None, as_json: Json = False) -> None:
    """Where each view stands: version, position, lag behind the log, parked events, rows beside.

    The lag in seconds is the age of the oldest event that is not applied yet.
    """
    with ThreadPoolExecutor(len(VIEWS)) as side_by_side:
        outcomes = list(side_by_side.map(lambda name: _outcome(name, "show", {}, url, None), VIEWS))
    found = [_done(outcome, as_json) for outcome in outcomes]
    if as_json:
        print_json(found)
        return
    titles = ("Version", "Position", "Lag, events", "Lag, seconds", "Parked")
    table = Table(Column("View", no_wrap=True), *titles, Column("Beside", overflow="fold"))
    for name, one in zip(VIEWS, found, strict=True):
        table.add_row(
            name,
            _version(one),
            f"{one['position']:,}",
            f"{one['lag_events']:,}",
            "?" if one["lag_seconds"] is None else f"{one['lag_seconds']:,.1f}",
            f"{one['parked']:,}",
            "\n".join(_rows(rows) for rows in one["beside"]) or "-",
        )
    out.print(table)


def _version(one: Mapping[str, Any]) -> str:
    if one["version"] is None:
        return "none yet"
    code = one["code_version"]
    return str(one["version"]) if one["version"] == code else f"{one['version']} (installed: {code})"


def _rows(rows: Mapping[str, Any]) -> str:
    return f"{rows['state']}: version {rows['version']} at {rows['position']:,}"


# ---- rows made anew


@app.command()
def rebuild(name: Name, url: Url = None, as_json: Json = False) -> None:
    """Make the rows anew from the event log, beside the live ones, which go on.

    Nothing changes for readers. Next: `compare` tells what would change, `switch` makes the new rows live.
    Ctrl-C leaves nothing of it.
    """
    done = _do(name, "rebuild", {}, url, as_json=as_json)
    if not as_json:
        out.print(f"{name}: rows of version {done['version']} stand beside, at position {done['position']:,}.")
        out.print(f"See what would change: switchboard views compare {name}")


@app.command()
def compare(name: Name, url: Url = None, as_json: Json = False) -> None:
    """Tell what a switch would change: rows added, removed and changed, with examples and the fields that differ.

    Both are compared at one same position while the view goes on. Exit code 0 whether they differ or not.
    """
    report = _do(name, "compare", {}, url, as_json=as_json)
    if not as_json:
        _print_report(name, report)


@app.command()
def switch(name: Name, force: Force = False, url: Url = None, as_json: Json = False) -> None:
    """Make the rows that were built beside live, in one step; those that were live are kept.

    Processes of the version that was live step aside until they are switched back to. Rows kept by an earlier switch
    are dropped.
    """
    done = _do(name, "switch", {"force": force}, url, as_json=as_json)
    if not as_json:
        _print_switched(name, done, f"The former rows are kept: switchboard views back {name}, or drop {name}")


@app.command()
def back(name: Name, force: Force = False, url: Url = None, as_json: Json = False) -> None:
    """Make the rows live again that were live before the last switch, brought up to date first.

    The rows switched back from are kept as new ones, in place of any that stand beside. Use the release of the version
    that was live then: only its code can bring its rows up to date.
    """
    done = _do(name, "back", {"force": force}, url, as_json=as_json)
    if not as_json:
        _print_switched(name, done, f"The others are kept: switchboard views switch {name}, or drop {name}")


@app.command()
def drop(name: Name, url: Url = None, as_json: Json = False) -> None:
    """Drop the rows that stand beside the live ones, new and former; the live ones stay.

    There is no way back to a former version then, and a process that runs with a newer version than the live rows
    makes its own and switches to them.
    """
    done = _do(name, "drop", {}, url, as_json=as_json)
    if not as_json:
        for rows in done["dropped"]:
            out.print(f"Dropped {rows['schema']}: version {rows['version']} at position {rows['position']:,}.")


def _print_switched(name: str, done: Mapping[str, Any], kept: str) -> None:
    tries = "" if done["tries"] == 1 else f", at the {done['tries']}. try"
    out.print(f"{name}: version {done['version']} is live, at position {done['position']:,}.")
    out.print(f"Readers and the feed waited for at most {done['locked_out_ms']:g} ms{tries}.")
    out.print(kept)


def _print_report(name: str, report: Mapping[str, Any]) -> None:
    out.print(
        f"{name} at position {report['position']:,}: live version {report['live_version']}, "
        f"new version {report['new_version']}: {'no difference' if report['same'] else 'they differ'}."
    )
    table = Table("Table", "Live rows", "Added", "Removed", "Changed", "Fields that differ")
    for title, counts in report["tables"].items():
        fields = ", ".join(f"{field} ({rows:,})" for field, rows in counts["fields"].items())
        numbers = [f"{counts[kind]:,}" for kind in ("rows", "added", "removed", "changed")]
        table.add_row(title, *numbers, escape(fields) or "-")
    out.print(table)
    for title, counts in report["tables"].items():
        for kind, examples in counts["examples"].items():
            for example in examples:
                _print_example(title, kind, example)
    out.print(f"Parked events: {report['parked_live']:,} live, {report['parked_new']:,} new.")
    for side, positions in (("live", report["parked_only_live"]), ("new", report["parked_only_new"])):
        if positions:
            out.print(f"Parked in the {side} rows only: positions {', '.join(map(str, positions))}")


def _print_example(table: str, kind: str, example: Mapping[str, Any]) -> None:
    out.print(f"[bold]{kind}[/] {table}: {escape(example['account'])} / {escape(example['key'])}")
    if kind == "changed":
        for field, (before, after) in example["fields"].items():
            out.print(f"    {escape(field)}: {_value(before)} -> {_value(after)}")


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return escape(text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…")


# ---- parked events


@parked.command("list")
def parked_list(
    name: Name,
    after: Annotated[int, typer.Option(help="Begin after this position.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the events that could not be applied, in order, with the reason."""
    found = _do(name, "parked-list", {"after": after, "limit": limit}, url, as_json=as_json)
    if as_json:
        return
    if not found:
        out.print("Nothing is parked.")
        return
    table = Table("Position", "Type", "Account", "Aggregate", "Parked at", "Why")
    for one in found:
        aggregate = f"{one['aggregate']}/{one['stream']}"
        texts = (one["type"], one["account"], aggregate, one["parked_at"], one["error"])
        table.add_row(str(one["position"]), *map(escape, texts))
    out.print(table)
    if len(found) == limit:
        out.print(f"There may be more: --after {found[-1]['position']}")


@parked.command("show")
def parked_show(name: Name, position: Position, url: Url = None, as_json: Json = False) -> None:
    """Show one parked event whole, with its headers and body, and how many wait behind it."""
    one = _do(name, "parked-show", {"position": position}, url, as_json=as_json)
    if as_json:
        return
    out.print(f"[bold]{escape(one['type'])}[/] at position {one['position']:,}, parked at {one['parked_at']}")
    out.print(f"Why: {escape(one['error'])}")
    out.print(f"Account {escape(one['account'])}, {escape(one['aggregate'])}/{one['stream']}")
    out.print(f"Behind it on the same aggregate: {one['followers']:,}")
    out.print(Table.grid(), end="")
    out.print(escape(json.dumps({"headers": one["headers"], "body": one["body"]}, indent=2, ensure_ascii=False)))


@parked.command("retry")
def parked_retry(
    name: Name,
    position: Annotated[int | None, typer.Argument(min=1, help="Only the aggregate of this parked event.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Apply what the installed code can apply by now, each aggregate in its order."""
    done = _do(name, "parked-retry", {"position": position}, url, as_json=as_json)
    if not as_json:
        out.print(f"{done['applied']:,} applied, {done['left']:,} still parked.")


@parked.command("drop")
def parked_drop(name: Name, position: Position, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Give a parked event up: these rows never show its effect; what waits behind it is tried at once.

    The event stays in the log and on the stream. Rows made anew meet it again.
    """
    if not yes:
        one = _ask(name, "parked-show", {"position": position}, url, as_json=as_json)
        err.print(f"{escape(one['type'])} at position {position:,} on {escape(one['aggregate'])}/{one['stream']}")
        err.print(
            f"is given up: the rows of {name} never show its effect. Behind it {one['followers']:,} wait; they are "
            "tried at once, as if it had not happened."
        )
        typer.confirm("Give it up?", abort=True, err=True)
    done = _do(name, "parked-drop", {"position": position}, url, as_json=as_json)
    if not as_json:
        out.print(f"Given up. Of what waited behind it, {done['applied']:,} applied, {done['left']:,} still parked.")


# ---- the room's process


def _do(name: str, verb: str, arguments: Mapping[str, Any], url: str | None, *, as_json: bool) -> Any:
    """What the verb gives, printed when JSON is wanted."""
    done = _ask(name, verb, arguments, url, as_json=as_json)
    if as_json:
        print_json(done)
    return done


def _ask(name: str, verb: str, arguments: Mapping[str, Any], url: str | None, *, as_json: bool) -> Any:
    known = name.replace("_", "-")
    if known not in VIEWS:
        fail(f"There is no view {name!r}; there are {', '.join(VIEWS)}.", USAGE)
    with _bar() as step:
        outcome = _outcome(known, verb, arguments, url, step)
    return _done(outcome, as_json)


def _done(outcome: Mapping[str, Any], as_json: bool) -> Any:
    """
    Raises:
        typer.Exit: it was refused, or nobody answered; both are told.
    """
    if "done" not in outcome:
        if as_json:
            print_json(outcome)
        fail(*_trouble(outcome))
    return outcome["done"]


def _trouble(outcome: Mapping[str, Any]) -> tuple[str, int]:
    if "no_answer" in outcome:
        return f"No PostgreSQL: {outcome['no_answer']}. Is Switchboard running (`switchboard run`)?", NO_ANSWER
    return outcome.get("refused") or outcome["failed"], REFUSED


Heard = Callable[[Mapping[str, Any]], None]


def _outcome(
    name: str, verb: str, arguments: Mapping[str, Any], url: str | None, heard: Heard | None
) -> Mapping[str, Any]:
    """The last line that the room's process prints; `heard` gets those before it."""
    argv = (sys.executable, "-m", VIEWS[name], "views", verb, json.dumps(dict(arguments)))
    # On a terminal its log lines would tear the bar apart; they are shown when it fails.
    with tempfile.TemporaryFile() as lines, _running(argv, url, lines if err.is_terminal else None) as process:
        outcome: Mapping[str, Any] = {}
        for line in _lines(process):
            outcome = json.loads(line)
            if heard and "step" in outcome:
                heard(outcome["step"])
        if process.wait() not in {0, REFUSED, NO_ANSWER} or "step" in outcome or not outcome:
            lines.seek(0)
            told = lines.read().decode(errors="replace")
            return {"failed": f"{told}{name}: `{verb}` ended with code {process.returncode}."}
        return outcome


@contextmanager
def _running(argv: Sequence[str], url: str | None, lines: IO[bytes] | None) -> "Iterator[subprocess.Popen[bytes]]":
    """The process. It is asked to end when this one is, by us alone, and waited for: then it leaves nothing."""
    environment = {**os.environ, "SWITCHBOARD_POSTGRES_URL": url or settings().postgres_url_to_ask()}
    process = subprocess.Popen(  # noqa: S603  our own program
        argv, stdout=subprocess.PIPE, stderr=lines, env=environment, start_new_session=True
    )
    with process, _handing_on(process):
        yield process


@contextmanager
def _handing_on(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        # A second one would take it the time to clear away what it was making.
        if not asked:
            process.terminate()
        asked.append(number)

    former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert process.stdout is not None
    return iter(process.stdout)


@contextmanager
def _bar() -> Iterator[Heard]:
    """Shows steps as they come, on a terminal; elsewhere the process's own log lines tell."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} events/s, {task.fields[left]}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: list[TaskID] = []

        def heard(step: Mapping[str, Any]) -> None:
            if not tasks:
                tasks.append(progress.add_task("", total=None, rate="", left=""))
            left = "" if step["left"] is None else f"{step['left']:.0f} s left"
            progress.update(
                tasks[0],
                description=step["phase"],
                completed=step["position"],
                total=step["end"],
                rate=f"{step['per_second']:,}",
                left=left,
            )

        yield heard
