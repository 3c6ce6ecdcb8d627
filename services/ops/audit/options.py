"""The arguments and options of the verbs of `switchboard audit`."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer

from shared.language.commands import COMMANDS
from shared.language.reasons import Reason

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
