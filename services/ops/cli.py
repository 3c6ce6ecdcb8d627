"""The command line: run Switchboard, give it a command, ask it a question."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, NoReturn

import typer
from pydantic import ValidationError

from services.ops import views
from shared.language import subjects
from shared.runtime.clock import new_id
from shared.runtime.settings import Settings

# Exit codes, for scripts; usage errors are 2 by convention.
DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NO_ANSWER: Final = 3

SERVICES: Final[Mapping[str, str]] = {
    "connections": "services.connections.app",
    "relay": "services.relay.app",
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
}

FIELDS = "key=value sends text, key:=json sends JSON: a number, true, a list, an object."

app = typer.Typer(
    help="Which e-mail address is connected to whom, as what, and where does its mail go?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(views.app, name="views")

Account = Annotated[str, typer.Argument(help="The account, such as acme.")]
Fields = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help=FIELDS)]
Actor = Annotated[str | None, typer.Option(help="Who asks: a user's id, or service:<name>. Short for actor=….")]
Url = Annotated[str | None, typer.Option(help="NATS; else SWITCHBOARD_NATS_URL, else the one of `switchboard run`.")]
Seconds = Annotated[float, typer.Option("--timeout", help="How many seconds to wait for the answer.")]


@app.command()
def run(
    service: Annotated[str | None, typer.Argument(help=f"One of {', '.join(SERVICES)}; all when left out.")] = None,
) -> None:
    """Run Switchboard until Ctrl-C.

    All of it by default, with a PostgreSQL and a NATS of its own unless SWITCHBOARD_POSTGRES_URL and
    SWITCHBOARD_NATS_URL name others. Or one service, which needs both URLs.
    """
    settings = _settings()
    if service is not None:
        _become(service, settings)
    from shared.runtime.launcher import launch

    programs = {name: (sys.executable, "-m", module) for name, module in SERVICES.items()}
    raise typer.Exit(launch(settings, programs))


@app.command()
def command(
    account: Account,
    name: Annotated[str, typer.Argument(metavar="COMMAND", help="Such as ConnectTeam.")],
    fields: Fields = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = 10.0,
) -> None:
    """Give a command and print the reply.

    Exit code 0: accepted or unchanged; 1: refused; 2: wrong usage; 3: no answer (give it again with the same
    command_id, which is printed).

    Example: switchboard command acme ConnectTeam --actor ana address=support@acme.example inbox=support
    visibility_acknowledged:=true
    """
    body = _body(fields, actor)
    body.setdefault("command_id", new_id())
    reply = _ask(url, subjects.command(_token(account), _token(name)), body, seconds)
    raise typer.Exit(DONE if reply.get("outcome") in {"accepted", "unchanged"} else REFUSED)


@app.command()
def query(
    account: Account,
    name: Annotated[str, typer.Argument(metavar="QUESTION", help="Such as Address.")],
    fields: Fields = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = 35.0,
) -> None:
    """Ask a question and print the answer.

    Exit code 0: answered; 1: refused; 2: wrong usage; 3: no answer.

    Example: switchboard query acme Address --actor ana address=support@acme.example
    """
    reply = _ask(url, subjects.query(_token(account), _token(name)), _body(fields, actor), seconds)
    raise typer.Exit(REFUSED if "error" in reply else DONE)


def main() -> None:
    """The console script `switchboard`."""
    app()


def _ask(url: str | None, subject: str, body: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    from shared.runtime.asking import NoAnswer, ask

    try:
        reply = asyncio.run(ask(url or _settings().nats_url_to_ask(), subject, body, seconds))
    except NoAnswer as error:
        given = f" (command_id {body['command_id']})" if "command_id" in body else ""
        _fail(f"{error}{given}", NO_ANSWER)
    typer.echo(json.dumps(reply, indent=2, ensure_ascii=False))
    return reply if isinstance(reply, dict) else {}


def _body(fields: list[str] | None, actor: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {} if actor is None else {"actor": actor}
    for field in fields or []:
        key, equals, value = field.partition("=")
        if not equals or not key.rstrip(":"):
            raise typer.BadParameter(f"{field!r} is neither key=value nor key:=json")
        body[key.removesuffix(":")] = _json(key, value) if key.endswith(":") else value
    return body


def _json(key: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError as error:
        raise typer.BadParameter(f"{key}={value} is not JSON: {error}; {key.removesuffix(':')}=… sends text") from error


def _token(text: str) -> str:
    """A part of a subject; what else may not stand there is the service's to refuse."""
    if not text or any(character in " \t\r\n.*>" for character in text):
        raise typer.BadParameter(f"{text!r} cannot be part of a subject")
    return text


def _become(service: str, settings: Settings) -> NoReturn:
    """This process becomes the service, so that signals and the exit code are the service's own."""
    if service not in SERVICES:
        _fail(f"There is no service {service!r}; there are {', '.join(SERVICES)}.", USAGE)
    if settings.nats_url is None or settings.postgres_url is None:
        _fail(
            f"{service} needs a NATS and a PostgreSQL that run already: set SWITCHBOARD_NATS_URL and "
            "SWITCHBOARD_POSTGRES_URL. `switchboard run` alone starts everything.",
            USAGE,
        )
    os.execv(sys.executable, [sys.executable, "-m", SERVICES[service]])  # noqa: S606  no shell is wanted


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"SWITCHBOARD_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        _fail(f"Wrong setting: {problems}", USAGE)


def _fail(message: str, code: int) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
