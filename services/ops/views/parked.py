"""`switchboard views parked`: list, show, retry and drop parked events."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from services.ops.render import plain_table
from services.ops.terminal import Json, Yes, err, out
from services.ops.views.process import Name, Url, ask, do

app = typer.Typer(
    help="Handle parked events: those that could not be applied, and later events of the same aggregate. Verbs act "
    "on the live rows and on the history."
)

Position = Annotated[int, typer.Argument(min=1, help="The event's position in the log.")]


@app.command("list")
def parked_list(
    name: Name,
    after: Annotated[int, typer.Option(help="Start after this position.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The maximum number of events.")] = 100,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the events that could not be applied, in order, with the error."""
    found = do(name, "parked-list", {"after": after, "limit": limit}, url, as_json=as_json)
    if as_json:
        return
    if not found:
        out.print("Nothing is parked.")
        return
    table = plain_table("Position", "Type", "Account", "Aggregate", "In", "Parked at", "Error")
    for one in found:
        aggregate = f"{one['aggregate']}/{one['stream']}"
        texts = (one["type"], one["account"], aggregate, _places(one), one["parked_at"], one["error"])
        table.add_row(str(one["position"]), *map(escape, texts))
    out.print(table)
    if len(found) == limit:
        out.print(f"There may be more: use --after {found[-1]['position']}")


def _places(one: Mapping[str, Any]) -> str:
    """Where the event is parked: in the live rows, in their history, or in both."""
    return " and ".join("history" if schema.endswith("_history") else "rows" for schema in one["in"])


@app.command("show")
def parked_show(name: Name, position: Position, url: Url = None, as_json: Json = False) -> None:
    """Show a parked event with its headers and body, and the number of events waiting behind it."""
    one = do(name, "parked-show", {"position": position}, url, as_json=as_json)
    if as_json:
        return
    out.print(f"[bold]{escape(one['type'])}[/] at position {one['position']:,}, parked at {one['parked_at']}")
    out.print(f"Error: {escape(one['error'])}")
    out.print(f"Parked in: {_places(one)}")
    out.print(f"Account {escape(one['account'])}, {escape(one['aggregate'])}/{one['stream']}")
    out.print(f"Waiting behind it on the same aggregate: {one['followers']:,}")
    out.print(Table.grid(), end="")
    out.print(escape(json.dumps({"headers": one["headers"], "body": one["body"]}, indent=2, ensure_ascii=False)))


@app.command("retry")
def parked_retry(
    name: Name,
    position: Annotated[int | None, typer.Argument(min=1, help="Retry only the aggregate of this event.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Apply the parked events that the installed code can apply, in order for each aggregate."""
    done = do(name, "parked-retry", {"position": position}, url, as_json=as_json)
    if not as_json:
        out.print(f"{done['applied']:,} applied, {done['left']:,} still parked.{_of_history(done)}")


def _of_history(done: Mapping[str, Any]) -> str:
    history = done.get("history")
    return f" In the history: {history['applied']:,} applied, {history['left']:,} still parked." if history else ""


@app.command("drop")
def parked_drop(name: Name, position: Position, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Drop a parked event: these rows never show its effect. The events waiting behind it are retried at once.

    A history that has not come to the event yet will skip it. The event stays in the log and on the stream. Affected
    answers have `incomplete_since`, and `switchboard views` counts it, until the rows are rebuilt; a rebuild meets the
    event again.
    """
    if not yes:
        one = ask(name, "parked-show", {"position": position}, url, as_json=as_json)
        err.print(f"{escape(one['type'])} at position {position:,} on {escape(one['aggregate'])}/{one['stream']}")
        err.print(
            f"will be dropped: the rows of {name} never show its effect. Behind it {one['followers']:,} wait; they are "
            "retried at once, as if the event had not happened."
        )
        typer.confirm("Drop it?", abort=True, err=True)
    done = do(name, "parked-drop", {"position": position}, url, as_json=as_json)
    if not as_json:
        counts = f"{done['applied']:,} applied, {done['left']:,} still parked."
        out.print(f"Dropped. Of the events behind it, {counts}{_of_history(done)}")
