"""`switchboard views`: status, parked events, and rebuilt rows: compare, switch to them, switch back.

Each verb runs in a process of the view's own service, with the code that is installed here. It reports in lines of
JSON, which this module prints. So this module knows no rows, and no service has to run.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final

import typer
from rich.markup import escape

from services.ops.render import plain_table
from services.ops.terminal import USAGE, Json, fail, out, print_json
from services.ops.views import parked
from services.ops.views.process import VIEWS, Name, Url, do, done_of, outcome_of

LONGEST_VALUE: Final = 60

app = typer.Typer(help="Show the views; rebuild, compare and switch their rows; handle parked events.")
app.add_typer(parked.app, name="parked", no_args_is_help=True)

History = Annotated[
    bool,
    typer.Option("--history", help="Use the history of the view, with all versions of its rows, not the live rows."),
]
Force = Annotated[bool, typer.Option("--force", help="Switch even if no running process can answer from these rows.")]


# ---- status


@app.callback(invoke_without_command=True)
def _shown_by_default(context: typer.Context, url: Url = None, as_json: Json = False) -> None:
    if context.invoked_subcommand is None:
        show(url, as_json)
    elif url is not None or as_json:
        # The options of `parked` go behind its own verbs.
        verb = context.invoked_subcommand + (" …" if context.invoked_subcommand == "parked" else "")
        fail(f"Put the options behind the verb: switchboard views {verb} --url … --json", USAGE)


@app.command()
def show(url: Url = None, as_json: Json = False) -> None:
    """Show the status of each view: version, position, lag behind the log, parked events, other rows.

    The history of a view keeps all versions of its rows; it follows the log on its own, and may lag.

    The lag in seconds is the age of the oldest event not applied yet. Dropped events are dead letters that these rows
    lack for good: affected answers have `incomplete_since` until the rows are rebuilt.
    """
    with ThreadPoolExecutor(len(VIEWS)) as side_by_side:
        outcomes = list(side_by_side.map(lambda name: outcome_of(name, "show", {}, url, None), VIEWS))
    found = [done_of(outcome, as_json) for outcome in outcomes]
    if as_json:
        print_json(found)
        return
    titles = ("Version", "Position", "Lag, events", "Lag, seconds", "Parked", "Dropped")
    table = plain_table("View", *titles, "Other rows")
    labeled = _labeled(found)
    for label, one in labeled:
        table.add_row(
            label,
            _version(one),
            f"{one['position']:,}",
            f"{one['lag_events']:,}",
            "?" if one["lag_seconds"] is None else f"{one['lag_seconds']:,.1f}",
            f"{one['parked']:,}",
            f"{one['given_up']:,}",
            "\n".join(_rows(rows) for rows in one["beside"]) or "-",
        )
    out.print(table)
    for _, one in labeled:
        if why := one["contradicts_log"]:
            out.print(
                f"{label.strip()} does not match the log: {escape(why)}. Its service rebuilds the rows by itself."
            )


def _labeled(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the live rows of each view, each followed by its history."""
    labeled: list[tuple[str, Mapping[str, Any]]] = []
    for name, one in zip(VIEWS, found, strict=True):
        labeled.append((_title(name, one["temporal"]), one))
        if history := one.get("history"):
            labeled.append(("  history", history))
    return labeled


def _version(one: Mapping[str, Any]) -> str:
    if one["version"] is None:
        return "none yet"
    code = one["code_version"]
    return str(one["version"]) if one["version"] == code else f"{one['version']} (installed: {code})"


def _rows(rows: Mapping[str, Any]) -> str:
    return f"{rows['state']}: version {rows['version']} at {rows['position']:,}"


# ---- rebuild


@app.command()
def rebuild(name: Name, history: History = False, url: Url = None, as_json: Json = False) -> None:
    """Rebuild the rows from the event log, beside the live rows.

    Readers see no change. Then `compare` shows the differences, and `switch` makes the new rows live. Ctrl-C removes
    the unfinished rows.
    """
    done = do(name, "rebuild", {"history": history}, url, as_json=as_json)
    if not as_json:
        title, target = _title(name, history), _target(name, history)
        out.print(f"{title}: rows of version {done['version']} are rebuilt, at position {done['position']:,}.")
        out.print(f"Compare them with the live rows: switchboard views compare {target}")


@app.command()
def compare(name: Name, history: History = False, url: Url = None, as_json: Json = False) -> None:
    """Show the effect of a switch: rows added, removed and changed, with examples and the fields that differ.

    Both are compared at the same position while the view runs. The exit code is 0 whether they differ or not.
    """
    report = do(name, "compare", {"history": history}, url, as_json=as_json)
    if not as_json:
        _print_report(_title(name, history), report)


@app.command()
def switch(name: Name, history: History = False, force: Force = False, url: Url = None, as_json: Json = False) -> None:
    """Make the rebuilt rows live in one step, and keep the former live rows.

    Processes of the former version stop answering until you switch back. Rows kept by an earlier switch are dropped.
    """
    done = do(name, "switch", {"history": history, "force": force}, url, as_json=as_json)
    if not as_json:
        target = _target(name, history)
        hint = f"The former rows are kept: switchboard views back {target}, or drop {target}"
        _print_switched(_title(name, history), done, hint)


@app.command()
def back(name: Name, history: History = False, force: Force = False, url: Url = None, as_json: Json = False) -> None:
    """Bring the rows from before the last switch up to date, and make them live again.

    The present rows are kept as new ones, in place of any others. Use the release of that former version: only its code
    can bring its rows up to date.
    """
    done = do(name, "back", {"history": history, "force": force}, url, as_json=as_json)
    if not as_json:
        target = _target(name, history)
        hint = f"The other rows are kept: switchboard views switch {target}, or drop {target}"
        _print_switched(_title(name, history), done, hint)


@app.command()
def drop(name: Name, history: History = False, url: Url = None, as_json: Json = False) -> None:
    """Delete the new and former rows; the live rows stay.

    You can then no longer switch back. A running process with a newer version than the live rows rebuilds its own and
    switches to them.
    """
    done = do(name, "drop", {"history": history}, url, as_json=as_json)
    if not as_json:
        for rows in done["dropped"]:
            out.print(f"Dropped {rows['schema']}: version {rows['version']} at position {rows['position']:,}.")


def _title(name: str, history: bool) -> str:
    return f"{name}, history" if history else name


def _target(name: str, history: bool) -> str:
    return f"{name} --history" if history else name


def _print_switched(name: str, done: Mapping[str, Any], hint: str) -> None:
    attempts = "" if done["tries"] == 1 else f", after {done['tries']} attempts"
    out.print(f"{name}: version {done['version']} is live, at position {done['position']:,}.")
    out.print(f"Readers and the consumer waited for at most {done['locked_out_ms']:g} ms{attempts}.")
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
