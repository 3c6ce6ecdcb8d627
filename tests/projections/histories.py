"""Random logs with dead letters, what the plain fold makes of them at every position, and the rows of a history."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from services.inbox_views.projection import DEFINITION
from shared.language import events as e
from shared.language.recorded import Recorded
from shared.projections.definition import PAST_TABLES, TABLES, Fold
from shared.projections.events import key_of
from tests.inbox_views.stories import ALL, Story, personal

HISTORY = DEFINITION.history()
UNKNOWN = "switchboard.Unheard.v9"


@dataclass
class Log:
    """Events of several accounts in the order of positions; `topics` replace the true ones by position."""

    recorded: list[Recorded] = field(default_factory=list)
    topics: dict[int, str] = field(default_factory=dict)


Choose = Callable[[random.Random], e.Event]
ADDRESSES = [f"{name}@acme.example" for name in ("ann", "ben", "cat", "dan", "eve", "fay")]
USERS, INBOXES = ("ana", "bob", "cleo"), ("inbox", "sales")

EVENTS: Sequence[Choose] = (
    lambda r: e.AccountRegistered(plan="professional", admin="ana"),
    lambda r: e.PlanChanged(plan=r.choice(("professional", "enterprise"))),
    lambda r: e.TeamCreated(team=r.choice("st"), name="Team", members=(r.choice(USERS),)),
    lambda r: e.UserAdded(user=r.choice(USERS), name="Somebody", permissions=ALL),
    lambda r: e.UserDeactivated(user=r.choice(USERS)),
    lambda r: e.UserReactivated(user=r.choice(USERS)),
    lambda r: e.InboxCreated(inbox=r.choice(INBOXES), name="Inbox", access="everyone"),
    lambda r: e.InboxRenamed(inbox=r.choice(INBOXES), name=f"Inbox {r.random()}"),
    lambda r: personal(r.choice(ADDRESSES), r.choice(USERS)),
    lambda r: personal(r.choice(ADDRESSES), r.choice(USERS)),
    lambda r: e.ToolBound(address=r.choice(ADDRESSES), tool=r.choice(("meetings", "sequences"))),
    lambda r: e.AddressOrphaned(address=r.choice(ADDRESSES), owner="bob"),
    lambda r: e.Disconnected(address=r.choice(ADDRESSES), kind="personal", owner="bob"),
    lambda r: e.FromNameChanged(address=r.choice(ADDRESSES), from_name=r.choice(("a", "tab\t\\N\n\\.", '"é \u2028'))),
    lambda r: e.FromNameChanged(address=r.choice(ADDRESSES), from_name="nul\x00" if r.random() < 0.1 else "no nul"),
)


BEGINNINGS: Sequence[e.Event] = (
    e.AccountRegistered(plan="professional", admin="ana"),
    *(e.UserAdded(user=user, name=user, permissions=ALL) for user in USERS),
    *(e.InboxCreated(inbox=inbox, name=inbox, access="everyone") for inbox in INBOXES),
    *(personal(address, "bob") for address in ADDRESSES[1:]),
)


def random_log(seed: int, events: int) -> Log:
    """Events without any rule: some come before their aggregate began, some are unknown, some PostgreSQL refuses."""
    chance, log = random.Random(seed), Log()  # noqa: S311  the same log for the same seed
    accounts = {name: (Story(name), list(BEGINNINGS)) for name in ("acme", "zenith")}
    for position in range(1, events + 1):
        story, beginnings = accounts[chance.choice(list(accounts))]
        story.recorded.clear()
        event = beginnings.pop(0) if beginnings and chance.random() < 0.8 else chance.choice(EVENTS)(chance)
        (recorded,) = story.tell(event).recorded
        if chance.random() < 0.01:
            # A second aggregate with the name of another.
            recorded = recorded._replace(stream=UUID(int=position))
        if chance.random() < 0.01:
            log.topics[position] = UNKNOWN
        log.recorded.append(recorded._replace(position=position))
    return log


# ---- what it must be


class Version(NamedTuple):
    """One version of a row; `until` is None for the newest."""

    table: str
    stream: UUID
    account: str
    key: str
    doc: Any
    version: int
    position: int
    until: int | None


@dataclass
class Expected:
    """The versions of all rows, and the positions of parked events, in order."""

    versions: list[Version]
    parked: list[int]

    def as_of(self, position: int) -> "set[str]":
        """The rows as of a position, as text."""
        return {
            text(version._replace(until=None))
            for version in self.versions
            if version.position <= position and (version.until is None or version.until > position)
        }


def plain(log: Log, fold: Fold = DEFINITION.fold) -> Expected:
    """Fold one event after the other; an aggregate stops at its first event that cannot be applied."""
    rows: dict[UUID, list[Version]] = defaultdict(list)
    owners: dict[tuple[str, str, str], UUID] = {}
    stopped: set[UUID] = set()
    expected = Expected([], [])
    for one in log.recorded:
        try:
            if one.stream in stopped or one.position in log.topics:
                raise ValueError
            before = rows[one.stream]
            doc = orjson.loads(orjson.dumps(fold(before[-1].doc if before else None, one)))
            table, key = TABLES[one.event.aggregate], key_of(one)
            if (
                b"\\u0000" in orjson.dumps(doc)
                or owners.setdefault((table, one.account, key), one.stream) != one.stream
            ):
                raise ValueError
        except Exception:  # noqa: BLE001  as the host does
            stopped.add(one.stream)
            expected.parked.append(one.position)
        else:
            if before:
                before[-1] = before[-1]._replace(until=one.position)
            before.append(Version(table, one.stream, one.account, key, doc, one.version, one.position, None))
    expected.versions = [version for versions in rows.values() for version in versions]
    return expected


def text(version: Version) -> str:
    return orjson.dumps(list(version), default=str, option=orjson.OPT_SORT_KEYS).decode()


# ---- what it is


async def versions_of(url: str, schema: str = HISTORY.name) -> set[str]:
    """Every version in a history, as text; none is there twice."""
    found: list[str] = []
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for aggregate, table in TABLES.items():
            for part, until in ((f"{table}_current", "NULL"), (PAST_TABLES[aggregate], "until")):
                query = f"SELECT stream, account, key, doc, version, position, {until} FROM {schema}.{part}"
                rows = await connection.execute(query.encode())
                found += [text(Version(table, *row)) for row in await rows.fetchall()]
    assert len(found) == len(set(found))
    return set(found)


async def rows_as_of(url: str, positions: Sequence[int], schema: str = HISTORY.name) -> dict[int, set[str]]:
    """The rows as of each position, through the SQL views that questions use."""
    found: dict[int, set[str]] = {}
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for position in positions:
            await connection.execute("SELECT set_config('switchboard.as_of', %s, false)", (str(position),))
            found[position] = set()
            for table in TABLES.values():
                names = sql.Identifier(schema), sql.Identifier(table)
                query = "SELECT stream, account, key, doc, version, position, NULL FROM {}.{}"
                rows = await connection.execute(sql.SQL(query).format(*names))
                found[position] |= {text(Version(table, *row)) for row in await rows.fetchall()}
    return found


async def parked_in(url: str, schema: str = HISTORY.name) -> list[int]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(f"SELECT position FROM {schema}.parked ORDER BY 1".encode())
        return [position for (position,) in await rows.fetchall()]


async def position_of(url: str, schema: str = HISTORY.name) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await connection.execute(f"SELECT position FROM {schema}.view".encode())
        ((position,),) = await rows.fetchall()
        return int(position)
