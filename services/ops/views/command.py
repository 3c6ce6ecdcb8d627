"""Views from outside: where they stand, what is parked, and rows made anew, compared, switched to and back.

Each verb is done by a process of the view's own room, of the code that is installed here, which says how far it is in
lines of JSON; this page prints them. So nothing here knows what rows are made of, and no service has to run.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from services.ops.render import plain_table
from services.ops.terminal import USAGE, Json, fail, out, print_json
from services.ops.views import parked
from services.ops.views.process import VIEWS, Name, Url, do, done_of, outcome_of

LONGEST_VALUE: Final = 60

app = typer.Typer(help="The views: where they stand; rows made anew, compared, switched to and back; parked events.")
app.add_typer(parked.app, name="parked", no_args_is_help=True)

Force = Annotated[bool, typer.Option("--force", help="Also when no process is there to answer from these rows.")]


# ---- where they stand


@app.callback(invoke_without_command=True)
def _shown_by_default(context: typer.Context, url: Url = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        show(url, as_json)
    elif url is not None or as_json:
        # Those of `parked` have verbs of their own, behind which they stand.
        verb = context.invoked_subcommand + (" …" if context.invoked_subcommand == "parked" else "")
        fail(f"Options belong behind the verb: switchboard views {verb} --url … --json", USAGE)


@app.command()
def show(url: Url = None, as_json: Json = False) -> None:
    """Where each view stands: version, position, lag behind the log, parked events, rows beside.

    The lag in seconds is the age of the oldest event that is not applied yet. Given up are dead letters that these rows
    lack for good: answers that touch them say `incomplete_since` until the rows are made anew.
    """
    with ThreadPoolExecutor(len(VIEWS)) as side_by_side:
        outcomes = list(side_by_side.map(lambda name: outcome_of(name, "show", {}, url, None), VIEWS))
    found = [done_of(outcome, as_json) for outcome in outcomes]
    if as_json:
        print_json(found)
        return
    titles = ("Version", "Position", "Lag, events", "Lag, seconds", "Parked", "Given up")
    table = plain_table("View", *titles, "Beside")
    for name, one in zip(VIEWS, found, strict=True):
        table.add_row(
            name,
            _version(one),
            f"{one['position']:,}",
            f"{one['lag_events']:,}",
            "?" if one["lag_seconds"] is None else f"{one['lag_seconds']:,.1f}",
            f"{one['parked']:,}",
            f"{one['given_up']:,}",
            "\n".join(_rows(rows) for rows in one["beside"]) or "-",
        )
    out.print(table)
    for name, one in zip(VIEWS, found, strict=True):
        if why := one["contradicts_log"]:
            out.print(f"{name} does not match the log: {escape(why)}. Its service makes the rows anew by itself.")


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
    done = do(name, "rebuild", {}, url, as_json=as_json)
    if not as_json:
        out.print(f"{name}: rows of version {done['version']} stand beside, at position {done['position']:,}.")
        out.print(f"See what would change: switchboard views compare {name}")


@app.command()
def compare(name: Name, url: Url = None, as_json: Json = False) -> None:
    """Tell what a switch would change: rows added, removed and changed, with examples and the fields that differ.

    Both are compared at one same position while the view goes on. Exit code 0 whether they differ or not.
    """
    report = do(name, "compare", {}, url, as_json=as_json)
    if not as_json:
        _print_report(name, report)


@app.command()
def switch(name: Name, force: Force = False, url: Url = None, as_json: Json = False) -> None:
    """Make the rows that were built beside live, in one step; those that were live are kept.

    Processes of the version that was live step aside until they are switched back to. Rows kept by an earlier switch
    are dropped.
    """
    done = do(name, "switch", {"force": force}, url, as_json=as_json)
    if not as_json:
        _print_switched(name, done, f"The former rows are kept: switchboard views back {name}, or drop {name}")


@app.command()
def back(name: Name, force: Force = False, url: Url = None, as_json: Json = False) -> None:
    """Make the rows live again that were live before the last switch, brought up to date first.

    The rows switched back from are kept as new ones, in place of any that stand beside. Use the release of the version
    that was live then: only its code can bring its rows up to date.
    """
    done = do(name, "back", {"force": force}, url, as_json=as_json)
    if not as_json:
        _print_switched(name, done, f"The others are kept: switchboard views switch {name}, or drop {name}")


@app.command()
def drop(name: Name, url: Url = None, as_json: Json = False) -> None:
    """Drop the rows that stand beside the live ones, new and former; the live ones stay.

    There is no way back to a former version then, and a process that runs with a newer version than the live rows
    makes its own and switches to them.
    """
    done = do(name, "drop", {}, url, as_json=as_json)
    if not as_json:
        for rows in done["dropped"]:
            out.print(f"Dropped {rows['schema']}: version {rows['version']} at position {rows['position']:,}.")


def _print_switched(name: str, done: Mapping[str, Any], hint: str) -> None:
    tries = "" if done["tries"] == 1 else f", at the {done['tries']}. try"
    out.print(f"{name}: version {done['version']} is live, at position {done['position']:,}.")
    out.print(f"Readers and the feed waited for at most {done['locked_out_ms']:g} ms{tries}.")
    out.print(hint)


def _print_report(name: str, report: Mapping[str, Any]) -> None:
    out.print(
        f"{name} at position {report['position']:,}: live version {report['live_version']}, "
        f"new version {report['new_version']}: {'no difference' if report['same'] else 'they differ'}."
    )
    table = plain_table("Table", "Live rows", "Added", "Removed", "Changed", "Fields that differ")
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
