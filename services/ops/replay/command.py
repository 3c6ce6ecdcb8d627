"""`switchboard audit replay`: publish a range of the event log again, under the name of a replay, for consumers.

The log is read from PostgreSQL, the messages go to a stream of their own on NATS. No service has to run.
"""

from typing import Final

import typer

from services.ops.audit.options import Actor, From, To
from services.ops.audit.request import default_actor
from services.ops.moments import moment
from services.ops.replay import options as o
from services.ops.replay.request import StartRequest
from services.ops.terminal import Json, Url, Yes

EXIT_CODES: Final = (
    "Exit code 0: finished, done; 1: refused, or stopped before the end; 2: wrong usage; 3: no answer; 130: paused."
)

app = typer.Typer(
    help="Publish a range of the event log again, on subjects of its own, for new consumers and those that missed it.",
    no_args_is_help=True,
    epilog=EXIT_CODES,
)


@app.command()
def start(
    name: o.OptionalName = None,
    from_: From = None,
    to: To = None,
    account: o.OneAccount = None,
    types: o.Types = None,
    speed: o.SpeedText = o.SPEED,
    reason: o.ReasonText = None,
    forced: o.Forced = False,
    suffix: o.Suffix = None,
    actor: Actor = None,
    url: Url = None,
    postgres: o.Postgres = None,
    as_json: Json = False,
) -> None:
    """Start a replay and publish it until its end, on switchboard.replay.v1.NAME.>, never on the live subjects.

    Both ends of the range are part of it; without them it is the whole log as it is now. Ctrl-C pauses it.

    Example: switchboard audit replay start crm-2026 --from 2026-01-01T00:00:00Z --account acme --speed 500/s
    """
    request = StartRequest(
        name=o.name_of(name, suffix),
        from_=None if from_ is None else moment(from_),
        to=None if to is None else moment(to),
        account=o.account_of(account),
        types=o.types_of(types),
        speed=o.speed(speed),
        reason=o.reason_text(reason),
        forced=forced,
        started_by=o.actor_of(actor or default_actor()),
    )
    from services.ops.replay import verbs

    verbs.start(request, url, postgres, as_json=as_json)


@app.command()
def resume(
    name: o.Name,
    speed: o.AnotherSpeed = None,
    url: Url = None,
    postgres: o.Postgres = None,
    as_json: Json = False,
) -> None:
    """Publish the rest of a replay that was paused or interrupted.

    Example: switchboard audit replay resume crm-2026 --speed 50/s
    """
    found, chosen = o.name_of(name), None if speed is None else o.speed(speed)
    from services.ops.replay import verbs

    verbs.resume(found, chosen, url, postgres, as_json=as_json)


@app.command()
def pause(name: o.Name, url: Url = None, as_json: Json = False) -> None:
    """Pause a replay that another process publishes; that process ends."""
    found = o.name_of(name)
    from services.ops.replay import verbs

    verbs.pause(found, url, as_json=as_json)


@app.command()
def stop(name: o.Name, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """End a replay for good; its last message says that it is not complete."""
    found = o.name_of(name)
    if not yes:
        typer.confirm(f"A stopped replay cannot be resumed. Stop {found}?", abort=True, err=True)
    from services.ops.replay import verbs

    verbs.stop(found, url, as_json=as_json)


@app.command("list")
def list_(url: Url = None, as_json: Json = False) -> None:
    """List all replays: status, range, progress, and the space that they take."""
    from services.ops.replay import verbs

    verbs.list_all(url, as_json=as_json)


@app.command()
def show(name: o.Name, url: Url = None, as_json: Json = False) -> None:
    """Show one replay: what it publishes, how far it is, count and digest."""
    found = o.name_of(name)
    from services.ops.replay import verbs

    verbs.show(found, url, as_json=as_json)


@app.command()
def remove(name: o.Name, yes: Yes = False, url: Url = None, as_json: Json = False) -> None:
    """Remove all messages of a replay that was read, to free the space and the name."""
    found = o.name_of(name)
    if not yes:
        question = f"Consumers that have not read {found} to its end lose the rest. Remove it?"
        typer.confirm(question, abort=True, err=True)
    from services.ops.replay import verbs

    verbs.remove(found, url, as_json=as_json)
