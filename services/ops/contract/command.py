"""`switchboard contract`: write the published contract, check that it is current, make its page."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.ops.contract.meanings import MissingDescription
from services.ops.terminal import REFUSED, fail

PUBLISHED: Final = Path("deploy/contract")
PAGE: Final = Path("build/contract.html")
DOCUMENT: Final = "asyncapi.json"

app = typer.Typer(help="The contract: an AsyncAPI document, JSON Schemas, a page.", no_args_is_help=True)

Folder = Annotated[Path, typer.Option("--folder", help="Where the contract is published.")]
File = Annotated[Path, typer.Option("--to", help="The file to write.")]


@app.command()
def write(folder: Folder = PUBLISHED) -> None:
    """Write the AsyncAPI document and the JSON Schemas, and remove schemas that no longer are."""
    for path in stale(folder):
        path.unlink()
    for name, text in published().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    typer.echo(f"{len(published())} files in {folder}")


@app.command()
def check(folder: Folder = PUBLISHED) -> None:
    """Tell whether what is published says what the code does.

    Exit code 0: it does; 1: it does not, and which files.
    """
    wrong = sorted({str(path) for path in stale(folder)} | differing(folder))
    if wrong:
        told = "\n".join(f"  {name}" for name in wrong)
        fail(f"Not what the code says:\n{told}\nRun: switchboard contract write", REFUSED)
    typer.echo(f"{folder} is what the code says.")


@app.command()
def page(to: File = PAGE) -> None:
    """Make one HTML page of the contract, with an example of each message."""
    from services.ops.contract.page import page as made

    try:
        text = made()
    except MissingDescription as error:
        fail(str(error), REFUSED)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text, encoding="utf-8")
    typer.echo(f"Open {to}")


@cache
def published() -> Mapping[str, str]:
    """Every file of the contract by its path."""
    from services.ops.contract.asyncapi import document
    from services.ops.contract.schemas import messages

    try:
        schemas = {f"schemas/{message.path}": written(message.schema) for message in messages()}
        return {DOCUMENT: written(document())} | schemas
    except MissingDescription as error:
        fail(str(error), REFUSED)


def written(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"


def stale(folder: Path) -> list[Path]:
    """Schemas that are there and no longer made."""
    names = published()
    return [path for path in folder.glob("schemas/*/*.json") if str(path.relative_to(folder)) not in names]


def differing(folder: Path) -> set[str]:
    """What is missing or otherwise."""
    return {
        str(folder / name)
        for name, text in published().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    }
