"""`switchboard audit verify`: whether anybody changed the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from services.ops.audit.layout import WithoutPadding
from services.ops.evidence.options import Checkpoints, Evidence, Keys, PostgresUrl, postgres_url, where
from services.ops.terminal import DONE, NO_ANSWER, REFUSED, USAGE, Json, err, fail, out, print_json

if TYPE_CHECKING:
    from services.ops.evidence.tree_process import OnStep

EXIT_CODES: Final = "Exit code 0: sound; 1: findings; 2: wrong usage; 3: something could not be read."

From = Annotated[
    list[str] | None,
    typer.Option(
        "--from",
        metavar="CHECKPOINT",
        help="A checkpoint that you trust, kept elsewhere: only rows after it are read. One for each tree.",
    ),
]


def verify(
    from_: From = None,
    checkpoint: Checkpoints = None,
    evidence: Evidence = None,
    key: Keys = None,
    url: PostgresUrl = None,
    as_json: Json = False,
) -> None:
    """Verify that nobody changed the log: every stored event, and every command with its outcome.

    Computes both trees again from the stored bytes, and compares them with the tiles and checkpoints of the evidence.

    Somebody with database, evidence and signing key can rewrite all three: a checkpoint kept elsewhere shows that.

    Example: switchboard audit verify --checkpoint monday/events --checkpoint monday/journal
    """
    # Imported late: they load the driver, which the command line does not need otherwise.
    from services.ops.evidence.heads import WrongInputError
    from services.ops.evidence.shown import show_trees
    from services.ops.evidence.sources import EvidenceUnavailableError
    from services.ops.evidence.tree_process import NotReadError
    from services.ops.evidence.verify import LogToVerify, verify_log

    log = LogToVerify(postgres_url(url), where(evidence), tuple(key or ()), tuple(checkpoint or ()), tuple(from_ or ()))
    try:
        with _bars() as on_step:
            reports = verify_log(log, on_step)
    except WrongInputError as error:
        fail(str(error), USAGE)
    except (NotReadError, EvidenceUnavailableError) as error:
        if as_json:
            print_json({"verdict": "not_read", "why": str(error)})
        fail(str(error), NO_ANSWER)
    found = any(one.findings for one in reports)
    if as_json:
        trees = [one.to_json() for one in reports]
        print_json({"verdict": "findings" if found else "sound", "trusted_keys": _whose(key), "trees": trees})
    else:
        for part in show_trees(reports, keys_beside=not key):
            out.print(WithoutPadding(part), soft_wrap=False, end="")
    raise typer.Exit(REFUSED if found else DONE)


def _whose(keys: list[str] | None) -> str:
    return "given" if keys else "beside_the_evidence"


@contextmanager
def _bars() -> "Iterator[OnStep]":
    """A bar for each tree, on a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def on_step(tree: str, rows: int, end: int) -> None:
            if tree not in tasks:
                tasks[tree] = progress.add_task(tree, total=max(end, 1), rate="")
            speed = progress.tasks[tasks[tree]].speed
            progress.update(tasks[tree], completed=rows, rate=f"{speed:,.0f} a second" if speed else "")

        yield on_step
