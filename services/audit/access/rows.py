"""Facts about access, read from the history of one account; what an answer depends on is recorded."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, LiteralString, NamedTuple

from services.audit.access.statements import (
    ADDRESSES_OF,
    ADMINISTRATORS,
    ALIASES_OF,
    ALL_USERS,
    HOLDERS,
    INACTIVE,
    ORPHANED,
    OWNED_BY,
    SENDS,
    TEAM_EVENTS,
    USERS,
)
from services.audit.domain.facts import (
    AddressFacts,
    InboxFacts,
    Life,
    TeamFields,
    Teams,
    UserFacts,
    UserFields,
    address_facts,
    inbox_facts,
    team_facts,
    user_facts,
)
from services.audit.domain.spans import Span, Spans, Version, union
from services.audit.logged_facts import fact_of
from shared.language.events import Aggregate, TeamCreated, TeamMembersChanged, UserAdded
from shared.language.recorded import stream_id
from shared.process.log_reader import EventLog, StoredEvent
from shared.projections.cooperative import cooperatively
from shared.projections.history.versions import RowVersion, versions_in_account, versions_of
from shared.projections.snapshot import Snapshot

FIRST: Final = 1
ADDED: Final = UserAdded.stored_name().rpartition(".")[0]


class Orphaned(NamedTuple):
    """A time in which an address had no owner."""

    address: str
    span: Span


class Holder(NamedTuple):
    """The owner of a personal address, or the inbox of a team address; a free address has neither."""

    owner: str | None
    inbox: str | None


class AccessRows:
    """The facts of one account up to the position of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.log = EventLog(snapshot.rows)
        self._reached = snapshot.position

    async def addresses(self, names: Iterable[str]) -> dict[str, AddressFacts]:
        """Return the facts of those of these addresses that were ever connected."""
        return {name: address_facts(versions) for name, versions in (await self._versions("address", names)).items()}

    async def inboxes(self, names: Iterable[str]) -> dict[str, InboxFacts]:
        return {name: inbox_facts(versions) for name, versions in (await self._versions("inbox", names)).items()}

    async def teams_of(self, inboxes: Iterable[InboxFacts]) -> Teams:
        """Return the members of all teams that these inboxes ever named."""
        names = {team for inbox in inboxes for team in inbox.teams}
        found = await self._teams("team", names) if names else {}
        return {team: team_facts(versions) for team, versions in found.items()}

    async def sends_of(self, inboxes: Iterable[str]) -> Mapping[str, Spans]:
        """Return when at least one address of each inbox could send."""
        self.snapshot.depends_on("address")
        found: defaultdict[str, list[Spans]] = defaultdict(list)
        for inbox, position, until in await self._select(SENDS, names=list(inboxes)):
            found[inbox].append((Span(position, self._end(until)),))
        return {inbox: union(spans) for inbox, spans in found.items()}

    # ---- users

    async def users(self, names: Sequence[str]) -> list[UserFacts]:
        """Return those of these users who ever were, by id."""
        return [user for user, _ in await self.users_with_versions(names)]

    async def users_with_versions(self, names: Sequence[str]) -> list[tuple[UserFacts, list[Version[UserFields]]]]:
        """Return those of these users who ever were, by id, each with the versions that changed their access."""
        self.snapshot.depends_on("user", *names)
        found = await self._changes(USERS, names)
        added = await self._additions(found.values())
        return [
            (user_facts(name, versions, _lives(versions, added)), versions) for name, versions in sorted(found.items())
        ]

    async def _additions(self, users: Iterable[Sequence[Version[UserFields]]]) -> set[int]:
        """Return the positions at which a removed user's id was given to another person."""
        returns = [
            after.position
            for versions in users
            for before, after in pairwise(versions)
            if before.row["status"] == "removed" and after.row["status"] == "active"
        ]
        events = await self.log.events_at(returns) if returns else ()
        return {event.position for event in events if event.topic.startswith(ADDED)}

    async def users_after(self, after: str, limit: int) -> list[str]:
        """Return the ids of users, removed ones too."""
        self.snapshot.depends_on("user")
        return [name for (name,) in await self.snapshot.select(ALL_USERS, {"after": after, "limit": limit})]

    async def administrators(self, first: int, last: int) -> set[str]:
        """Return everybody who held a permission to administer at any position of a range."""
        self.snapshot.depends_on("user")
        return {name for (name,) in await self._select(ADMINISTRATORS, first=first, last=last)}

    # ---- few users

    async def all_inboxes(self, users: Collection[str]) -> dict[str, InboxFacts]:
        """Return the facts of all inboxes; of their members, those of these users alone."""
        self.snapshot.depends_on("inbox")
        found: dict[str, InboxFacts] = {}
        async for part in versions_in_account(self.snapshot, "inbox", FIRST, self._reached):
            async for name, versions in cooperatively(self._by_key(part).items()):
                found[name] = inbox_facts(versions, of_users=users)
        return found

    async def teams_with(self, users: Collection[str]) -> Mapping[str, Teams]:
        """Return the teams that each of these users was ever in, with that user alone."""
        # The index has the events that added or removed these users.
        found = {team: team_facts(versions) for team, versions in (await self._teams("user", users)).items()}
        return {
            user: {team: {user: members[user]} for team, members in found.items() if user in members} for user in users
        }

    async def _teams(self, kind: str, names: Iterable[str]) -> dict[str, list[Version[TeamFields]]]:
        """Return the members of teams after each event about them that concerns these teams or users."""
        account = self.snapshot.account
        params = {"kind": kind, "names": list(names), "stream": stream_id(account, "account", account)}
        versions: dict[str, list[Version[TeamFields]]] = {}
        async for row in cooperatively(await self._select(TEAM_EVENTS, **params)):
            recorded = fact_of(StoredEvent(*row)).recorded
            if recorded and isinstance(event := recorded.event, TeamCreated | TeamMembersChanged):
                _add(versions.setdefault(event.team, []), {"members": list(event.members)}, row[-1])
        return versions

    async def aliases_of(self, primaries: Iterable[str]) -> list[str]:
        """Return the addresses that ever were aliases of these."""
        self.snapshot.depends_on("address")
        return [name for (name,) in await self._select(ALIASES_OF, names=list(primaries))]

    async def addresses_of(self, user: str | None, inboxes: Iterable[str], after: str, limit: int) -> list[str]:
        """Return the addresses that the user owned or that were in these inboxes, and their aliases, by name."""
        self.snapshot.depends_on("address")
        params = {"user": user, "inboxes": list(inboxes), "after": after, "limit": limit}
        return [name for (name,) in await self.snapshot.select(ADDRESSES_OF, params)]

    async def owned_by(self, user: str, after: str, limit: int, *, now: bool) -> list[str]:
        """Return the addresses that the user ever owned, or owns now, by name."""
        self.snapshot.depends_on("address")
        params = {"user": user, "after": after, "limit": limit, "now": now}
        return [name for (name,) in await self._select(OWNED_BY, **params)]

    # ---- people who left

    async def inactive_within(self, first: int, last: int) -> list[str]:
        """Return the users who were not active after an event in a range of positions, by id."""
        self.snapshot.depends_on("user")
        return [name for (name,) in await self._select(INACTIVE, first=first, last=last)]

    async def orphaned(self, owners: Sequence[str]) -> dict[str, list[Orphaned]]:
        """Return the spans in which addresses had no owner, by their former owner."""
        self.snapshot.depends_on("address")
        spans: defaultdict[tuple[str, str], list[Spans]] = defaultdict(list)
        for address, owner, position, until in await self._select(ORPHANED, names=list(owners)):
            spans[(owner, address)].append((Span(position, self._end(until)),))
        found: defaultdict[str, list[Orphaned]] = defaultdict(list)
        for (owner, address), parts in spans.items():
            found[owner] += [Orphaned(address, span) for span in union(parts)]
        return found

    async def holders(self, changes: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Holder]:
        """Return who held an address from a change of it on, by address and position."""
        wanted = list(changes)
        params = {"names": [name for name, _ in wanted], "positions": [position for _, position in wanted]}
        rows = await self._select(HOLDERS, **params) if wanted else ()
        return {(name, position): Holder(owner, inbox) for name, position, owner, inbox in rows}

    # ---- versions

    async def _versions(self, aggregate: Aggregate, names: Iterable[str]) -> dict[str, list[Version[Any]]]:
        wanted = list(names)
        if not wanted:
            return {}
        self.snapshot.depends_on(aggregate, *wanted)
        return self._by_key(await versions_of(self.snapshot, aggregate, wanted, FIRST, self._reached))

    async def _changes(self, query: LiteralString, names: Iterable[str]) -> dict[str, list[Version[Any]]]:
        """Return versions of rows that have a name, a value and the position of each change of it."""
        found: dict[str, list[Version[Any]]] = {}
        for name, value, position in await self._select(query, names=list(names)):
            _add(found.setdefault(name, []), value, position)
        return found

    def _by_key(self, versions: Iterable[RowVersion]) -> dict[str, list[Version[Any]]]:
        found: dict[str, list[Version[Any]]] = {}
        for one in versions:
            found.setdefault(one.key, []).append(Version(one.doc, one.position, self._end(one.until)))
        return found

    def _end(self, until: int | None) -> int | None:
        """Return the end of a version; None where it came after the answer's position."""
        return until if until is not None and until <= self._reached else None

    async def _select(self, query: LiteralString, **params: Any) -> list[tuple[Any, ...]]:
        return await self.snapshot.select(query, {"reached": self._reached, **params})


def _add(versions: list[Version[Any]], row: Any, position: int) -> None:
    """Add a version that replaces the one before it."""
    if versions:
        versions[-1] = versions[-1]._replace(until=position)
    versions.append(Version(row, position, None))


def _lives(versions: Sequence[Version[UserFields]], added: set[int]) -> list[Life]:
    first, *later = versions
    begun = [first, *(one for one in later if one.position in added)]
    return [Life(one.position, one.row["name"]) for one in begun]
