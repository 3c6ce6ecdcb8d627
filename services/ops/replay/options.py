"""The arguments and options of the verbs of `switchboard audit replay`."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import typer
from pydantic import TypeAdapter, ValidationError

from services.ops.replay.speed import Speed, speed_of
from services.ops.send import suggestion
from shared.language.events import EVENTS
from shared.language.replays import LONGEST_REASON, REPLAY_NAME, ReplayReason
from shared.language.text import ACCOUNT, ACTOR

SPEED: Final = "500/s"
STORED_NAME: Final = re.compile(r"switchboard\.[A-Za-z0-9_]+\.v[0-9]+")
EVENT_NAMES: Final = sorted({event.__name__ for event in EVENTS.values()})


def _events(incomplete: str) -> Iterable[str]:
    return [name for name in EVENT_NAMES if name.startswith(incomplete)]


OptionalName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="A name of your choice, part of the subjects: 1 to 32 of A-Z a-z 0-9 _ -"),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the replay.")]
Suffix = Annotated[str | None, typer.Option("--to-subject-suffix", metavar="NAME", help="The same as NAME.")]
OneAccount = Annotated[str | None, typer.Option("--account", help="Only events of this account.")]
Types = Annotated[
    list[str] | None,
    typer.Option(
        "--type",
        help="Only events of this name, for example TeamConnected; may be repeated.",
        autocompletion=_events,
    ),
]
SpeedText = Annotated[
    str,
    typer.Option("--speed", help="Events a second, or their original spacing, as it was or so many times as fast: 4x."),
]
AnotherSpeed = Annotated[
    str | None, typer.Option("--speed", help="Another speed from now on. Default: that of the start.")
]
ReasonText = Annotated[str | None, typer.Option("--reason", help="Why, for those who read the replay.")]
Forced = Annotated[bool, typer.Option("--forced", help="Give each event a new id, for consumers that drop known ones.")]
Postgres = Annotated[
    str | None,
    typer.Option(help="URL of PostgreSQL. Default: SWITCHBOARD_POSTGRES_URL, or that of `switchboard run`."),
]


def name_of(name: str | None, suffix: str | None = None) -> str:
    """Return the name of a replay, which is given once."""
    if (name is None) == (suffix is None):
        raise typer.BadParameter("give the replay one NAME, or --to-subject-suffix NAME")
    found = name or suffix or ""
    if not re.fullmatch(REPLAY_NAME, found):
        raise typer.BadParameter(f"{found!r} is not the name of a replay: 1 to 32 of A-Z a-z 0-9 _ -")
    return found


def account_of(account: str | None) -> str | None:
    if account is not None and not re.fullmatch(ACCOUNT, account):
        raise typer.BadParameter(f"{account!r} is not the name of an account: 1 to 32 of A-Z a-z 0-9 _ -")
    return account


def actor_of(actor: str) -> str:
    if not re.fullmatch(ACTOR, actor):
        raise typer.BadParameter(f"{actor!r} is not a user's id, or service:audit.NAME")
    return actor


def types_of(types: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of events, each known here or a stored name of another release in full."""
    for name in types or ():
        if name not in EVENT_NAMES and not STORED_NAME.fullmatch(name):
            raise typer.BadParameter(
                f"there is no event {name}. {suggestion(name, EVENT_NAMES)} An event of another release is named in "
                "full: switchboard.NAME.v1"
            )
    return tuple(dict.fromkeys(types or ()))


def reason_text(reason: str | None) -> str | None:
    try:
        return None if reason is None else TypeAdapter(ReplayReason).validate_python(reason)
    except ValidationError:
        raise typer.BadParameter(f"a reason is one line of 1 to {LONGEST_REASON} characters") from None


def speed(text: str) -> Speed:
    try:
        return speed_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
