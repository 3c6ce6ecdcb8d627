"""`switchboard command` and `switchboard query`: send any command or question, and print the reply."""

import json
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.text import Text

from services.ops import render
from services.ops.moments import moment
from services.ops.question_errors import in_words_of_options
from services.ops.strict_json import DuplicateKeyError, parsed
from services.ops.terminal import DONE, INTERRUPTED, REFUSED, Json, Url, done, err, print_json, switchboard_at
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.questions import ListQuestion
from shared.language.subjects import TOKEN
from shared.process.clock import new_id

FIELDS: Final = "key=value sends text; key:=json sends JSON: a number, true, a list or an object."


def _commands(incomplete: str) -> Iterable[str]:
    return [name for name in COMMANDS if name.lower().startswith(incomplete.lower())]


def _questions(incomplete: str) -> Iterable[str]:
    return [name for name in QUESTIONS if name.lower().startswith(incomplete.lower())]


def _fields(context: typer.Context, incomplete: str) -> Iterable[str]:
    """The fields of the message that the command line does not have yet."""
    message = (COMMANDS | QUESTIONS).get(context.params.get("name") or "")
    if message is None or "=" in incomplete:
        return []
    given = {field.partition("=")[0].rstrip(":") for field in context.params.get("fields") or ()}
    return [f"{name}=" for name in message.model_fields if name not in given and name.startswith(incomplete)]


Account = Annotated[str, typer.Argument(help="For example acme.")]
CommandName = Annotated[
    str, typer.Argument(metavar="COMMAND", help="For example ConnectTeam.", autocompletion=_commands)
]
QuestionName = Annotated[
    str, typer.Argument(metavar="QUESTION", help="For example Address.", autocompletion=_questions)
]
Fields = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help=FIELDS, autocompletion=_fields)]
Actor = Annotated[str | None, typer.Option(help="The user who asks, by id, or service:<name>. Same as actor=…")]
AsOf = Annotated[
    str | None,
    typer.Option(metavar="MOMENT", help="A position, or a time such as 2026-03-03T09:00:00+01:00. Default: now."),
]
Seconds = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the reply.")]


def command(
    account: Account,
    name: CommandName,
    fields: Fields = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = 10.0,
    as_json: Json = False,
) -> None:
    """Give a command and print its outcome.

    Exit code 0: accepted or unchanged; 1: refused; 2: wrong usage; 3: no answer.
    After 3, give it again with the printed command_id; it takes effect once.

    Example: switchboard command acme ConnectTeam --actor ana address=support@acme.example inbox=support
    visibility_acknowledged:=true
    """
    body = body_of(fields, actor)
    body.setdefault("command_id", new_id())
    try:
        reply = done(_request(url, token(account), "command", token(name), body, seconds))
    except typer.Exit as ended:
        if ended.exit_code == INTERRUPTED:
            err.print(f"No answer yet; it may take effect. Give it again with command_id={body['command_id']}")
        raise
    if as_json:
        print_json(reply)
    else:
        render.reply(name, reply)
        _print_suggestion(name, reply.get("reason") == "COMMAND_UNKNOWN", COMMANDS)
        _print_field_help(COMMANDS.get(name), body, reply)
    raise typer.Exit(DONE if reply.get("outcome") in {"accepted", "unchanged"} else REFUSED)


def query(
    account: Account,
    name: QuestionName,
    fields: Fields = None,
    actor: Actor = None,
    as_of: AsOf = None,
    url: Url = None,
    seconds: Seconds = 35.0,
    as_json: Json = False,
) -> None:
    """Ask a question and print the answer, now or as of a moment in the past.

    Exit code 0: answered; 1: refused; 2: wrong usage; 3: no answer.

    Example: switchboard query acme Address --actor ana address=support@acme.example
    --as-of 2026-03-03T09:00:00+01:00
    """
    body = body_of(fields, actor)
    if as_of is not None:
        body["as_of"] = moment(as_of)
    reply = done(_request(url, token(account), "query", token(name), body, seconds))
    if as_json:
        print_json(reply)
    else:
        shown = reply if as_of is None else in_words_of_options(reply, ["--as-of"], _typed)
        render.answer(shown, is_list=issubclass(QUESTIONS.get(name, object), ListQuestion) and "after" not in body)
        _print_suggestion(name, reply.get("error") == "QUERY_UNKNOWN", QUESTIONS)
        _print_field_help(QUESTIONS.get(name), body, reply)
    raise typer.Exit(REFUSED if "error" in reply else DONE)


def _typed(error: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**error, "field": "--as-of"} if error["field"] == "as_of" else error


async def _request(
    url: str | None, account: str, kind: str, name: str, body: dict[str, Any], seconds: float
) -> dict[str, Any]:
    from shared.language import subjects

    subject = (subjects.command if kind == "command" else subjects.query)(account, name)
    async with switchboard_at(url, seconds) as switchboard:
        with err.status(Text(f"Waiting for the reply to {name} …")):
            reply: dict[str, Any] = await switchboard.request(subject, body)
            return reply


def _print_suggestion(name: str, unknown: bool, names: Iterable[str]) -> None:
    if unknown:
        err.print(suggestion(name, names), markup=False)


def _print_field_help(message: type[BaseModel] | None, body: Mapping[str, Any], reply: Mapping[str, Any]) -> None:
    """Print suggestions for the invalid fields."""
    if message is None:
        return
    errors = (reply.get("details") or {}).get("errors") or ()
    for field in dict.fromkeys(str(error["field"]).partition(".")[0] for error in errors):
        if field and field not in message.model_fields:
            err.print(f"{field}: {suggestion(field, message.model_fields)}", markup=False)
        elif meant := as_json_meant(message, field, body.get(field)):
            err.print(f"Write {shlex.quote(meant)}  (key=text, key:=json)", markup=False)


def as_json_meant(message: type[BaseModel], field: str, value: Any) -> str | None:
    """The JSON argument to use in place of a text argument, if one is valid."""
    if not isinstance(value, str) or field not in message.model_fields:
        return None
    field_type: TypeAdapter[Any] = TypeAdapter(message.model_fields[field].annotation or Any)
    candidates: list[Any] = [[value]]
    with suppress(ValueError):
        candidates.insert(0, parsed(value))
    for candidate in candidates:
        with suppress(ValidationError):
            field_type.validate_json(json.dumps(candidate), strict=True)
            return f"{field}:={json.dumps(candidate)}"
    return None


def suggestion(name: str, names: Iterable[str]) -> str:
    """The most similar names, or all of them."""
    by_lower = {one.lower(): one for one in names}
    near = get_close_matches(name.lower(), by_lower, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {' or '.join(by_lower[one] for one in near)}?"
    return f"Known names: {', '.join(by_lower.values())}."


def body_of(fields: list[str] | None, actor: str | None) -> dict[str, Any]:
    body: dict[str, Any] = {} if actor is None else {"actor": actor}
    for field in fields or []:
        key, equals, value = field.partition("=")
        if not equals or not key.rstrip(":"):
            raise typer.BadParameter(f"{field!r} is neither key=value nor key:=json")
        if key.removesuffix(":") in body:
            raise typer.BadParameter(f"{key.removesuffix(':')} is given twice")
        body[key.removesuffix(":")] = _json(key, value) if key.endswith(":") else value
    return body


def _json(key: str, value: str) -> Any:
    try:
        return parsed(value)
    except DuplicateKeyError as error:
        raise typer.BadParameter(f"{key}={value}: {error}") from error
    except ValueError as error:
        raise typer.BadParameter(f"{key}={value} is not JSON: {error}; {key.removesuffix(':')}=… sends text") from error


def token(text: str) -> str:
    """Check a part of a subject; the service checks the rest."""
    if not TOKEN.fullmatch(text):
        raise typer.BadParameter(f"{text!r} cannot be part of a subject")
    return text
