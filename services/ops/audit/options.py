"""The arguments and options of the verbs of `switchboard audit`."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import typer

from shared.language.commands import COMMANDS
from shared.language.reasons import Reason

# Errors about several fields of a question, and what they mean here.
TOGETHER: Final[Mapping[str, str]] = {
    "name at most one of address, inbox, user and team": "give at most one of --address, --inbox, --user and --team",
    "name exactly one of address and inbox": "give --address or --inbox",
    "name exactly one of command_id, correlation_id and event_id": (
        "give one of --command-id, --correlation-id and --event-id"
    ),
    "at goes without from and to": "give --at, or --from and --to",
}

WHEN: Final = "a position, or a time with its offset such as 2026-03-03T09:15:00+01:00."


def _reasons(incomplete: str) -> Iterable[str]:
    return [one for one in Reason if one.startswith(incomplete)]


def _commands(incomplete: str) -> Iterable[str]:
    return [name for name in COMMANDS if name.startswith(incomplete)]


Account = Annotated[str, typer.Argument(help="For example acme.")]
Address = Annotated[str | None, typer.Option(help="An e-mail address.")]
Inbox = Annotated[str | None, typer.Option(help="The id of an inbox.")]
User = Annotated[str | None, typer.Option(help="The id of a user.")]
OneUser = Annotated[str, typer.Option("--user", help="The id of a user.")]
Team = Annotated[str | None, typer.Option(help="The id of a team.")]

From = Annotated[str | None, typer.Option("--from", metavar="MOMENT", help=f"Nothing before: {WHEN}")]
To = Annotated[str | None, typer.Option("--to", metavar="MOMENT", help=f"Nothing after: {WHEN}")]
At = Annotated[str | None, typer.Option(metavar="MOMENT", help=f"At one moment: {WHEN} Default: now.")]

GivenBy = Annotated[str | None, typer.Option(help="Only attempts of this user or service:<name>.")]
ReasonName = Annotated[
    str | None,
    typer.Option("--reason", help="Only this reason, for example ADDRESS_ORPHANED.", autocompletion=_reasons),
]
CommandName = Annotated[
    str | None, typer.Option("--command", help="Only this command, for example ConnectTeam.", autocompletion=_commands)
]
Limit = Annotated[int | None, typer.Option(min=1, help="The most entries to show. Default: all.")]
Actor = Annotated[
    str | None,
    typer.Option(help="The one who asks: service:audit.<name>, or a super admin. Default: with your login."),
]
Seconds = Annotated[float, typer.Option("--timeout", help="Seconds to wait for each answer.")]
SECONDS: Final = 35.0


def option(field: str) -> str:
    """How a field of a question is typed."""
    if field == "question":
        return "QUESTION"
    if field.startswith("fields."):
        return f"{field.removeprefix('fields.')}=…"
    return f"--{field.replace('_', '-')}" if field else ""


def typed(error: Mapping[str, Any]) -> Mapping[str, Any]:
    """The error of a field of a question, with the field as it is typed."""
    field, message = str(error.get("field") or ""), str(error.get("message"))
    return {"field": option(field), "message": TOGETHER.get(message, message)}
