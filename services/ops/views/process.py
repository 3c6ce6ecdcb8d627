"""The process of a verb of `views`: its steps as they come, and its outcome in the last line."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from services.ops.postgres_url import postgres_url
from services.ops.terminal import INTERRUPTED, NO_ANSWER, REFUSED, USAGE, err, fail, print_json

VIEWS: Final[Mapping[str, str]] = {
    "inbox-views": "services.inbox_views.app",
    "routing": "services.routing.app",
    "audit": "services.audit.app",
}

WHERE: Final = (
    "Without --url and SWITCHBOARD_POSTGRES_URL, the command uses the PostgreSQL of `switchboard run` in "
    "SWITCHBOARD_DATA_DIR. Is Switchboard running?"
)

Name = Annotated[str, typer.Argument(metavar="VIEW", help=f"One of {', '.join(VIEWS)}.")]
Url = Annotated[
    str | None,
    typer.Option(help="URL of PostgreSQL. Default: SWITCHBOARD_POSTGRES_URL, or `switchboard run`'s."),
]


def do(name: str, verb: str, arguments: Mapping[str, Any], url: str | None, *, as_json: bool) -> Any:
    """Run the verb and return its result, printed as JSON if wanted."""
    done = ask(name, verb, arguments, url, as_json=as_json)
    if as_json:
        print_json(done)
    return done


def ask(name: str, verb: str, arguments: Mapping[str, Any], url: str | None, *, as_json: bool) -> Any:
    known = name.replace("_", "-")
    if known not in VIEWS:
        fail(f"Unknown view {name!r}. Views: {', '.join(VIEWS)}.", USAGE)
    with _bar() as step:
        outcome = outcome_of(known, verb, arguments, url, step)
    return done_of(outcome, as_json)


def done_of(outcome: Mapping[str, Any], as_json: bool) -> Any:
    """
    Raises:
        typer.Exit: it was refused, or nobody answered; both are output.
    """
    if "done" not in outcome:
        if as_json:
            print_json(outcome)
        fail(*_error(outcome))
    return outcome["done"]


def _error(outcome: Mapping[str, Any]) -> tuple[str, int]:
    if "no_answer" in outcome:
        # Imported late: it loads the driver, which the command line does not need otherwise.
        from shared.process.postgres import SETTINGS_NOT_APPLIED

        why = outcome["no_answer"]
        return (f"{why}." if why == SETTINGS_NOT_APPLIED else f"No PostgreSQL: {why}. {WHERE}"), NO_ANSWER
    if "interrupted" in outcome:
        return outcome["interrupted"], INTERRUPTED
    return outcome.get("refused") or outcome["failed"], REFUSED


OnProgress = Callable[[Mapping[str, Any]], None]


def outcome_of(
    name: str, verb: str, arguments: Mapping[str, Any], url: str | None, on_progress: OnProgress | None
) -> Mapping[str, Any]:
    """The last line printed by the process; `on_progress` receives the earlier ones."""
    argv = (sys.executable, "-m", VIEWS[name], "views", verb, json.dumps(dict(arguments)))
    # On a terminal, log lines would break the progress bar; they are printed if it fails.
    with (
        tempfile.TemporaryFile() as lines,
        _running(argv, url, lines if err.is_terminal else None) as (process, interrupted),
    ):
        outcome: Mapping[str, Any] = {}
        for line in _lines(process):
            outcome = json.loads(line)
            if on_progress and "step" in outcome:
                on_progress(outcome["step"])
        process.wait()
        if interrupted and process.returncode == -signal.SIGTERM:
            return {"interrupted": "Stopped before it started; nothing is left of it."}
        if process.returncode not in {0, REFUSED, NO_ANSWER} or "step" in outcome or not outcome:
            lines.seek(0)
            output = lines.read().decode(errors="replace")
            return {"failed": f"{output}{name}: `{verb}` ended with code {process.returncode}."}
        return outcome


@contextmanager
def _running(
    argv: Sequence[str], url: str | None, lines: IO[bytes] | None
) -> "Iterator[tuple[subprocess.Popen[bytes], list[int]]]":
    """The process, and the signals this one received; they are passed on, and the process is awaited to clean up."""
    environment = {**os.environ, "SWITCHBOARD_POSTGRES_URL": postgres_url(url)}
    process = subprocess.Popen(  # noqa: S603  our own program
        argv, stdout=subprocess.PIPE, stderr=lines, env=environment, start_new_session=True
    )
    with process, _handing_on(process) as asked:
        yield process, asked


@contextmanager
def _handing_on(process: "subprocess.Popen[bytes]") -> Iterator[list[int]]:
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, _frame: object) -> None:
        # A second signal would cut its clean-up short.
        if not asked:
            process.terminate()
        asked.append(number)

    former = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _lines(process: "subprocess.Popen[bytes]") -> Iterator[bytes]:
    assert process.stdout is not None
    return iter(process.stdout)


@contextmanager
def _bar() -> Iterator[OnProgress]:
    """Show steps on a terminal; elsewhere the log lines of the process show them."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} events/s, {task.fields[left]}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: list[TaskID] = []

        def on_progress(step: Mapping[str, Any]) -> None:
            if not tasks:
                tasks.append(progress.add_task("", total=None, rate="", left=""))
            left = "" if step["left"] is None else f"{step['left']:.0f} s left"
            progress.update(
                tasks[0],
                description=step["phase"],
                completed=step["position"],
                total=step["end"],
                rate=f"{step['per_second']:,}",
                left=left,
            )

        yield on_progress
