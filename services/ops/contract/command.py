"""`switchboard contract`: write the published contract, check it, make its HTML page."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.ops.contract.meanings import MissingDescriptionError
from services.ops.terminal import REFUSED, fail

PUBLISHED: Final = Path("deploy/contract")
PAGE: Final = Path("build/contract.html")
DOCUMENT: Final = "asyncapi.json"

app = typer.Typer(help="Write or check the published contract, or make its HTML page.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", help="The folder of the published contract.")]
File = Annotated[Path, typer.Option("--to", help="The file to write.")]


@app.command()
def write(folder: Folder = PUBLISHED) -> None:
    """Write the AsyncAPI document and the JSON Schemas, and remove outdated schemas."""
    for path in stale(folder):
        path.unlink()
    for name, text in published().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    typer.echo(f"{len(published())} files in {folder}")


@app.command()
def check(folder: Folder = PUBLISHED) -> None:
    """Check that the published contract matches the code.

    Exit code 0: it matches; 1: it does not, with the list of files.
    """
    wrong = sorted({str(path) for path in stale(folder)} | differing(folder))
    if wrong:
        listed = "\n".join(f"  {name}" for name in wrong)
        fail(f"These files do not match the code:\n{listed}\nRun: switchboard contract write", REFUSED)
    typer.echo(f"{folder} matches the code.")


@app.command()
def page(to: File = PAGE) -> None:
    """Make an HTML page of the contract, with an example of each message."""
    from services.ops.contract.page import page as made

    try:
        text = made()
    except MissingDescriptionError as error:
        fail(str(error), REFUSED)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text, encoding="utf-8")
    typer.echo(f"Open {to}")


@cache
def published() -> Mapping[str, str]:
    """Every file of the contract, by path."""
    from services.ops.contract.asyncapi import document
    from services.ops.contract.schemas import messages

    try:
        schemas = {f"schemas/{message.path}": written(message.schema) for message in messages()}
        return {DOCUMENT: written(document())} | schemas
    except MissingDescriptionError as error:
        fail(str(error), REFUSED)


def written(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def stale(folder: Path) -> list[Path]:
    """Published schemas that are no longer generated."""
    names = published()
    return [path for path in folder.glob("schemas/*/*.json") if str(path.relative_to(folder)) not in names]


def differing(folder: Path) -> set[str]:
    """Missing and different files."""
    return {
        str(folder / name)
        for name, text in published().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    }
