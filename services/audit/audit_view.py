"""The history and the index as one view: questions are answered as of a position that both have reached."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, LiteralString

from services.audit.index.schema import VERSION
from shared.projections.snapshot import Asker, Snapshot
from shared.projections.view import View

# 0 while the index is of another version than this code; it is an error while there is none.
REACHED: Final[LiteralString] = """
SELECT v.design, coalesce(least(v.position, i.position), 0)
FROM view v LEFT JOIN audit_index.checkpoint i ON i.version = {version}
""".replace("{version}", str(VERSION))


class AuditView(View):
    """The history of the audit, as far as the index has reached, too."""

    reached = REACHED

    @asynccontextmanager
    async def snapshots(self, askers: Sequence[Asker]) -> AsyncIterator[list[Snapshot]]:
        """One moment of history and index for several answers in turn.

        Raises:
            psycopg.Error: the database is away, or there is no history or no index yet.
        """
        async with super().snapshots(askers) as found:
            ((_, position),) = await found[0].select(REACHED)
            for snapshot in found:
                snapshot.position = snapshot.reached = position
            yield found
