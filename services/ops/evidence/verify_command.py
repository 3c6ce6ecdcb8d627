"""`switchboard audit verify`: whether anybody changed the log, the stream, or the rows that answer questions."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from services.ops.audit.layout import WithoutPadding, block
from services.ops.evidence.options import Checkpoints, Evidence, Keys, PostgresUrl, StampRoots, where
from services.ops.postgres_url import postgres_url
from services.ops.terminal import DONE, NO_ANSWER, REFUSED, USAGE, Json, Url, err, fail, out, print_json, settings

if TYPE_CHECKING:
    from rich.console import RenderableType

    from services.ops.evidence.verify import LogToVerify

EXIT_CODES: Final = "Exit code 0: sound; 1: findings; 2: wrong usage; 3: something could not be read."

OnStep = Callable[[str, int, int], None]


class Part(StrEnum):
    """Parts of a verification."""

    LOG = "log"
    STREAM = "stream"
    VIEWS = "views"


From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT",
        help="A checkpoint that you trust, kept elsewhere: only rows after it are read. One for each tree.",
    ),
]
Only = Annotated[
    list[Part] | None,
    typer.Option(help="Verify this part only; may be repeated. Default: all, and with --from the log."),
]


class Result:
    """The result of a part: for scripts, for people, and whether there were findings or nothing could be read."""

    def __init__(self, json: Any, blocks: "Sequence[RenderableType]", *, found: bool, not_read: bool = False) -> None:
        self.json = json
        self.blocks = blocks
        self.found = found
        self.not_read = not_read


def verify(
    from_: From = None,
    checkpoint: Checkpoints = None,
    only: Only = None,
    evidence: Evidence = None,
    key: Keys = None,
    postgres: PostgresUrl = None,
    url: Url = None,
    stamp_roots: StampRoots = None,
    as_json: Json = False,
) -> None:
    """Verify that nobody changed the log: every stored event, and every command with its outcome.

    Computes both trees again from the stored bytes, and compares them with the tiles and checkpoints of the evidence.

    Then compares the stream, the live rows of the views and their histories with the log, event by event, row by row.

    Somebody with database, evidence and signing key can rewrite all three: a checkpoint kept elsewhere shows that.

    Example: switchboard audit verify --checkpoint monday/events --checkpoint monday/journal
    """
    # Imported late: they load the driver, which the command line does not need otherwise.
    from services.ops.evidence.heads import WrongInputError
    from services.ops.evidence.verify import LogToVerify

    parts = set(only or ((Part.LOG,) if from_ else Part))
    postgres = postgres_url(postgres)
    nats = url or settings().nats_url_to_ask()
    log = LogToVerify(
        postgres, where(evidence), tuple(key or ()), tuple(checkpoint or ()), tuple(from_ or ()), stamp_roots
    )
    work: dict[Part, Callable[[OnStep], Result]] = {
        Part.LOG: lambda on_step: _log(log, on_step),
        Part.STREAM: lambda on_step: _stream(nats, postgres, on_step),
        Part.VIEWS: lambda on_step: _views(postgres, on_step),
    }
    try:
        with _bars() as on_step:
            results = {part: do(on_step) for part, do in work.items() if part in parts}
    except WrongInputError as error:
        fail(str(error), USAGE)
    found = any(one.found for one in results.values())
    not_read = any(one.not_read for one in results.values())
    if as_json:
        verdict = "findings" if found else "not_read" if not_read else "sound"
        print_json(
            {"verdict": verdict, "trusted_keys": _whose(key), **{part: one.json for part, one in results.items()}}
        )
    else:
        _show(list(results.values()), found=found, not_read=not_read, keys_beside=Part.LOG in parts and not key)
    raise typer.Exit(REFUSED if found else NO_ANSWER if not_read else DONE)


def _show(results: Sequence[Result], *, found: bool, not_read: bool, keys_beside: bool) -> None:
    from services.ops.evidence.shown import ADVICE, KEYS_BESIDE

    for part in [part for one in results for part in one.blocks]:
        _print(part)
    if found:
        _print(block(Text("NOT SOUND.", style="bold red"), Text(ADVICE)))
    elif not_read:
        _print(block(Text("Not everything could be read; what was read is sound.", style="bold yellow")))
    else:
        _print(block(Text("Sound: no difference was found.", style="bold green")))
    if keys_beside:
        _print(block(Text(KEYS_BESIDE)))


def _print(part: "RenderableType") -> None:
    out.print(WithoutPadding(part), soft_wrap=False, end="")


def _log(log: "LogToVerify", on_step: OnStep) -> Result:
    from services.ops.evidence.shown import show_trees
    from services.ops.evidence.sources import EvidenceUnavailableError
    from services.ops.evidence.tree_process import NotReadError
    from services.ops.evidence.verify import verify_log

    try:
        reports = verify_log(log, on_step)
    except (NotReadError, EvidenceUnavailableError) as error:
        return _unread("Log", str(error))
    return Result(
        [one.to_json() for one in reports], list(show_trees(reports)), found=any(one.findings for one in reports)
    )


def _stream(nats: str, postgres: str, on_step: OnStep) -> Result:
    from services.ops.evidence.shown import show_stream
    from services.ops.evidence.stream_check import check_stream
    from services.ops.evidence.tree_process import NotReadError

    try:
        report = asyncio.run(check_stream(nats, postgres, lambda done, end: on_step("stream", done, end)))
    except NotReadError as error:
        return _unread("Stream", str(error))
    return Result(report.to_json(), [show_stream(report)], found=bool(report.findings))


def _views(postgres: str, on_step: OnStep) -> Result:
    from services.ops.evidence.shown import show_views
    from services.ops.evidence.views_check import check_views

    reports = check_views(postgres, on_step)
    return Result(
        [one.to_json() for one in reports],
        [show_views(reports)],
        found=not all(one.same for one in reports),
        not_read=any(one.not_read for one in reports),
    )


def _unread(title: str, why: str) -> Result:
    text = block(Text(title, style="bold"), Text(f"  not read: {why}", style="yellow"))
    return Result({"not_read": why}, [text], found=False, not_read=True)


def _whose(keys: list[str] | None) -> str:
    return "given" if keys else "beside_the_evidence"


@contextmanager
def _bars() -> Iterator[OnStep]:
    """A bar for each tree, the stream and each view, on a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def on_step(name: str, rows: int, end: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=max(end, 1), rate="")
            speed = next(task.speed for task in progress.tasks if task.id == tasks[name])
            progress.update(tasks[name], completed=rows, rate=f"{speed:,.0f} a second" if speed else "")

        yield on_step
