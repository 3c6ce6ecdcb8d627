"""Ledgers over a real, empty database; closed when the test is over."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.event_store import EventStore
from shared.language.reasons import Reason

OpenDecider = Callable[[], Decider]


@pytest.fixture
def open_decider(database: str) -> Iterator[OpenDecider]:
    """Opens one writer more on the test's database."""
    opened: list[Decider] = []

    def make() -> Decider:
        opened.append(Decider(EventStore(database, PAGES)))
        return opened[-1]

    yield make
    for decider in opened:
        decider.store.close()


@pytest.fixture
def decider(open_decider: OpenDecider) -> Decider:
    return open_decider()


class Store:
    """What is in the tables, for tests to look at."""

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    def run(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(sql.encode())

    def positions(self) -> list[int]:
        return [row[0] for row in self.rows("SELECT notification_id FROM connections.events ORDER BY 1")]

    def everything(self) -> str:
        """All tables as text, bytes readable."""
        tables = ("events", "journal", "memberships", "commits")
        return "\n".join(
            str([bytes(value) if isinstance(value, memoryview) else value for value in row])
            for table in tables
            for row in self.rows(f"SELECT * FROM connections.{table} ORDER BY 1, 2")
        )


@pytest.fixture
def store(database: str) -> Store:
    return Store(database)


def verbatim(outcomes: Iterable[Outcome]) -> list[tuple[bytes, Reason | None]]:
    """What each caller hears, byte for byte."""
    return [(one.reply(), one.reason) for one in outcomes]


def settle(decider: Decider, *group: CommandEnvelope) -> list[Outcome]:
    """The answers in the order of the commands."""
    answers: Sequence[tuple[CommandEnvelope, Outcome]] = decider.settle(group)
    assert [pending for pending, _ in answers] == list(group)
    return [answer for _, answer in answers]
