"""Read the versions of rows from a history: each with the positions between which it was valid.

The position of the snapshot's own questions does not limit them: the caller names the range.
"""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

from shared.language.events import Aggregate
from shared.projections.snapshot import Snapshot

# The tables by aggregate; the search path of a reader names the schema.
CURRENT_AND_PAST: Final[Mapping[Aggregate, tuple[LiteralString, LiteralString]]] = {
    "account": ("accounts_current", "accounts_past"),
    "user": ("users_current", "users_past"),
    "inbox": ("inboxes_current", "inboxes_past"),
    "address": ("addresses_current", "addresses_past"),
}
VERSIONS: Final[LiteralString] = """
SELECT key, doc, position, NULL::bigint AS until FROM {current}
WHERE account = %(account)s AND {rows} AND position <= %(last)s
UNION ALL
SELECT key, doc, position, until FROM {past}
WHERE account = %(account)s AND {rows} AND position <= %(last)s AND until > %(first)s
ORDER BY key, position
"""
NAMED: Final[LiteralString] = "key = ANY(%(names)s)"
BETWEEN: Final[LiteralString] = "key > %(after)s AND key <= %(to)s"
# Every row that ever was has a current version.
LAST_KEY: Final[LiteralString] = """
SELECT max(key) FROM (
    SELECT key FROM {current} WHERE account = %(account)s AND key > %(after)s ORDER BY key LIMIT %(limit)s
) AS next
"""


@dataclass(frozen=True, slots=True)
class RowVersion:
    """A document that was valid from `position` on and until before `until`; the newest one has no `until`."""

    key: str
    doc: Any
    position: int
    until: int | None

    def valid_at(self, position: int) -> bool:
        """Return whether this was the row as of a position."""
        return self.position <= position and (self.until is None or self.until > position)


async def versions_of(
    snapshot: Snapshot, aggregate: Aggregate, names: Iterable[str], first: int, last: int
) -> list[RowVersion]:
    """Return the versions of these rows that were valid at any position from `first` to `last`, by key and position."""
    params = {"names": list(names), "first": first, "last": last}
    return [RowVersion(*row) for row in await snapshot.select(_statement(VERSIONS, aggregate, NAMED), params)]


async def versions_in_account(
    snapshot: Snapshot, aggregate: Aggregate, first: int, last: int, rows_at_once: int = 500
) -> AsyncIterator[list[RowVersion]]:
    """Yield the versions of all rows of the account, as `versions_of` does, those of so many rows at once.

    All versions of a row are in the same list.
    """
    after, last_key, versions = "", _statement(LAST_KEY, aggregate), _statement(VERSIONS, aggregate, BETWEEN)
    while (to := (await snapshot.select(last_key, {"after": after, "limit": rows_at_once}))[0][0]) is not None:
        params = {"after": after, "to": to, "first": first, "last": last}
        if rows := await snapshot.select(versions, params):
            yield [RowVersion(*row) for row in rows]
        after = to


def _statement(statement: LiteralString, aggregate: Aggregate, rows: LiteralString = "") -> LiteralString:
    current, past = CURRENT_AND_PAST[aggregate]
    return statement.replace("{current}", current).replace("{past}", past).replace("{rows}", rows)
