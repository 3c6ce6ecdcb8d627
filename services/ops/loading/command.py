"""`switchboard load`, as it is typed and as it tells how far it is."""

from pathlib import Path
from typing import Annotated

import typer

from services.ops.loading.load import IN_FLIGHT
from services.ops.loading.through import Wanted, through
from services.ops.terminal import DONE, INTERRUPTED, NO_ANSWER, REFUSED, Json, Url, err, out, print_json

File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="Commands, .jsonl or .csv.")]
Refused = Annotated[Path | None, typer.Option(help="Where refused rows go; else beside the rest, FILE.refused.jsonl.")]
Account = Annotated[str | None, typer.Option(help="The account of rows that name none.")]
Actor = Annotated[str | None, typer.Option(help="The actor of rows that name none.")]
InFlight = Annotated[int, typer.Option(min=1, max=4_096, help="How many commands are under way at once.")]
Anew = Annotated[
    bool, typer.Option("--anew", help="Begin again, under new command ids, where an earlier load stopped.")
]


def load(
    file: File,
    refused: Refused = None,
    account: Account = None,
    actor: Actor = None,
    in_flight: InFlight = IN_FLIGHT,
    anew: Anew = False,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Give many commands out of a file: one JSON object a line, or CSV with the same names as header.

    The file is read to its end before anything is begun. A cell is read by the type of its field, an empty one is
    absent; what a field cannot take is a refused row.

    Commands that name the same address, user or inbox keep their order. Ctrl-C or a lost connection loses nothing: the
    same command line goes on, and nothing is done twice. What is refused is written to a file that can be loaded again
    once it is mended.

    Exit code 0: all accepted or unchanged; 1: some refused; 2: wrong usage; 3: no answer, 130: Ctrl-C (run it again).

    A row: {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "b@a.example", "owner": "bob"}
    """
    wanted = Wanted(file, refused, account, actor, in_flight, anew, url)
    end = through(wanted)
    place = end.place
    told = {"rows": place.rows, "accepted": place.accepted, "unchanged": place.unchanged, "refused": place.refused}
    if as_json:
        print_json({**told, "whole": end.whole, "refused_file": str(wanted.to_refused) if place.refused else None})
    else:
        counts = ", ".join(f"{count:,} {name}" for name, count in told.items())
        out.print(f"{counts}, in {end.seconds:.1f} s ({(place.rows - end.before) / end.seconds:,.0f} a second)")
        if place.refused:
            out.print(f"Refused, with the reasons: {wanted.to_refused}. Mend it and load it.", markup=False)
    if end.whole:
        raise typer.Exit(REFUSED if place.refused else DONE)
    err.print(
        f"Not through: {end.trouble or 'stopped'}. The same command line goes on after row {place.rows:,}.",
        markup=False,
    )
    raise typer.Exit(INTERRUPTED if end.interrupted else NO_ANSWER)
