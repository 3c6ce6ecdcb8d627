"""Moments of a history for the questions of one transaction, each as of a position of its own.

An administrator of now, and a service, may ask about every moment. Another user sees what they could see then as a
holder or a member, if they were active then, while they are active, and while nobody else can have had their id: it
was not removed since.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, LiteralString

from psycopg import AsyncCursor

from shared.core.policies import holds
from shared.projections.answers import busy
from shared.projections.definition import ProjectionDefinition, Row
from shared.projections.snapshot import (
    BEGIN,
    NOT_ACTIVE,
    Asker,
    Snapshot,
    fetch_all,
    is_active,
    use_inactive_schema,
)
from shared.projections.tables import AS_OF, named

SET_MOMENT: Final[LiteralString] = "SELECT set_config(%s, %s, true)"
# The rows of now are the live ones: they follow at once, and a history may be behind.
HEAD: Final[LiteralString] = """
SELECT v.position,
       EXISTS (SELECT FROM parked WHERE position <= %(as_of)s)
           OR EXISTS (SELECT FROM given_up WHERE position <= %(as_of)s),
       (SELECT doc FROM accounts WHERE account = %(account)s AND key = %(account)s),
       (SELECT doc FROM users WHERE account = %(account)s AND key = %(actor)s),
       now.doc,
       EXISTS (
           SELECT FROM users_past
           WHERE account = %(account)s AND key = %(actor)s AND until > %(as_of)s AND doc->>'status' = 'removed'
       ),
       now.version > newest.version
FROM view v
LEFT JOIN {schema}.users now ON now.account = %(account)s AND now.key = %(actor)s
LEFT JOIN users_current newest ON newest.account = %(account)s AND newest.key = %(actor)s
WHERE v.design = %(design)s
"""
NOT_ACTIVE_THEN: Final = "The actor is an active user now, but they were not an active user at that moment."
REMOVED_SINCE: Final = (
    "The actor was removed after that moment, and the id may have been another person's; administrators may ask."
)


class Moment:
    """The moment that the statements of one transaction see."""

    def __init__(self, cursor: AsyncCursor[Row]) -> None:
        self._cursor = cursor
        self._position: int | None = None

    async def move_to(self, position: int) -> None:
        if position != self._position:
            await self._cursor.execute(SET_MOMENT, (AS_OF, str(position)))
            self._position = position


class PastSnapshot(Snapshot):
    """Rows as of a position, for one question.

    Attributes:
        actor_doc: of an administrator the row of now, of others that of then without permissions of administrators.
        actor_active: whether the actor was an active user then.
    """

    def __init__(self, cursor: AsyncCursor[Row], moment: Moment, head: Row, asker: Asker, as_of: int) -> None:
        reached, dead_letters, account, then, now, removed_since, changed_since = head
        super().__init__(cursor, (as_of, dead_letters, account, then), asker.account)
        self._moment = moment
        self.reached = reached
        self._active_now = is_active(now)
        self._administers = self._active_now and holds(now["permissions"], "account_access")
        self._removed_since: bool = removed_since
        # None where the history has no row of the actor yet.
        self._changes_missing: bool = changed_since is not False and now is not None
        self.actor_doc = now if self._administers else _without_administration(then)

    async def select(self, query: LiteralString, params: Mapping[str, Any] | None = None) -> list[Row]:
        await self._moment.move_to(self.position)
        return await super().select(query, params)

    def why_not_allowed(self) -> str | None:
        """Say why the actor may not ask as of then.

        Raises:
            QuestionRefusedError: BUSY, what the actor was since is not known yet.
        """
        if not self._active_now:
            return NOT_ACTIVE
        if self._administers:
            return None
        if not self.actor_active:
            return NOT_ACTIVE_THEN
        if self._changes_missing:
            raise busy("the history does not have the actor's last change yet")
        return REMOVED_SINCE if self._removed_since else None


def _without_administration(user: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if user is None:
        return None
    kept = [permission for permission in user["permissions"] if not holds([permission], "account_access")]
    return {**user, "permissions": kept}


async def begin_past_snapshots(
    cursor: AsyncCursor[Row], definition: ProjectionDefinition, askers: Sequence[Asker]
) -> list[Snapshot]:
    """Begin a transaction, and return a snapshot for each asker, as of the position that they ask about.

    Raises:
        psycopg.Error: there are no rows of the definition's version.
    """
    await cursor.execute(BEGIN, prepare=False)
    moment, found = Moment(cursor), list[Snapshot]()
    for asker in askers:
        assert asker.as_of is not None, "resolved before"
        await moment.move_to(asker.as_of)
        head = await _read_head(cursor, definition, asker)
        found.append(PastSnapshot(cursor, moment, head, asker, asker.as_of))
    return found


async def _read_head(cursor: AsyncCursor[Row], definition: ProjectionDefinition, asker: Asker) -> Row:
    query = named(HEAD, definition.view_name)
    parameters = {**asker._asdict(), "design": definition.version}
    await cursor.execute(query, parameters)
    if not (heads := await fetch_all(cursor)):
        await use_inactive_schema(cursor, definition)
        await cursor.execute(query, parameters)
        heads = await fetch_all(cursor)
    return heads[0]
