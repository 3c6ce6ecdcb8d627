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

ON_RECORD: Final[LiteralString] = """
SELECT name FROM audit_index.names WHERE kind = 'account' AND account = ANY(%(names)s) AND name = account
"""


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
            await _with_accounts_on_record(found)
            yield found


async def _with_accounts_on_record(snapshots: Sequence[Snapshot]) -> None:
    """Let auditors ask about an account without a row: of refused attempts only, or whose first event is parked."""
    without = [snapshot for snapshot in snapshots if snapshot.account_doc is None]
    if not without:
        return
    rows = await without[0].select(ON_RECORD, {"names": [snapshot.account for snapshot in without]})
    on_record = {name for (name,) in rows}
    for snapshot in without:
        if snapshot.account in on_record:
            snapshot.account_doc = {}
