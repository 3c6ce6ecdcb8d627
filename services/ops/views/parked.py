"""Parked events from outside: listed, shown, tried again, given up."""

import json
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from services.ops.render import plain_table
from services.ops.terminal import Json, Yes, err, out
from services.ops.views.process import Name, Url, ask, do

app = typer.Typer(help="Events that could not be applied, and what follows on the same aggregate.")

Position = Annotated[int, typer.Argument(min=1, help="The event's position in the log.")]


@app.command("list")
def parked_list(
    name: Name,
    after: Annotated[int, typer.Option(help="Begin after this position.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most.")] = 100,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List the events that could not be applied, in order, with the reason."""
    found = do(name, "parked-list", {"after": after, "limit": limit}, url, as_json=as_json)
    if as_json:
        return
    if not found:
        out.print("Nothing is parked.")
        return
    table = plain_table("Position", "Type", "Account", "Aggregate", "Parked at", "Why")
    for one in found:
        aggregate = f"{one['aggregate']}/{one['stream']}"
        texts = (one["type"], one["account"], aggregate, one["parked_at"], one["error"])
        table.add_row(str(one["position"]), *map(escape, texts))
    out.print(table)
    if len(found) == limit:
        out.print(f"There may be more: --after {found[-1]['position']}")


@app.command("show")
def parked_show(name: Name, position: Position, url: Url = None, as_json: Json = False) -> None:
    """Show one parked event whole, with its headers and body, and how many wait behind it."""
    one = do(name, "parked-show", {"position": position}, url, as_json=as_json)
    if as_json:
        return
    out.print(f"[bold]{escape(one['type'])}[/] at position {one['position']:,}, parked at {one['parked_at']}")
    out.print(f"Why: {escape(one['error'])}")
    out.print(f"Account {escape(one['account'])}, {escape(one['aggregate'])}/{one['stream']}")
    out.print(f"Behind it on the same aggregate: {one['followers']:,}")
    out.print(Table.grid(), end="")
    out.print(escape(json.dumps({"headers": one["headers"], "body": one["body"]}, indent=2, ensure_ascii=False)))


@app.command("retry")
def parked_retry(
    name: Name,
    position: Annotated[int | None, typer.Argument(min=1, help="Only the aggregate of this parked event.")] = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Apply what the installed code can apply by now, each aggregate in its order."""
    done = do(name, "parked-retry", {"position": position}, url, as_json=as_json)
    if not as_json:
        out.print(f"{done['applied']:,} applied, {done['left']:,} still parked.")


@app.command("drop")
def parked_drop(name: Name, position: Position, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Give a parked event up: these rows never show its effect; what waits behind it is tried at once.

    The event stays in the log and on the stream. Answers that touch it say `incomplete_since`, and `switchboard views`
    counts it, until the rows are made anew; those meet it again.
    """
    if not yes:
        one = ask(name, "parked-show", {"position": position}, url, as_json=as_json)
        err.print(f"{escape(one['type'])} at position {position:,} on {escape(one['aggregate'])}/{one['stream']}")
        err.print(
            f"is given up: the rows of {name} never show its effect. Behind it {one['followers']:,} wait; they are "
            "tried at once, as if it had not happened."
        )
        typer.confirm("Give it up?", abort=True, err=True)
    done = do(name, "parked-drop", {"position": position}, url, as_json=as_json)
    if not as_json:
        out.print(f"Given up. Of what waited behind it, {done['applied']:,} applied, {done['left']:,} still parked.")
