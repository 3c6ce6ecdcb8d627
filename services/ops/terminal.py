"""Shared by all verbs: exit codes, output, settings, and the connection to Switchboard."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn, TypeVar

import structlog
import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.text import Text

from services.ops.printable import LINE_BREAK, printable, printable_json
from shared.process.settings import Settings

if TYPE_CHECKING:
    from shared.client import Switchboard

# For scripts; usage errors are 2 by convention, 130 is Ctrl-C, and 141 a closed pipe, as by SIGPIPE.
DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
NO_ANSWER: Final = 3
INTERRUPTED: Final = 130
PIPE_CLOSED: Final = 141

REACH_SECONDS: Final = 3.0

Url = Annotated[
    str | None, typer.Option(help="URL of NATS. Default: SWITCHBOARD_NATS_URL, or that of `switchboard run`.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]


class _Output(Console):
    """Standard output; its reader may go away, as `head` does after its lines."""

    def on_broken_pipe(self) -> None:
        end_quietly()


out = _Output(soft_wrap=True, highlight=False)
err = Console(stderr=True, highlight=False)

T = TypeVar("T")


def print_json(value: Any, indent: int | None = 2) -> None:
    try:
        typer.echo(printable_json(json.dumps(value, indent=indent, ensure_ascii=False)))
    except BrokenPipeError:
        end_quietly()


def end_quietly() -> NoReturn:
    """End because nobody reads the output any more."""
    # Python would try to write the rest when it ends, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(PIPE_CLOSED)


def fail(message: str, code: int) -> NoReturn:
    typer.echo(printable(message, LINE_BREAK), err=True)
    raise typer.Exit(code)


def settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(f"SWITCHBOARD_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        fail(f"Invalid setting: {problems}", USAGE)


def done(work: Coroutine[Any, Any, T]) -> T:
    """Run it and return its result. Errors and Ctrl-C end the program with a message and their exit code.

    Settings are checked first.
    """
    from shared.client import (
        AuthenticationFailed,
        CommandRefused,
        ConnectionFailed,
        InvalidRequest,
        PermissionDenied,
        QuestionFailed,
        RequestTimeout,
    )

    # Errors are printed below; log lines would break tables and progress bars.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("shared").setLevel(logging.CRITICAL)
    try:
        settings()
    except typer.Exit:
        work.close()
        raise
    former = signal.getsignal(signal.SIGINT)
    try:
        return uvloop.run(_without_interrupt_at_the_end(work))
    except AuthenticationFailed as error:
        fail(f"{error}. Set SWITCHBOARD_NATS_NKEY_SEED, or a file of that name in SWITCHBOARD_SECRETS_DIR.", USAGE)
    except PermissionDenied as error:
        fail(f"{error}.", REFUSED)
    except ConnectionFailed as error:
        fail(f"{error}. Is Switchboard running (`switchboard run`)?", NO_ANSWER)
    except RequestTimeout as error:
        fail(f"{str(error)[:1].upper()}{str(error)[1:]}.", NO_ANSWER)
    except InvalidRequest as error:
        fail(f"Not sent: {error}.", USAGE)
    except (CommandRefused, QuestionFailed) as error:
        fail(f"{error}", REFUSED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGINT, former)


async def _without_interrupt_at_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Ignore Ctrl-C while the loop closes: it would print a traceback and lose the exit code."""
    try:
        return await work
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@asynccontextmanager
async def switchboard_at(url: str | None, timeout: float, advice: str = "") -> AsyncIterator["Switchboard"]:
    """Connect to the Switchboard at the URL, or on this machine; retry requests for `timeout` seconds.

    The first time that a request has no reply, it says so at once, with `advice`.
    """
    from shared.client import connect

    address, on_no_reply = url or settings().nats_url_to_ask(), _say_once(timeout, advice)
    async with connect(address, "switchboard-cli", timeout, REACH_SECONDS, on_no_reply) as switchboard:
        yield switchboard


def _say_once(timeout: float, advice: str) -> Callable[[str, str], None]:
    said = False

    def say(subject: str, cause: str) -> None:
        nonlocal said
        if not said:
            said = True
            text = f"No reply to {subject} yet ({cause}); asking again for up to {timeout:g} s. {advice}"
            err.print(Text(printable(text.strip())))

    return say
