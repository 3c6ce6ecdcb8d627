"""One moment of a view, and a record of the aggregates that an answer from it depends on."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString, NamedTuple
from uuid import UUID

import psycopg
from psycopg import AsyncCursor

from shared.language.events import Aggregate
from shared.language.recorded import stream_id
from shared.projections import schemas
from shared.projections.cooperative import ROWS_AT_ONCE
from shared.projections.definition import ProjectionDefinition, Row

# The lock comes before the first read: a reader that waited for a cutover sees all of the new rows.
BEGIN: Final[LiteralString] = """
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; LOCK TABLE view IN ACCESS SHARE MODE
"""

# An account's row may be large, with all of its teams: it is read with the account's first question only.
HEADS: Final[LiteralString] = """
SELECT v.position, EXISTS (SELECT FROM parked) OR EXISTS (SELECT FROM given_up),
       CASE q.number WHEN min(q.number) OVER (PARTITION BY q.account) THEN a.doc END, u.doc
FROM view v
CROSS JOIN unnest(%(accounts)b::text[], %(actors)b::text[]) WITH ORDINALITY AS q (account, actor, number)
LEFT JOIN accounts a ON a.account = q.account COLLATE "C" AND a.key = q.account COLLATE "C"
LEFT JOIN users u ON u.account = q.account COLLATE "C" AND u.key = q.actor COLLATE "C"
WHERE v.design = %(design)s
ORDER BY q.number
"""

# Of parked events (dead letters), and of those that an operator gave up.
INCOMPLETE: Final[LiteralString] = """
SELECT min(position) FROM (
    SELECT position, account, stream, aggregate FROM parked
    UNION ALL SELECT position, account, stream, aggregate FROM given_up
) AS dead
WHERE position <= %(moment)s AND account = %(account)s
    AND (stream = ANY(%(streams)s) OR aggregate = ANY(%(aggregates)s))
"""

NOT_ACTIVE: Final = "The actor is not an active user of this account."


class Asker(NamedTuple):
    """The account and the actor of a question, and the position that it asks about; None for the newest rows."""

    account: str
    actor: str
    as_of: int | None = None


class Snapshot:
    """Rows and position of one moment for one question, with the rows of its account and its actor.

    Attributes:
        reached: the position up to which the rows are complete.
        actor_doc: the row with the actor's permissions; None for an actor whom nobody knows.
        actor_active: whether the actor is an active user at this moment.
    """

    def __init__(self, cursor: AsyncCursor[Row], head: Row, account: str) -> None:
        self._cursor = cursor
        self.account = account
        self.position: int = head[0]
        self.reached: int = head[0]
        self._dead_letters: bool = head[1]
        self.account_doc: Any = head[2]
        self.actor_doc: Any = head[3]
        self.actor_active = is_active(self.actor_doc)
        self._streams: set[UUID] = set()
        self._aggregates: set[str] = set()

    async def select(self, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        """Return the rows of a statement, which may use `%(account)s`."""
        await self._cursor.execute(query, {"account": self.account, **(params or {})})
        return await fetch_all(self._cursor)

    async def rows(self, query: str, arguments: Sequence[Any]) -> list[Row]:
        """Return the rows of a statement about other tables than the view's, as an `EventLog` reads them."""
        await self._cursor.execute(query.encode(), arguments)
        return await fetch_all(self._cursor)

    def why_not_allowed(self) -> str | None:
        """Say why the actor, who is not a service, may not ask anything here; None when they may."""
        return None if self.actor_active else NOT_ACTIVE

    def depends_on(self, aggregate: Aggregate, *names: str) -> None:
        """Record that the answer depends on these aggregates; without names, on all of the account's."""
        if names:
            self._streams.update(stream_id(self.account, aggregate, name) for name in names)
        else:
            self._aggregates.add(aggregate)

    async def incomplete_since(self) -> int | None:
        """Return the first position that is parked, or was given up, on anything that the answer depends on."""
        if not self._dead_letters:
            return None
        self.depends_on("account", self.account)
        # The search path of a reader names the schema.
        parameters = {"streams": list(self._streams), "aggregates": list(self._aggregates), "moment": self.position}
        rows = await self.select(INCOMPLETE, parameters)
        position: int | None = rows[0][0]
        return position


def is_active(user: Mapping[str, Any] | None) -> bool:
    return user is not None and user["status"] == "active"


async def begin_snapshots(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, askers: Sequence[Asker]
) -> list[Snapshot]:
    """Begin a transaction, and return a snapshot of its moment for each account and actor.

    Raises:
        psycopg.Error: there are no rows of the definition's version.
    """
    accounts, actors = [asker.account for asker in askers], [asker.actor for asker in askers]
    await cursor.execute(BEGIN, prepare=False)
    heads = await _read_heads(cursor, definition, accounts, actors)
    if not heads:
        heads = await _read_heads_elsewhere(cursor, definition, accounts, actors)
    return [Snapshot(cursor, head, account) for head, account in zip(heads, accounts, strict=True)]


async def _read_heads(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, accounts: list[str], actors: list[str]
) -> list[Row]:
    await cursor.execute(HEADS, {"accounts": accounts, "actors": actors, "design": definition.version})
    heads = await fetch_all(cursor)
    docs = {account: head[2] for account, head in zip(accounts, heads, strict=False) if head[2] is not None}
    return [(*head[:2], docs.get(account), head[3]) for account, head in zip(accounts, heads, strict=False)]


async def _read_heads_elsewhere(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, accounts: list[str], actors: list[str]
) -> list[Row]:
    """Read rows that are not live: between a cutover to another version and the moment this process notices it."""
    await use_inactive_schema(cursor, definition)
    return await _read_heads(cursor, definition, accounts, actors)


async def use_inactive_schema(cursor: AsyncCursor[Row], definition: ProjectionDefinition) -> None:
    """From now on in this transaction, read the complete rows of this version that are not in use now.

    Raises:
        psycopg.OperationalError: there are none.
    """
    schema = (await schemas.schema_status(cursor, definition.name)).inactive_schema(definition.version)
    if schema is None:
        raise psycopg.OperationalError("the view is being built")
    await cursor.execute("SELECT set_config('search_path', %s, true)", (f"{schema},public",))


async def fetch_all(cursor: AsyncCursor[Row]) -> list[Row]:
    """Return all rows of the last statement; other tasks run in between."""
    rows = await cursor.fetchmany(ROWS_AT_ONCE)
    while len(rows) % ROWS_AT_ONCE == 0 and (more := await cursor.fetchmany(ROWS_AT_ONCE)):
        rows += more
        await asyncio.sleep(0)
    return rows
