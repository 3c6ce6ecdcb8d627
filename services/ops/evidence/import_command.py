"""`switchboard audit import`: a bundle into an empty PostgreSQL, after it was verified."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from services.ops.evidence import verify_bundle
from services.ops.evidence.options import PostgresUrl
from services.ops.postgres_url import postgres_url
from services.ops.printable import printable
from services.ops.terminal import INTERRUPTED, NO_ANSWER, REFUSED, USAGE, Json, err, fail, out, print_json

EXIT_CODES: Final = (
    "Exit code 0: imported; 1: the bundle was changed, or PostgreSQL has a log; 2: wrong usage; 3: the bundle or "
    "PostgreSQL could not be read."
)
# The event store belongs to the package of the writers, so it has the process that imports.
PROGRAM: Final = (sys.executable, "-m", "services.connections.app", "import")

Bundle = Annotated[Path, typer.Argument(metavar="FOLDER", help="A bundle of `audit export`, without filters.")]
KeyFiles = Annotated[
    Path | None,
    typer.Option(
        "--keys", metavar="FILE", help="Verifier keys that you trust, one a line. Default: those of the bundle."
    ),
]


def import_(bundle: Bundle, keys: KeyFiles = None, postgres: PostgresUrl = None, as_json: Json = False) -> None:
    """Import a whole log from a bundle into an empty PostgreSQL: same positions, same bytes, same roots.

    The bundle is verified first. The role has to own the event store, or be an administrator. Stop all services before.
    An import that was interrupted leaves nothing.

    Example: switchboard audit import march --postgres postgresql://postgres@new-host/switchboard
    """
    try:
        report = _verified(bundle, keys)
        outcome = _imported(bundle.absolute(), report.manifest, postgres_url(postgres))
    except KeyboardInterrupt:
        fail("Stopped. Nothing was imported.", INTERRUPTED)
    if "no_answer" in outcome:
        fail(f"No PostgreSQL: {outcome['no_answer']}. Nothing was imported.", NO_ANSWER)
    if "refused" in outcome:
        fail(f"{outcome['refused']} Nothing was imported.", REFUSED)
    trees = report.manifest["trees"]
    if as_json:
        print_json({"log": report.manifest["log"], "trees": trees})
        return
    for line in _summary(bundle, report.manifest["log"], trees):
        out.print(Text(printable(line)))


def _verified(bundle: Path, keys: Path | None) -> verify_bundle.Report:
    """Return the report of a bundle that has everything, and in which nothing was changed."""
    if not bundle.is_dir():
        fail(f"There is no folder {bundle}.", USAGE)
    try:
        trusted = None if keys is None else keys.read_text().splitlines()
        with err.status("Verifying the bundle …"):
            report = verify_bundle.check(bundle, trusted)
    except (verify_bundle.NotCheckedError, OSError, ValueError) as error:
        fail(f"The bundle could not be verified: {error}.", NO_ANSWER)
    if not report.sound:
        findings = "\n".join(report.lines())
        fail(f"{findings}\nThe bundle was changed. Nothing was imported.", REFUSED)
    if not all(tree.complete for tree in report.trees):
        fail("The bundle is an extract; a log is imported as a whole. Export it without filters.", REFUSED)
    return report


def _imported(bundle: Path, manifest: Mapping[str, Any], url: str) -> Mapping[str, Any]:
    """Run the import, and return its last line."""
    arguments = {"bundle": str(bundle), "log": manifest["log"], "trees": manifest["trees"]}
    environment = {**os.environ, "SWITCHBOARD_POSTGRES_URL": url}
    outcome: Mapping[str, Any] = {}
    with (
        _progress() as on_step,
        subprocess.Popen(  # noqa: S603  our own program
            (*PROGRAM, json.dumps(arguments)), env=environment, stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            outcome = json.loads(line)
            if "step" in outcome:
                on_step(outcome["step"])
    if process.returncode not in {0, REFUSED, NO_ANSWER} or "step" in outcome or not outcome:
        return {"refused": f"The import ended with code {process.returncode}."}
    return outcome


@contextmanager
def _progress() -> Iterator[Callable[[Mapping[str, Any]], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def on_step(step: Mapping[str, Any]) -> None:
            progress.update(task, description=step["phase"], completed=step["done"], total=step["end"] or None)

        yield on_step


def _summary(bundle: Path, log: str, trees: Mapping[str, Any]) -> Sequence[str]:
    return [
        f"Imported {bundle}:",
        f"  {trees['events']['size']:,} events and {trees['journal']['size']:,} entries of the command journal",
        f"  log {log}, with the same positions, ordinals and bytes",
        "Both roots, made again from the rows in PostgreSQL, are those that were signed:",
        *(f"  {name}  {trees[name]['root']}" for name in ("events", "journal")),
        "The services can start: views, histories and the stream are made from the log.",
    ]
