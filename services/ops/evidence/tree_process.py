"""The check of one tree in a process of its own: both trees are compared at once, a core each."""

import gc
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Final

from services.ops.evidence.findings import Finding, Kind
from services.ops.evidence.sources import EvidenceUnavailableError, evidence_at
from services.ops.evidence.tree_check import GivenHead, TreeCheck
from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.process.postgres import PostgresError, reason_of
from shared.process.row_scan import RowScan, row_scan
from shared.transparency.checkpoints import Checkpoint, Tree
from shared.transparency.errors import TransparencyError
from shared.transparency.leaves import event_leaves, journal_leaves

STEP_SECONDS: Final = 0.2
# They are compared in the time in which processes start.
FEW: Final = 100_000
# No row has it as its leaf: the one of a row that no leaf can be written of, such as one without a state.
UNREADABLE: Final = b""


@dataclass(frozen=True)
class TreeJob:
    """
    Args:
        postgres_url: of the event store.
        place: of the evidence.
        size: of the tree that the tiles have; 0 without evidence.
        heads: those to compare with.
        start: the trusted head after which rows are compared; None for all rows.
    """

    tree: Tree
    postgres_url: str
    place: str
    size: int
    heads: tuple[GivenHead, ...]
    start: Checkpoint | None


@dataclass(frozen=True)
class TreeOutcome:
    """
    Args:
        rows: how many were compared.
        last: the largest position or ordinal.
        fitting: the heads that rows and tiles lead to, smallest first.
        findings, counts: as `Findings` has them.
    """

    tree: Tree
    rows: int
    last: int
    fitting: tuple[GivenHead, ...]
    findings: tuple[Finding, ...]
    counts: Mapping[Kind, int]
    seconds: float


class NotReadError(Exception):
    """The log or the evidence could not be read to the end; the message says why."""


# A tree, how many rows were compared, and how many there are.
OnStep = Callable[[Tree, int, int], None]


def check_trees(jobs: Sequence[TreeJob], on_step: OnStep, few: int = FEW) -> list[TreeOutcome]:
    """Check all trees: at once, or where the tiles have only a few rows to compare, one after the other.

    Raises:
        NotReadError: one could not be read.
    """
    if sum(job.size - (job.start.size if job.start else 0) for job in jobs) < few:
        return [check_tree(job, partial(on_step, job.tree)) for job in jobs]
    context = multiprocessing.get_context("spawn")
    outcomes: dict[Tree, TreeOutcome] = {}
    with ExitStack() as stack:
        running: dict[Any, Tree] = {}
        for job in jobs:
            here, there = context.Pipe(duplex=False)
            process = context.Process(target=_run, args=(job, there), daemon=True)
            process.start()
            there.close()
            stack.callback(process.join)
            stack.callback(process.terminate)
            running[here] = job.tree
        while running:
            for pipe in wait(list(running)):
                assert isinstance(pipe, Connection)
                match _received(pipe):
                    case TreeOutcome() as outcome:
                        outcomes[outcome.tree] = outcome
                        del running[pipe]
                    case (int(rows), int(end)):
                        on_step(running[pipe], rows, end)
                    case why:
                        raise NotReadError(str(why))
    return [outcomes[job.tree] for job in jobs]


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        return "a process of the check has ended"


def check_tree(job: TreeJob, on_step: Callable[[int, int], None]) -> TreeOutcome:
    """Check one tree in this process.

    Raises:
        NotReadError: it could not be read.
    """
    try:
        with row_scan(job.postgres_url) as scan:
            return check_rows(job, scan, on_step)
    except PostgresError as error:
        raise NotReadError(f"PostgreSQL: {reason_of(error)}") from error
    except EvidenceUnavailableError as error:
        raise NotReadError(str(error)) from error
    except TransparencyError as error:
        raise NotReadError(f"The evidence of {job.tree} in {job.place} cannot be used: {error}.") from error


def check_rows(job: TreeJob, scan: RowScan, on_step: Callable[[int, int], None]) -> TreeOutcome:
    """Check one tree with the rows of a snapshot.

    Raises:
        psycopg.Error, EvidenceUnavailableError, TransparencyError: log or evidence could not be read.
    """
    began = time.monotonic()
    check = TreeCheck(evidence_at(job.place).tree(job.tree), job.size, job.heads, job.start)
    _add_rows(check, scan, job, on_step)
    check.finish()
    return TreeOutcome(
        job.tree,
        check.rows,
        check.last,
        tuple(check.fitting),
        tuple(check.findings),
        check.findings.counts(),
        time.monotonic() - began,
    )


def _add_rows(check: TreeCheck, scan: RowScan, job: TreeJob, on_step: Callable[[int, int], None]) -> None:
    after = job.start.size if job.start else 0
    end = max(_end(scan, job.tree) - after, 0)
    events, entries = scan.unnumbered()
    if job.tree == "events" and events:
        check.findings.add(Finding(Kind.INSERTED, about=f"{events:,} events without a position"))
    if job.tree == "journal" and entries:
        check.findings.add(Finding(Kind.INSERTED, about=f"{entries:,} journal entries with an ordinal below 1"))
    said = time.monotonic()
    for numbers, leaves in leaves_of(scan, job.tree, after):
        check.add(numbers, leaves)
        if time.monotonic() - said > STEP_SECONDS:
            said = time.monotonic()
            on_step(check.rows, end)
    on_step(check.rows, end)


def _end(scan: RowScan, tree: Tree) -> int:
    position, ordinal = scan.ends()
    return position if tree == "events" else ordinal


def leaves_of(scan: RowScan, tree: Tree, after: int) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield the numbers and leaves of all rows after a number, thousands at once."""
    if tree == "events":
        for events in scan.events(after):
            yield [event.position for event in events], _leaves(event_leaves, events)
    else:
        for entries in scan.journal(after):
            yield [entry.ordinal for entry in entries], _leaves(journal_leaves, entries)


def _leaves(write: Callable[[Sequence[Any]], list[bytes]], rows: Sequence[Any]) -> list[bytes]:
    try:
        return write(rows)
    except (TypeError, ValueError, AttributeError):
        # A column is NULL that never is, or has something that no release wrote.
        return [_leaf(write, row) for row in rows]


def _leaf(write: Callable[[Sequence[Any]], list[bytes]], row: StoredEvent | JournalRow) -> bytes:
    try:
        return write([row])[0]
    except (TypeError, ValueError, AttributeError):
        return UNREADABLE


def _run(job: TreeJob, pipe: Connection) -> None:
    """Check a tree for `check_trees`, which ends this process on Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Looks for garbage among thousands of rows would cost more than the hashes.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    try:
        pipe.send(check_tree(job, lambda rows, end: pipe.send((rows, end))))
    except NotReadError as error:
        pipe.send(str(error))
