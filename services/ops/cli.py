"""The command line: run Switchboard, give commands, ask questions, load files, and operate it."""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Annotated, Final, NoReturn

import typer

from services.ops import config, demo, describe, send, streams
from services.ops.audit import command as audit
from services.ops.contract import command as contract
from services.ops.evidence import (
    export_command,
    import_command,
    proof_commands,
    report_command,
    stamp_command,
    verify_command,
    witness_command,
)
from services.ops.loading import command as loading
from services.ops.loading import directory_command
from services.ops.replay import command as replay
from services.ops.terminal import INTERRUPTED, USAGE, fail, settings
from services.ops.views import command as views
from shared import __version__
from shared.process.settings import Settings

SERVICES: Final[Mapping[str, str]] = {
    "connections": "services.connections.app",
    "relay": "services.relay.app",
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
    "audit": "services.audit.app",
}

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        typer.echo(__version__)
        raise typer.Exit


def _services(incomplete: str) -> list[str]:
    return [name for name in SERVICES if name.startswith(incomplete)]


@app.callback()
def switchboard(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Which e-mail address is connected to whom, as what, and where does its mail go?"""


@app.command()
def run(
    service: Annotated[
        str | None,
        typer.Argument(help=f"One of {', '.join(SERVICES)}. Default: all.", autocompletion=_services),
    ] = None,
) -> None:
    """Run Switchboard until Ctrl-C.

    By default it runs all services, and starts its own PostgreSQL and NATS unless SWITCHBOARD_POSTGRES_URL and
    SWITCHBOARD_NATS_URL name others. A single service needs both URLs.
    """
    held = settings()
    if service is not None:
        _become(service, held)
    from services.ops.local.launcher import launch

    programs = {name: (sys.executable, "-m", module) for name, module in SERVICES.items()}
    raise typer.Exit(launch(held, programs))


app.command()(send.command)
app.command()(send.query)
app.command()(describe.describe)
app.command()(demo.demo)
app.command()(loading.load)
app.command()(directory_command.load_directory)
app.command()(streams.streams)
audit.app.command(epilog=verify_command.EXIT_CODES)(verify_command.verify)
audit.app.command(epilog=stamp_command.EXIT_CODES)(stamp_command.stamp)
for _verb in (proof_commands.prove, proof_commands.check_proof, proof_commands.consistency):
    audit.app.command(epilog=proof_commands.EXIT_CODES)(_verb)
audit.app.command(epilog=export_command.EXIT_CODES)(export_command.export)
audit.app.command("import", epilog=import_command.EXIT_CODES)(import_command.import_)
audit.app.add_typer(witness_command.app, name="witness")
audit.app.add_typer(report_command.app, name="report")
audit.app.add_typer(replay.app, name="replay")
app.add_typer(audit.app, name="audit")
app.add_typer(views.app, name="views")
app.add_typer(config.app, name="config")
app.add_typer(contract.app, name="contract")


def main() -> None:
    """The console script `switchboard`."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        # The exit code is final. Another Ctrl-C while Python shuts down must not replace it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _become(service: str, held: Settings) -> NoReturn:
    """Replace this process by the service, which then handles signals and sets the exit code."""
    if service not in SERVICES:
        fail(f"Unknown service {service!r}. Services: {', '.join(SERVICES)}.", USAGE)
    if held.nats_url is None or held.postgres_url is None:
        fail(
            f"{service} needs a running NATS and PostgreSQL: set SWITCHBOARD_NATS_URL and SWITCHBOARD_POSTGRES_URL. "
            "`switchboard run` without a service starts everything.",
            USAGE,
        )
    os.execv(sys.executable, [sys.executable, "-m", SERVICES[service]])  # noqa: S606  no shell is wanted


if __name__ == "__main__":
    main()
