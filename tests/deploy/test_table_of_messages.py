"""The runbook's table of messages is complete: every error that a process can say has a row, by name or in words."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.real_servers import ROOT

# What a process of Switchboard says of itself is made here.
SOURCES: Final = [
    *(
        file
        for package in (
            *("shared/process", "shared/messaging", "shared/projections"),
            *("services/relay", "services/audit", "services/connections/store", "services/ops/local"),
        )
        for file in sorted((ROOT / package).rglob("*.py"))
    ),
    *(ROOT / "services" / "connections" / name for name in ("app.py", "writer.py", "partitions.py")),
]
TABLES: Final = ("deploy/RUNBOOK.md", "services/relay/README.md")

# Told by other words than their name, or never by a process that serves. The words have to stand in a table.
SAID_AS: Final = {
    "PortUnavailableError": "set SWITCHBOARD_HTTP_PORT",
    "HostUnavailableError": "set SWITCHBOARD_HTTP_HOST",
    "ServerStartError": "Switchboard cannot start",
    "UnreadableStreamError": "which this release cannot read",
    "SettingsNotApplied": "did not take this connection's settings",
    "LockNotHeld": "a lock is not seen as this connection's own",
    "PostgresTooOld": "PostgreSQL … is too old",
    "StoreUnavailable": "PostgreSQL does not answer",
    "CommitOutcomeUnknown": "PostgreSQL does not answer",
}
NEVER_SAID: Final = {
    "UnusableStreamError": "what several have in common",
    "UnexpectedLastSequence": "the relay looks again, at once",
    "LeaseLostError": "another process goes on",
    "SnapshotBehindError": "the question waits",
    "OverloadedError": "the caller hears BUSY",
    "QuestionRefusedError": "the caller hears it",
    "NoAppliedTimesError": "the caller hears it",
    "NoReplyError": "the caller hears it",
    "StreamUnreadableError": "the caller hears it",
    "NotPossibleError": "of a verb of the command line",
    "ParkedEventNotFoundError": "of a verb of the command line",
    "SchemasInUseError": "of a verb of the command line",
    "_TooFarBehindError": "of a verb of the command line",
    "StreamMissingError": "of a verb of the command line",
    "NatsUnavailableError": "of a verb of the command line",
    "NatsTooOldError": "of a verb of the command line",
    "ReplayMovedError": "of a verb of the command line",
    "MessageTooLargeError": "of a verb of the command line",
    "ReplayStreamFullError": "of a verb of the command line",
    "SilentProcessError": "of a verb of the command line",
    "ImportRefusedError": "of a verb of the command line",
}
# They answer with text or None, and it is no trouble of the process.
NO_PROBES: Final = {"log_id_of"}


def rows() -> str:
    """All rows of the tables, white space as one blank."""
    lines = [line for table in TABLES for line in (ROOT / table).read_text().splitlines() if line.startswith("| ")]
    return " ".join(" ".join(lines).split())


@functools.cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_text())))


def classes() -> dict[str, ast.ClassDef]:
    return {node.name: node for path in SOURCES for node in nodes_of(path) if isinstance(node, ast.ClassDef)}


def exceptions() -> set[str]:
    known = classes()

    def is_one(name: str) -> bool:
        last = name.rpartition(".")[2]
        if last in known:
            return any(is_one(ast.unparse(base)) for base in known[last].bases)
        return last.endswith(("Error", "Exception"))

    return {name for name in known if is_one(name)}


def words_of(value: ast.expr) -> list[str]:
    """The text that an expression says whatever its values are, in pieces of two words and more."""
    found = [node.value for node in ast.walk(value) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    pieces = [piece.strip(" ;:,") for text in found for piece in text.split(":")]
    return [piece for piece in pieces if len(piece.split()) > 1]


def sentences() -> Iterator[tuple[str, list[str]]]:
    """What probes of readiness answer, and what is kept for them: where, and the words."""
    for path in SOURCES:
        where = f"{path.relative_to(ROOT)}: "
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
                if ast.unparse(node.returns) == "str | None" and node.name not in NO_PROBES:
                    for told in ast.walk(node):
                        if isinstance(told, ast.Return) and told.value is not None and words_of(told.value):
                            yield where + node.name, words_of(told.value)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = {ast.unparse(target).rpartition(".")[2].lstrip("_") for target in targets}
                if names & {"trouble", "last_error", "stalled", "standby", "unfit"} and words_of(node.value):
                    yield where + ast.unparse(node.value), words_of(node.value)


@pytest.mark.parametrize("name", sorted(exceptions() - NEVER_SAID.keys()))
def test_every_error_of_a_process_has_a_row(name: str) -> None:
    said = SAID_AS.get(name, f"`{name}")
    assert said in rows(), f"no row of {TABLES} says {said!r}: what is it, and what is to be done?"


@pytest.mark.parametrize(("where", "words"), [pytest.param(*found, id=found[0]) for found in sentences()])
def test_every_sentence_that_readiness_says_has_a_row(where: str, words: list[str]) -> None:
    text = rows()
    assert any(piece in text for piece in words), f"{where}: no row of {TABLES} has any of {words}"


def test_what_is_excepted_is_there() -> None:
    found = exceptions()
    # Some are of releases to come, or were.
    assert set(NEVER_SAID) <= found
    assert not NEVER_SAID.keys() & SAID_AS.keys()
    assert len(found) > 30
    assert len(list(sentences())) > 15


def test_each_row_has_something_to_do() -> None:
    for table in TABLES:
        for line in (ROOT / table).read_text().splitlines():
            if re.match(r"\| [`.]", line):
                cells = [cell.strip() for cell in line.strip("|").split("|")]
                assert cells[0], line
                assert any(cells[1:]), line
