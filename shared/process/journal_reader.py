"""Reads the command journal in the order of ordinals: every command with its outcome, refused ones too."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from shared.process.log_reader import ReadRows
from shared.process.read_connection import OwnConnection

ENTRIES: Final = """
    SELECT ordinal, entry, account, command_id, kept, command, actor, outcome, reason, position, log_position,
           digest, body, reply, recorded_at
    FROM connections.journal
"""
# Each half has an index of its own.
OF_COMMAND: Final = """
    WHERE (account = %s AND command_id = %s::uuid AND kept) OR (account = %s AND command_id = %s::uuid AND NOT kept)
    ORDER BY ordinal
"""

# One look into the index for each, with any statistics.
OF_COMMANDS: Final = """
    WHERE ordinal IN (
        SELECT j.ordinal FROM unnest(%s::uuid[]) AS c (id) CROSS JOIN LATERAL (
            SELECT ordinal FROM connections.journal WHERE account = %s AND command_id = c.id AND kept LIMIT 1
        ) j
    )
    ORDER BY ordinal
"""


class JournalRow(NamedTuple):
    """An entry of the command journal.

    `ordinal` counts all entries of the log without gaps. `outcome` is accepted, unchanged or refused. `position` is
    that of its last event, or of the last one before it where nothing changed; None for a refusal. `log_position` is
    the position of the last event before it or of it. `reply` is JSON and has position 0 in place of `position`. Where
    it is not `recorded_once`, the command was not decided: `body` and `digest` are None.
    """

    ordinal: int
    entry: UUID
    account: str
    command_id: UUID | None
    recorded_once: bool
    command: str
    actor: str | None
    outcome: str
    reason: str | None
    position: int | None
    log_position: int
    digest: bytes | None
    body: bytes | None
    reply: bytes
    recorded_at: datetime

    @property
    def correlation_id(self) -> str | None:
        """The correlation id that the command was given; None where it had none, or the body is not on record."""
        found = orjson.loads(self.body).get("correlation_id") if self.body is not None else None
        return None if found is None else str(found)


class CommandJournal:
    """The command journal as a function reads it: over a connection of its own, or within a transaction.

    An entry that a former release added is read as soon as it has its ordinal, with the next commit of this release.

    Raises, from every method that reads:
        psycopg.OperationalError: PostgreSQL does not answer; try again later.
    """

    def __init__(self, rows: ReadRows) -> None:
        self._read_rows = rows

    async def read(self, after: int, limit: int) -> list[JournalRow]:
        """Read the next entries after an ordinal: `limit` of them, fewer only at the end of the journal."""
        return await self._rows("WHERE ordinal > %s ORDER BY ordinal LIMIT %s", after, limit)

    async def entries_at(self, ordinals: Sequence[int]) -> list[JournalRow]:
        """Read the entries with these ordinals, in their order; nothing for an ordinal without an entry."""
        return await self._rows("WHERE ordinal = ANY(%s::bigint[]) ORDER BY ordinal", list(ordinals))

    async def of_command(self, account: str, command_id: str) -> list[JournalRow]:
        """Read every entry under a command id, oldest first: at most one is recorded once."""
        return await self._rows(OF_COMMAND, account, command_id, account, command_id)

    async def of_commands(self, account: str, command_ids: Sequence[str]) -> list[JournalRow]:
        """Read the entries that are recorded once under these command ids."""
        return await self._rows(OF_COMMANDS, list(command_ids), account)

    async def end(self) -> int:
        """Return the last ordinal; 0 for an empty journal."""
        rows = await self._read_rows("SELECT coalesce(max(ordinal), 0) FROM connections.journal", ())
        return int(rows[0][0]) if rows else 0

    async def _rows(self, which: str, *arguments: object) -> list[JournalRow]:
        return [JournalRow(*row) for row in await self._read_rows(ENTRIES + which, arguments)]


class JournalReader(OwnConnection, CommandJournal):
    """Reads over a connection of its own."""

    def __init__(self, url: str) -> None:
        OwnConnection.__init__(self, url)
        CommandJournal.__init__(self, self._connection.rows)
