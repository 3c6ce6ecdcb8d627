"""`switchboard audit`: who did what, what was refused, and who could read and send.

Each verb asks one question of the audit service over NATS, and shows the answer for people or as JSON.
"""

from typing import Annotated, Any, Final

import typer

from services.ops.audit import access as accesses
from services.ops.audit import coverage as reach
from services.ops.audit import difference, evidence, story
from services.ops.audit import trace as traces
from services.ops.audit.options import (
    SECONDS,
    Account,
    Actor,
    Address,
    At,
    CommandName,
    From,
    GivenBy,
    Inbox,
    Limit,
    OneUser,
    ReasonName,
    Seconds,
    Team,
    To,
    User,
)
from services.ops.audit.request import Asker, ask, ask_all
from services.ops.moments import moment
from services.ops.send import Fields, QuestionName, body_of
from services.ops.strict_json import parsed
from services.ops.terminal import Json, Url
from shared.language import audit

EXIT_CODES: Final = "Exit code 0: answered; 1: refused; 2: wrong usage; 3: no answer."

app = typer.Typer(
    help=(
        "Ask about the past: who did what, what was refused, who could read and send. Every question is on record. "
        "A moment is a time, or a position: all events of the log are numbered 1, 2, 3 …"
    ),
    no_args_is_help=True,
    epilog=EXIT_CODES,
)
app.add_typer(evidence.app, name="evidence")


@app.command()
def timeline(
    account: Account,
    address: Address = None,
    inbox: Inbox = None,
    user: User = None,
    team: Team = None,
    from_: From = None,
    to: To = None,
    given_by: GivenBy = None,
    unchanged: Annotated[bool, typer.Option("--unchanged", help="Also attempts that changed nothing.")] = False,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Show everything that happened to one address, inbox, user, team or the account, oldest first.

    Refused attempts are part of it.

    Example: switchboard audit timeline acme --address support@acme.example
    """
    fields = {
        **_thing(address, inbox, user, team),
        **_range(from_, to),
        "given_by": given_by,
        "unchanged": unchanged or None,
    }
    ask_all(Asker(account, actor, url, seconds, as_json), audit.Timeline, fields, limit, story.timeline)


@app.command()
def trace(
    account: Account,
    command_id: Annotated[str | None, typer.Option(help="The id of a command.")] = None,
    correlation_id: Annotated[str | None, typer.Option(help="The id that several commands have in common.")] = None,
    event_id: Annotated[str | None, typer.Option(help="The id of an event, ce-id.")] = None,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Follow commands: as they were given, the outcome, the events, and when each view had them.

    Example: switchboard audit trace acme --command-id 0198c0de-0000-7000-8000-000000000001
    """
    fields = {"command_id": command_id, "correlation_id": correlation_id, "event_id": event_id}
    ask_all(Asker(account, actor, url, seconds, as_json), audit.Trace, fields, limit, traces.trace)


@app.command()
def refusals(
    account: Account,
    reason: ReasonName = None,
    command: CommandName = None,
    address: Address = None,
    given_by: GivenBy = None,
    from_: From = None,
    to: To = None,
    today: Annotated[bool, typer.Option("--today", help="Try each command again, as a dry run.")] = False,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Show the refused attempts: how many by reason and command, then each of them.

    Example: switchboard audit refusals acme --address bob@acme.example --today
    """
    fields = {
        "reason": reason,
        "command": command,
        "address": address,
        "given_by": given_by,
        **_range(from_, to),
        "today": today or None,
    }
    ask_all(Asker(account, actor, url, seconds, as_json), audit.Refusals, fields, limit, story.refusals)


@app.command()
def access(
    account: Account,
    address: Address = None,
    inbox: Inbox = None,
    at: At = None,
    from_: From = None,
    to: To = None,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Show who could read, send from or administer an address or an inbox: since when, until when, by which rule.

    Example: switchboard audit access acme --address support@acme.example --at 2026-03-03T09:15:00+01:00
    """
    fields = {"address": address, "inbox": inbox, "at": _moment(at), **_range(from_, to)}
    ask_all(
        Asker(account, actor, url, seconds, as_json), audit.Access, fields, limit, accesses.of_place, accesses.count
    )


@app.command("access-of")
def access_of(
    account: Account,
    user: OneUser,
    at: At = None,
    from_: From = None,
    to: To = None,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Show what a user could read, send from or administer: since when, until when, by which rule.

    Example: switchboard audit access-of acme --user bob --from 2026-01-01T00:00:00Z
    """
    fields = {"user": user, "at": _moment(at), **_range(from_, to)}
    ask_all(
        Asker(account, actor, url, seconds, as_json), audit.AccessOf, fields, limit, accesses.of_user, accesses.count
    )


@app.command()
def changes(
    account: Account,
    from_: From = None,
    to: To = None,
    address: Address = None,
    inbox: Inbox = None,
    user: User = None,
    team: Team = None,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Compare two moments: what was added, removed or changed between them.

    Example: switchboard audit changes acme --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z
    """
    fields = {**_range(from_, to), **_thing(address, inbox, user, team)}
    ask_all(Asker(account, actor, url, seconds, as_json), audit.Changes, fields, limit, difference.changes)


@app.command()
def bisect(
    account: Account,
    name: QuestionName,
    fields: Fields = None,
    path: Annotated[str, typer.Option(help="Where in the answer, as a JSON pointer: /state.")] = "",
    value: Annotated[str | None, typer.Option(help="The value, as text.")] = None,
    value_json: Annotated[str | None, typer.Option(help="The value as JSON: a number, true, null, a list.")] = None,
    from_: From = None,
    to: To = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Find the first moment at which a value in an answer was so, and the event that did it.

    Example: switchboard audit bisect acme Address address=bob@acme.example --path /state --value orphaned
    """
    if (value is None) == (value_json is None):
        raise typer.BadParameter("give --value TEXT or --value-json JSON")
    wanted = {
        "question": name,
        "fields": body_of(fields, None),
        "path": path,
        "value": value if value_json is None else _json(value_json),
        **_range(from_, to),
    }
    asker = Asker(account, actor, url, seconds, as_json)
    ask(asker, audit.Bisect, wanted, difference.bisected, difference.search_further)


@app.command()
def leavers(
    account: Account,
    from_: From = None,
    to: To = None,
    hours: Annotated[int | None, typer.Option(min=0, help="The limit for the last access to end. Default: 24.")] = None,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Show who left, and how many hours later their last access ended. Those over the limit come first.

    Example: switchboard audit leavers acme --from 2026-01-01T00:00:00Z --hours 8
    """
    fields = {**_range(from_, to), "hours": hours}
    ask_all(Asker(account, actor, url, seconds, as_json), audit.Leavers, fields, limit, accesses.leavers)


@app.command()
def about(
    account: Account,
    user: OneUser,
    limit: Limit = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Show everything held about a person: facts, attempts, and who asked the audit about them.

    Example: switchboard audit about acme --user bob
    """
    ask_all(Asker(account, actor, url, seconds, as_json), audit.About, {"user": user}, limit, story.about)


@app.command()
def coverage(
    account: Account, actor: Actor = None, url: Url = None, seconds: Seconds = SECONDS, as_json: Json = False
) -> None:
    """Show how far the answers and their proof reach, clocks that ran back, and events that could not be applied.

    Example: switchboard audit coverage acme
    """
    ask(Asker(account, actor, url, seconds, as_json), audit.Coverage, {}, reach.coverage)


def _thing(address: str | None, inbox: str | None, user: str | None, team: str | None) -> dict[str, Any]:
    return {"address": address, "inbox": inbox, "user": user, "team": team}


def _range(from_: str | None, to: str | None) -> dict[str, Any]:
    return {"from": _moment(from_), "to": _moment(to)}


def _moment(text: str | None) -> int | str | None:
    return None if text is None else moment(text)


def _json(text: str) -> Any:
    try:
        return parsed(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text} is not JSON: {error}; --value sends text") from error
