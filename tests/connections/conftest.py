"""Ledgers over a real, empty database; closed when the test is over."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest

from services.connections.commands import PAGES
from services.connections.parsing import Domain
from services.connections.store.ledger import Ledger
from services.connections.store.pending import Answer, Pending

OpenLedger = Callable[[], Ledger]


@pytest.fixture
def open_ledger(database: str) -> Iterator[OpenLedger]:
    """Opens one writer more on the test's database."""
    opened: list[Ledger] = []

    def make() -> Ledger:
        opened.append(Ledger(database, PAGES, Domain()))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: OpenLedger) -> Ledger:
    return open_ledger()


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
        tables = ("events", "journal", "memberships")
        return "\n".join(
            str([bytes(value) if isinstance(value, memoryview) else value for value in row])
            for table in tables
            for row in self.rows(f"SELECT * FROM connections.{table} ORDER BY 1, 2")
        )


@pytest.fixture
def store(database: str) -> Store:
    return Store(database)


def settle(ledger: Ledger, *group: Pending) -> list[Answer]:
    """The answers in the order of the commands."""
    answers: Sequence[tuple[Pending, Answer]] = ledger.settle(group)
    assert [pending for pending, _ in answers] == list(group)
    return [answer for _, answer in answers]
