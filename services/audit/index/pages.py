"""Pages of the index: the places of events and attempts that concern a thing, in order, after a place."""

from typing import Final, LiteralString, NamedTuple

from services.audit.domain.things import Thing
from services.audit.ranges import LogRange
from shared.language.questions import ListQuestion
from shared.messaging.json_body import problem
from shared.projections.answers import cursor_key, invalid
from shared.projections.snapshot import Snapshot

# The conditions of `LogRange` on a position and an ordinal `e`; only at the edges the time of an attempt is read.
IN_RANGE: Final[LiteralString] = """
e.position >= %(edge)s AND e.position <= %(last)s
AND (e.position >= %(first)s
     OR (e.ordinal > 0 AND (SELECT recorded_at FROM audit_index.attempts WHERE ordinal = e.ordinal) >= %(since)s))
AND (%(until)s::timestamptz IS NULL OR e.position < %(last)s OR e.ordinal = 0
     OR (SELECT recorded_at FROM audit_index.attempts WHERE ordinal = e.ordinal) <= %(until)s)
"""
OF_THING: Final[LiteralString] = """
SELECT e.position, e.ordinal FROM audit_index.{table} e
WHERE e.id = (
    SELECT id FROM audit_index.names WHERE account = %(account)s AND kind = %(kind)s AND name = %(name)s
) AND (e.position, e.ordinal) > (%(after_position)s, %(after_ordinal)s) AND {in_range} {given_by}
ORDER BY e.position, e.ordinal LIMIT %(limit)s
""".replace("{in_range}", IN_RANGE)
# One look into the primary key for each place.
GIVEN_BY: Final[LiteralString] = """
AND EXISTS (
    SELECT FROM audit_index.{table} g
    WHERE g.id = (
        SELECT id FROM audit_index.names WHERE account = %(account)s AND kind = 'actor' AND name = %(given_by)s
    ) AND g.position = e.position AND g.ordinal = e.ordinal OFFSET 0
)
"""
OF_BOTH_TABLES: Final[LiteralString] = """
SELECT position, ordinal FROM (({entries}) UNION ALL ({unchanged})) AS e ORDER BY position, ordinal LIMIT %(limit)s
"""
ON_RECORD: Final[LiteralString] = """
SELECT EXISTS (SELECT FROM audit_index.names WHERE account = %(account)s AND kind = %(kind)s AND name = %(name)s)
"""


class Place(NamedTuple):
    """The place of an event (ordinal 0), or of an attempt after the event at its position."""

    position: int
    ordinal: int

    @property
    def key(self) -> str:
        return f"{self.position}.{self.ordinal}"


BEGINNING: Final = Place(-1, -1)


def place_after(question: ListQuestion) -> Place:
    """Return the place after which a page begins.

    Raises:
        QuestionRefusedError: the cursor is not one of these lists.
    """
    if not (key := cursor_key(question)):
        return BEGINNING
    position, dot, ordinal = key.partition(".")
    if not (dot and position.isdecimal() and ordinal.isdecimal()):
        raise invalid([problem("after", "this is not a cursor of an earlier page")])
    return Place(int(position), int(ordinal))


async def places_of(
    snapshot: Snapshot,
    thing: Thing,
    range_: LogRange,
    after: Place,
    limit: int,
    *,
    given_by: str | None = None,
    unchanged: bool = False,
) -> list[Place]:
    """Return the next places of a thing; those given by an actor only, and those of needless attempts as well."""
    of_thing = OF_THING.replace("{given_by}", GIVEN_BY if given_by is not None else "")
    statement = of_thing.replace("{table}", "entries")
    if unchanged:
        of_unchanged = of_thing.replace("{table}", "unchanged")
        statement = OF_BOTH_TABLES.replace("{entries}", statement).replace("{unchanged}", of_unchanged)
    params = {
        **range_.parameters,
        "kind": thing.kind,
        "name": thing.name,
        "given_by": given_by,
        "after_position": after.position,
        "after_ordinal": after.ordinal,
        "limit": limit,
    }
    return [Place(*row) for row in await snapshot.select(statement, params)]


async def is_on_record(snapshot: Snapshot, thing: Thing) -> bool:
    """Return whether any event or attempt ever concerned the thing."""
    ((found,),) = await snapshot.select(ON_RECORD, {"kind": thing.kind, "name": thing.name})
    return bool(found)
