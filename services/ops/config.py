"""`switchboard config`: every setting with its value and source, without passwords."""

import os
from difflib import get_close_matches
from typing import Any, Final

import typer
from pydantic import SecretStr

from services.ops.render import plain_table
from services.ops.terminal import Json, err, out, print_json, settings
from shared.process.settings import Settings
from shared.process.urls import without_password

app = typer.Typer(help="Show the settings in force.", no_args_is_help=True)

HIDDEN: Final = "***"


@app.command()
def show(as_json: Json = False) -> None:
    """Show every setting with its value, source and meaning. Secrets are hidden."""
    found = list(rows())
    if as_json:
        print_json(found)
        return
    table = plain_table("Setting", "Value", "From", "Meaning")
    # Names and values are never cut, so that they can be copied.
    table.columns[0].no_wrap = True
    table.columns[1].overflow = "fold"
    for row in found:
        value = "-" if row["value"] is None else str(row["value"])
        table.add_row(row["setting"], value, row["from"], row["meaning"])
    out.print(table)
    for name in unknown():
        near = get_close_matches(name, [row["setting"] for row in found], n=1)
        err.print(f"{name} is set, but is not a setting{f'; did you mean {near[0]}?' if near else '.'}")


def rows() -> list[dict[str, Any]]:
    """One row for each setting, in the order of the class."""
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
    """Variables of the environment that look like settings, but are not."""
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
    """The value without secrets, and a URL without its password."""
    if isinstance(value, SecretStr):
        return HIDDEN
    if value is None or isinstance(value, int | float):
        return value
    return without_password(str(value))
