"""`switchboard load`: its options and its summary."""

from pathlib import Path
from typing import Annotated

import typer

from services.ops.loading.load import IN_FLIGHT
from services.ops.loading.load_run import LoadRequest, run_load
from services.ops.terminal import DONE, INTERRUPTED, NO_ANSWER, REFUSED, Json, Url, err, out, print_json

File = Annotated[
    Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A file of commands, .jsonl or .csv.")
]
Refused = Annotated[Path | None, typer.Option(help="File for refused rows. Default: FILE.refused.jsonl.")]
Account = Annotated[str | None, typer.Option(help="Account for rows without one.")]
Actor = Annotated[str | None, typer.Option(help="Actor for rows without one.")]
InFlight = Annotated[int, typer.Option(min=1, max=4_096, help="Number of commands under way at once.")]
StartOver = Annotated[bool, typer.Option("--anew", help="Start over with new command ids instead of resuming.")]


def load(
    file: File,
    refused: Refused = None,
    account: Account = None,
    actor: Actor = None,
    in_flight: InFlight = IN_FLIGHT,
    start_over: StartOver = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Give many commands from a file: one JSON object a line, or CSV with the same names in its header.

    The whole file is read before the first command is sent. A cell is read by the type of its field, and an empty cell
    is absent. A row with a value that its field does not take is refused.

    Commands that name the same address, user or inbox keep their order. After Ctrl-C or a lost connection, run the same
    command to resume; no command takes effect twice. Refused rows go to a file that you can correct and load.

    Exit code 0: all accepted or unchanged; 1: some refused; 2: wrong usage; 3: no answer; 130: Ctrl-C (run it again).

    A row: {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "b@a.example", "owner": "bob"}
    """
    request = LoadRequest(file, refused, account, actor, in_flight, start_over, url)
    result = run_load(request)
    checkpoint = result.checkpoint
    counts = {
        "rows": checkpoint.rows, "accepted": checkpoint.accepted, "unchanged": checkpoint.unchanged,
        "refused": checkpoint.refused,
    }  # fmt: skip
    if as_json:
        refused_file = str(request.refused_file) if checkpoint.refused else None
        print_json({**counts, "whole": result.whole, "refused_file": refused_file})
    else:
        rate = (checkpoint.rows - result.before) / result.seconds
        summary = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        out.print(f"{summary}, in {result.seconds:.1f} s ({rate:,.0f} a second)")
        if checkpoint.refused:
            out.print(f"Refused rows with reasons: {request.refused_file}. Correct and load them.", markup=False)
    if result.whole:
        raise typer.Exit(REFUSED if checkpoint.refused else DONE)
    err.print(
        f"Not finished: {result.error or 'stopped'}. Run the same command to resume after row {checkpoint.rows:,}.",
        markup=False,
    )
    raise typer.Exit(INTERRUPTED if result.interrupted else NO_ANSWER)
