"""One connection that only reads, for readers of the event store."""

from collections.abc import Sequence
from typing import Any, Self

import psycopg

from shared.process.postgres import DirectAsync

# Before the first start of a writer of this release on this database.
NOT_MADE_YET = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName)


class ReadConnection:
    """Connects at the first read, and again after the connection was lost."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def rows(self, sql: str, arguments: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows; none while the tables are not made yet.

        Raises:
            psycopg.OperationalError: PostgreSQL does not answer; try again later.
        """
        if self._connection is None or self._connection.closed:
            self._connection = await DirectAsync.connect(self._url, autocommit=True)
        try:
            return await (await self._connection.execute(sql.encode(), arguments, binary=True)).fetchall()
        except NOT_MADE_YET:
            return []

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


class OwnConnection:
    """A reader over a connection of its own, which it makes again when it was lost: an async context manager."""

    def __init__(self, url: str) -> None:
        self._connection = ReadConnection(url)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._connection.close()
