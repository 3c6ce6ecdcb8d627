"""The one writer of the index: its rows and its checkpoint in one commit, so they never disagree."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, LiteralString
from uuid import UUID

import orjson

from services.audit.domain.holdings import Holdings, Relation
from services.audit.domain.things import Thing
from services.audit.index.batch import Attempt, Batch, Concern, concerns_of
from services.audit.index.clock_runs import ClockRun, clock_runs
from services.audit.index.schema import IndexCheckpoint, read_checkpoint
from services.audit.logged_facts import LoggedFact
from shared.process import failpoints
from shared.process import postgres_arrays as arrays
from shared.process.bounded import evict_oldest
from shared.process.postgres import PostgresSession
from shared.projections.row_statements import copy_column
from shared.projections.tables import named

# The most ids of things that are kept in memory, about 200 bytes each.
CACHED_NAMES: Final = 50_000

LOCK: Final[LiteralString] = "SELECT FROM {schema}.checkpoint FOR UPDATE"
MOVE: Final[LiteralString] = """
UPDATE {schema}.checkpoint SET position = %s, event = %s, ordinal = %s, entry = %s, names = %s, latest = %s
"""
RELATIONS: Final[LiteralString] = """
SELECT k.account, k.kind, k.name, r.things FROM unnest(%b::text[], %b::text[], %b::text[]) AS k (account, kind, name)
CROSS JOIN LATERAL (
    SELECT things FROM {schema}.relations
    WHERE account = k.account COLLATE "C" AND kind = k.kind COLLATE "C" AND name = k.name COLLATE "C" LIMIT 1
) r
"""
PUT_RELATIONS: Final[LiteralString] = """
INSERT INTO {schema}.relations
SELECT account, kind, name, ARRAY(SELECT jsonb_array_elements_text(things))
FROM jsonb_to_recordset(%s::jsonb) AS n (account text, kind text, name text, things jsonb)
ON CONFLICT (account, kind, name) DO UPDATE SET things = excluded.things
"""
NAMES: Final[LiteralString] = """
SELECT k.account, k.kind, k.name, n.id FROM unnest(%b::text[], %b::text[], %b::text[]) AS k (account, kind, name)
CROSS JOIN LATERAL (
    SELECT id FROM {schema}.names
    WHERE account = k.account COLLATE "C" AND kind = k.kind COLLATE "C" AND name = k.name COLLATE "C" LIMIT 1
) n
"""
LAST_RUN: Final[LiteralString] = """
SELECT position, until, events, milliseconds, latest FROM {schema}.clock_runs ORDER BY position DESC LIMIT 1
"""
PUT_RUN: Final[LiteralString] = """
INSERT INTO {schema}.clock_runs VALUES (%s, %s, %s, %s, %s) ON CONFLICT (position) DO UPDATE
SET until = excluded.until, events = excluded.events, milliseconds = excluded.milliseconds, latest = excluded.latest
"""

Name = tuple[str, str, str]


class IndexMovedError(Exception):
    """Another process has written the index meanwhile, or another index is in its place."""


class IndexWriter:
    """Writes one batch after the other into the index of a schema."""

    def __init__(self, schema: str, checkpoint: IndexCheckpoint) -> None:
        self.checkpoint = checkpoint
        self._schema = schema
        self._ids: dict[Name, int] = {}

    async def require_same(self, connection: PostgresSession) -> None:
        """Require that the index is where this writer left it.

        Raises:
            IndexMovedError: it is not.
        """
        if await read_checkpoint(connection, self._schema) != self.checkpoint:
            raise IndexMovedError(f"{self._schema} is no longer at position {self.checkpoint.position} of this writer")

    async def write(self, connection: PostgresSession, batch: Batch) -> None:
        """Write a batch that begins at the checkpoint.

        Raises:
            IndexMovedError: the index is not where this writer left it; nothing was written.
            PostgresError: the database is away or refuses; nothing was written.
        """
        try:
            async with connection.transaction():
                moved = await self._write(connection, batch)
        except BaseException:
            # Ids that were not committed will be those of other things.
            self._ids.clear()
            raise
        self.checkpoint = moved
        evict_oldest(self._ids, CACHED_NAMES)

    async def _write(self, connection: PostgresSession, batch: Batch) -> IndexCheckpoint:
        await connection.execute(named(LOCK, self._schema))
        await self.require_same(connection)
        holdings = await self._load_holdings(connection, batch)
        concerns = concerns_of(batch, holdings)
        names = await self._identify(connection, (*concerns.entries, *concerns.unchanged))
        await self._copy(connection, "entries", (self._line(one) for one in concerns.entries))
        await self._copy(connection, "unchanged", (self._line(one) for one in concerns.unchanged))
        await self._copy(connection, "events", (f"{one.id}\t{one.position}\n" for one in batch.facts if _has_id(one)))
        await self._copy(connection, "attempts", map(_attempt_line, batch.attempts))
        await self._put_relations(connection, holdings)
        runs, latest = clock_runs(batch.facts, self.checkpoint.latest)
        await self._put_runs(connection, runs)
        failpoints.reached("index.written")
        return await self._move(connection, batch, names, latest)

    async def _move(self, connection: PostgresSession, batch: Batch, names: int, latest: Any) -> IndexCheckpoint:
        last, entry = batch.facts[-1] if batch.facts else None, batch.last_entry
        moved = self.checkpoint._replace(names=names, latest=latest)
        if last is not None:
            moved = moved._replace(position=last.position, event=UUID(last.id) if _has_id(last) else None)
        if entry is not None:
            moved = moved._replace(ordinal=entry.ordinal, entry=entry.entry)
        await connection.execute(named(MOVE, self._schema), moved[1:])
        return moved

    # ---- relations

    async def _load_holdings(self, connection: PostgresSession, batch: Batch) -> Mapping[str, Holdings]:
        wanted = batch.relations()
        holdings = {account: Holdings() for account in wanted}
        await self._load(connection, holdings, wanted)
        primaries = {
            account: {
                Relation("holder", thing.name)
                for things in of_account.relations.values()
                for thing in things
                if thing.kind == "address"
            }
            for account, of_account in holdings.items()
        }
        await self._load(connection, holdings, {name: found - wanted[name] for name, found in primaries.items()})
        return holdings

    async def _load(
        self, connection: PostgresSession, holdings: Mapping[str, Holdings], wanted: Mapping[str, set[Relation]]
    ) -> None:
        keys = [(account, *relation) for account, relations in wanted.items() for relation in relations]
        if not keys:
            return
        for account, of, name, things in await self._look_up(connection, RELATIONS, keys):
            holdings[account].relations[Relation(of, name)] = frozenset(map(_thing_of, things))

    async def _put_relations(self, connection: PostgresSession, holdings: Mapping[str, Holdings]) -> None:
        changed = [
            {"account": account, "kind": one.of, "name": one.name, "things": sorted(map(_written, of_account.get(one)))}
            for account, of_account in holdings.items()
            for one in of_account.changed
        ]
        if changed:
            await connection.execute(named(PUT_RELATIONS, self._schema), (orjson.dumps(changed).decode(),))

    # ---- names

    async def _identify(self, connection: PostgresSession, concerns: Iterable[Concern]) -> int:
        """Give an id to every thing that has none; return the last id that was given."""
        unknown = dict.fromkeys(name for one in concerns if (name := _name_of(one)) not in self._ids)
        if unknown:
            for account, kind, name, id_ in await self._look_up(connection, NAMES, list(unknown)):
                self._ids[account, kind, name] = id_
        new = {
            name: number
            for number, name in enumerate((one for one in unknown if one not in self._ids), self.checkpoint.names + 1)
        }
        self._ids |= new
        await self._copy(connection, "names", (_name_line(number, name) for name, number in new.items()))
        return self.checkpoint.names + len(new)

    def _line(self, concern: Concern) -> str:
        return f"{self._ids[_name_of(concern)]}\t{concern.position}\t{concern.ordinal}\n"

    # ---- clocks

    async def _put_runs(self, connection: PostgresSession, runs: Sequence[ClockRun]) -> None:
        if not runs:
            return
        rows = await (await connection.execute(named(LAST_RUN, self._schema))).fetchall()
        first, *others = runs
        if rows and (last := ClockRun(*rows[0])).takes(first.position):
            last.add(first)
            first = last
        for run in (first, *others):
            values = (run.position, run.until, run.events, run.milliseconds, run.latest)
            await connection.execute(named(PUT_RUN, self._schema), values)

    # ---- statements

    async def _look_up(
        self, connection: PostgresSession, statement: LiteralString, keys: Sequence[Name]
    ) -> list[tuple[Any, ...]]:
        accounts, kinds, names = zip(*keys, strict=True)
        columns = [arrays.texts(accounts), arrays.texts(kinds), arrays.keys(names)]
        return await (await connection.execute(named(statement, self._schema), columns)).fetchall()

    async def _copy(self, connection: PostgresSession, table: str, lines: Iterable[str]) -> None:
        if text := "".join(lines):
            async with connection.cursor() as cursor, cursor.copy(named(COPY, self._schema, table)) as copy:
                await copy.write(text)


COPY: Final[LiteralString] = "COPY {schema}.{table} FROM STDIN"


def _has_id(fact: LoggedFact) -> bool:
    """Return whether the event has an id; one that no release wrote may have any text, or none."""
    try:
        return fact.id is not None and bool(UUID(fact.id))
    except ValueError:
        return False


def _name_of(concern: Concern) -> Name:
    return (concern.account, concern.thing.kind, concern.thing.name)


def _name_line(number: int, name: Name) -> str:
    return "\t".join((str(number), *map(copy_column, name))) + "\n"


def _attempt_line(attempt: Attempt) -> str:
    row = attempt.row
    texts = (row.account, row.outcome, row.reason, row.command, row.actor)
    account, outcome, reason, command, actor = (r"\N" if one is None else copy_column(one) for one in texts)
    columns = (
        str(row.ordinal), account, str(row.log_position), outcome, reason, command, actor,
        str(row.command_id or r"\N"), row.recorded_at.isoformat(),
    )  # fmt: skip
    return "\t".join(columns) + "\n"


def _written(thing: Thing) -> str:
    return f"{thing.kind} {thing.name}"


def _thing_of(text: str) -> Thing:
    kind, _, name = text.partition(" ")
    return Thing(kind, name)  # type: ignore[arg-type]  # written by this module
