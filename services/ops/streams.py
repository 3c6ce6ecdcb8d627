"""`switchboard streams`: the stream of events as declared and as found, and its readers."""

from typing import Annotated, Any, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from services.ops.render import plain_table
from services.ops.terminal import DONE, NO_ANSWER, REFUSED, Json, Url, Yes, fail, out, print_json, settings

Delete = Annotated[
    bool, typer.Option("--delete", help="Delete it with all consumers; the relay then publishes the log again.")
]


def streams(url: Url = None, as_json: Json = False, delete: Delete = False, yes: Yes = False) -> None:
    """Show the stream of events: its declaration, differences in NATS, and the progress of its readers.

    Exit code 0: as declared, or deleted; 1: missing or different; 3: no NATS.
    """
    import asyncio

    from shared.messaging.stream_report import (
        NatsTooOldError,
        NatsUnavailableError,
        StreamMissingError,
        delete_stream,
        stream_report,
    )

    where = url or settings().nats_url_to_ask()
    if delete and not yes:
        question = (
            "The relay publishes the whole log again. Durable consumers are deleted with the stream. Views and the "
            "typed client continue by themselves; other followers must create their consumers and then receive every "
            "event from the first. Mirrors keep their messages (runbook: followers of the stream). Delete it?"
        )
        typer.confirm(question, abort=True, err=True)
    try:
        if delete:
            asyncio.run(delete_stream(where))
        report = {"deleted": True} if delete else asyncio.run(stream_report(where))
    except NatsTooOldError as error:
        _failed(f"{error}.", "no_answer", NO_ANSWER, as_json=as_json)
    except NatsUnavailableError as error:
        _failed(f"{error}. Is Switchboard running (`switchboard run`)?", "no_answer", NO_ANSWER, as_json=as_json)
    except StreamMissingError as error:
        why = f"{error}. A running relay creates it (`switchboard run relay`)."
        _failed(why, "refused", REFUSED, as_json=as_json)
    if as_json:
        print_json(report)
    elif delete:
        out.print("The stream and its consumers are deleted; a running relay creates it again and publishes the log.")
    else:
        show(report)
    raise typer.Exit(REFUSED if report.get("drift") else DONE)


def _failed(why: str, what: str, code: int, *, as_json: bool) -> NoReturn:
    if as_json:
        print_json({what: why})
    fail(why, code)


def show(report: dict[str, Any]) -> None:
    head = Table.grid(padding=(0, 2))
    for key in ("name", "subjects", "storage", "replicas", "messages", "bytes", "first", "last", "log"):
        value = report[key]
        head.add_row(Text(key, style="dim"), f"{value:,}" if isinstance(value, int) else str(value))
    out.print(head)
    if report["drift"]:
        table = plain_table("Field", "Declared", "Found")
        for field, (declared, found) in report["drift"].items():
            table.add_row(field, str(declared), str(found))
        out.print(Text("Differs from the declaration", style="bold red"))
        out.print(table)
    else:
        out.print(Text("as declared", style="green"))
    readers = plain_table("Reader", "Pending", "Not acknowledged", "Delivered again", "Paused")
    for one in report["consumers"]:
        counts = (f"{one[key]:,}" for key in ("pending", "unacknowledged", "redelivered"))
        readers.add_row(one["name"], *counts, f"until {one['paused_until']}" if one["paused_until"] else "-")
    out.print(readers)
