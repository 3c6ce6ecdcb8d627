"""`switchboard config`: every setting, its value and where that comes from; passwords never."""

import os
from difflib import get_close_matches
from typing import Any, Final

import typer
from pydantic import SecretStr

from services.ops.render import plain_table
from services.ops.terminal import Json, err, out, print_json, settings
from shared.process.settings import Settings
from shared.process.urls import without_password

app = typer.Typer(help="The settings in force.", no_args_is_help=True)

HIDDEN: Final = "***"


@app.command()
def show(as_json: Json = False) -> None:
    """Show every setting: its value, where it comes from, and what it is for; what is secret is hidden."""
    found = list(rows())
    if as_json:
        print_json(found)
        return
    table = plain_table("Setting", "Value", "From", "Meaning")
    # What one would copy is never cut.
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    for row in found:
        value = "-" if row["value"] is None else str(row["value"])
        table.add_row(row["setting"], value, row["from"], row["meaning"])
    out.print(table)
    for name in unknown():
        near = get_close_matches(name, [row["setting"] for row in found], n=1)
        err.print(f"{name} is set and means nothing here{f'; did you mean {near[0]}?' if near else '.'}")


def rows() -> list[dict[str, Any]]:
    """One for each setting, in the order of the class."""
    held = settings()
    return [
        {
            "setting": variable(name),
            "value": redacted(getattr(held, name)),
            "from": origin(name, held),
            "meaning": field.description or "",
        }
        for name, field in Settings.model_fields.items()
    ]


def unknown() -> list[str]:
    """What looks like a setting in the environment and is none."""
    known = set(map(variable, Settings.model_fields))
    return sorted(name for name in os.environ if name.startswith(variable("")) and name not in known)


def origin(name: str, held: Settings) -> str:
    if os.environ.get(variable(name)):
        return "environment"
    files = held.secrets_dir.iterdir() if held.secrets_dir else ()
    return "file" if variable(name) in {file.name.upper() for file in files} else "default"


def variable(name: str) -> str:
    return f"SWITCHBOARD_{name.upper()}"


def redacted(value: Any) -> Any:
    """A URL without the user and password in it, of a secret nothing; numbers and switches as they are."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if value is None or isinstance(value, int | float):
        return value
    return without_password(str(value))
