"""Facts about access, read from the history of one account; what an answer depends on is recorded."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, LiteralString, TypeVar

from services.audit.access.statements import ADDRESSES_OF, ADMINISTRATORS, ALL_USERS, SENDS, TEAMS, TEAMS_WITH, USERS
from services.audit.domain.facts import (
    AddressFacts,
    InboxFacts,
    Life,
    Teams,
    UserFacts,
    UserFields,
    address_facts,
    inbox_facts,
    team_facts,
    user_facts,
)
from services.audit.domain.spans import Span, Spans, Version, union
from shared.language.events import Aggregate, UserAdded
from shared.process.log_reader import EventLog
from shared.projections.cooperative import cooperatively
from shared.projections.history.versions import RowVersion, versions_in_account, versions_of
from shared.projections.snapshot import Snapshot

FIRST: Final = 1
ADDED: Final = UserAdded.stored_name().rpartition(".")[0]

T = TypeVar("T")


class AccessRows:
    """The facts of one account up to the position of a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.log = EventLog(snapshot.rows)

    async def addresses(self, names: Iterable[str]) -> dict[str, AddressFacts]:
        """Return the facts of those of these addresses that were ever connected."""
        return {name: address_facts(versions) for name, versions in (await self._versions("address", names)).items()}

    async def inboxes(self, names: Iterable[str]) -> dict[str, InboxFacts]:
        return {name: inbox_facts(versions) for name, versions in (await self._versions("inbox", names)).items()}

    async def teams_of(self, inboxes: Iterable[InboxFacts]) -> Teams:
        """Return the members of all teams that these inboxes ever named."""
        names = {team for inbox in inboxes for team in inbox.teams}
        if not names:
            return {}
        found = await self._changes(TEAMS, names)
        return {
            team: team_facts([v._replace(row={"members": v.row}) for v in versions]) for team, versions in found.items()
        }

    async def sends_of(self, inboxes: Iterable[str]) -> Mapping[str, Spans]:
        """Return when at least one address of each inbox could send."""
        self.snapshot.depends_on("address")
        found: defaultdict[str, list[Spans]] = defaultdict(list)
        for inbox, position, until in await self.snapshot.select(SENDS, {"names": list(inboxes)}):
            found[inbox].append((Span(position, until),))
        return {inbox: union(spans) for inbox, spans in found.items()}

    # ---- users

    async def users(self, names: Sequence[str]) -> list[UserFacts]:
        """Return those of these users who ever were, by id."""
        self.snapshot.depends_on("user", *names)
        found = await self._changes(USERS, names)
        added = await self._additions(found.values())
        return [user_facts(name, versions, _lives(versions, added)) for name, versions in sorted(found.items())]

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

    async def administrators(self) -> set[str]:
        """Return everybody who ever held a permission to administer."""
        self.snapshot.depends_on("user")
        return {name for (name,) in await self.snapshot.select(ADMINISTRATORS)}

    # ---- one user

    async def inboxes_with(self, user: str, teams: Teams) -> dict[str, InboxFacts]:
        """Return the inboxes that ever admitted a user, of whom the facts are; `teams` are those of the user."""
        self.snapshot.depends_on("inbox")
        found: dict[str, InboxFacts] = {}
        async for part in versions_in_account(self.snapshot, "inbox", FIRST, self.snapshot.position):
            async for name, versions in cooperatively(by_key(part).items()):
                inbox = inbox_facts(versions, of_user=user)
                if inbox.everyone or inbox.members or not teams.keys().isdisjoint(inbox.teams):
                    found[name] = inbox
        return found

    async def teams_with(self, user: str) -> Teams:
        """Return the teams that a user was ever in, with the user alone."""
        found: defaultdict[str, list[Spans]] = defaultdict(list)
        for team, position, until in await self.snapshot.select(TEAMS_WITH, {"user": user}):
            found[team].append((Span(position, until),))
        return {team: {user: union(spans)} for team, spans in found.items()}

    async def addresses_of(self, user: str, inboxes: Iterable[str], after: str, limit: int) -> list[str]:
        """Return the addresses that the user owned or that were in these inboxes, and their aliases, by name."""
        self.snapshot.depends_on("address")
        params = {"user": user, "inboxes": list(inboxes), "after": after, "limit": limit}
        return [name for (name,) in await self.snapshot.select(ADDRESSES_OF, params)]

    # ---- versions

    async def _versions(self, aggregate: Aggregate, names: Iterable[str]) -> dict[str, list[Version[Any]]]:
        wanted = list(names)
        if not wanted:
            return {}
        self.snapshot.depends_on(aggregate, *wanted)
        return by_key(await versions_of(self.snapshot, aggregate, wanted, FIRST, self.snapshot.position))

    async def _changes(self, query: LiteralString, names: Iterable[str]) -> dict[str, list[Version[Any]]]:
        """Return versions of rows that have a name, a value and the position of each change of it."""
        found: dict[str, list[Version[Any]]] = {}
        for name, value, position in await self.snapshot.select(query, {"names": list(names)}):
            versions = found.setdefault(name, [])
            if versions:
                versions[-1] = versions[-1]._replace(until=position)
            versions.append(Version(value, position, None))
        return found


def by_key(versions: Iterable[RowVersion]) -> dict[str, list[Version[Any]]]:
    found: dict[str, list[Version[Any]]] = {}
    for one in versions:
        found.setdefault(one.key, []).append(Version(one.doc, one.position, one.until))
    return found


def _lives(versions: Sequence[Version[UserFields]], added: set[int]) -> list[Life]:
    first, *later = versions
    begun = [first, *(one for one in later if one.position in added)]
    return [Life(one.position, one.row["name"]) for one in begun]
