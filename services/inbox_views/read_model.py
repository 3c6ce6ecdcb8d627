"""The read model of one question: typed access to the rows of its account."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

from services.inbox_views.domain.address_answer import AddressContext, claim_of
from services.inbox_views.statements import (
    ACTIVE,
    ADDRESSES_IN,
    ALIASES,
    ALIASES_OF,
    CLAIMS,
    CONNECTED_BY,
    FIRST_SENDERS,
    ONE_ADDRESS,
    ORPHANS,
    OWNED,
    SOME_ADDRESSES,
    TEAM,
    USERS,
)
from shared.core.address import CanonicalAddress
from shared.core.policies import Membership
from shared.core.state import address as addresses
from shared.core.state.rows import AccountRow, AddressRow, InboxRow, UserRow
from shared.core.state.user import administers
from shared.language import questions as q
from shared.language.reasons import QuestionError
from shared.language.text import SERVICE
from shared.projections.answers import QuestionRefusedError, cursor_key, not_allowed
from shared.projections.cooperative import cooperatively
from shared.projections.snapshot import Snapshot


class ReadModel:
    """Typed access to the rows of one account, for one actor; it records the aggregates that the answer depends on."""

    def __init__(self, snapshot: Snapshot, actor: str) -> None:
        self._snapshot = snapshot
        self.actor = actor
        self.account: AccountRow = snapshot.account_doc
        self.administers = actor.startswith(SERVICE) or administers(snapshot.actor_doc)

    def require_administrator(self) -> None:
        if not self.administers:
            raise not_allowed("account_access", "Only administrators may ask this.")

    def require_self(self, user: str) -> None:
        if not self.administers and self.actor != user:
            raise not_allowed("self", "Only the user and administrators may ask this.")

    # ---- users

    async def user(self, name: str) -> UserRow:
        self._snapshot.depends_on("user", name)
        rows = await self._select("SELECT doc FROM users WHERE account = %(account)s AND key = %(key)s", key=name)
        if not rows:
            raise QuestionRefusedError(QuestionError.USER_NOT_FOUND, f"There is no user {name}.", {"user": name})
        user: UserRow = rows[0][0]
        return user

    async def users(self, after_key: str, limit: int) -> list[UserRow]:
        self._snapshot.depends_on("user")
        return await self._rows(USERS, after=after_key, limit=limit)

    async def active_among(self, members: Iterable[Membership]) -> list[str]:
        """Return the active users, by id, whom any of these inboxes admits."""
        listed = list(members)
        if not any(one.everyone for one in listed):
            return sorted(await self.active(await users_named(listed)))
        self._snapshot.depends_on("user")
        return [name for (name,) in await self._select(ACTIVE + "ORDER BY key")]

    async def active(self, names: Iterable[str]) -> set[str]:
        """Return those of these users who are active."""
        wanted = list(names)
        if not wanted:
            return set()
        self._snapshot.depends_on("user", *wanted)
        return {name for (name,) in await self._select(ACTIVE + "AND key = ANY(%(names)s)", names=wanted)}

    async def unread_inboxes(self, members: Mapping[str, Membership], besides: str | None = None) -> set[str]:
        """Return those of these inboxes without an active reader, one user not counted."""
        # An active actor spares most questions the statement.
        asking_user = self.actor if self._snapshot.actor_active and self.actor != besides else None
        unsure = {name: one for name, one in members.items() if asking_user is None or not one.admits(asking_user)}
        active = await self.active(await users_named(unsure.values())) - {besides}
        found = {name for name, one in unsure.items() if one.names.isdisjoint(active)}
        open_to_all = {name for name in found if unsure[name].everyone}
        return found - open_to_all if open_to_all and await self._any_active_user(besides) else found

    async def _any_active_user(self, besides: str | None) -> bool:
        """Return whether there is an active user but this one."""
        self._snapshot.depends_on("user")
        return bool(await self._select(ACTIVE + "AND key IS DISTINCT FROM %(besides)s LIMIT 1", besides=besides))

    # ---- inboxes

    async def inbox(self, name: str) -> InboxRow:
        found = await self.inboxes_named([name])
        if not found:
            raise QuestionRefusedError(QuestionError.INBOX_NOT_FOUND, f"There is no inbox {name}.", {"inbox": name})
        return found[0]

    async def inboxes(self) -> list[InboxRow]:
        self._snapshot.depends_on("inbox")
        return await self._rows("SELECT doc FROM inboxes WHERE account = %(account)s ORDER BY key")

    async def inboxes_named(self, names: Iterable[str]) -> list[InboxRow]:
        wanted = list(names)
        if not wanted:
            return []
        self._snapshot.depends_on("inbox", *wanted)
        return await self._rows(
            "SELECT doc FROM inboxes WHERE account = %(account)s AND key = ANY(%(names)s) ORDER BY key", names=wanted
        )

    async def open_inboxes(self) -> int:
        self._snapshot.depends_on("inbox")
        rows = await self._select(
            "SELECT count(*) FROM inboxes WHERE account = %(account)s AND NOT (doc->>'archived')::boolean"
        )
        return int(rows[0][0])

    # ---- addresses

    async def address(self, name: CanonicalAddress) -> tuple[AddressRow, AddressContext, InboxRow | None]:
        """Return an address, free when there is no row, with its context and its inbox."""
        self._snapshot.depends_on("address", name.address)
        rows = await self._select(ONE_ADDRESS, key=name.address)
        if not rows:
            return addresses.free(name.address, name.display), AddressContext(), None
        *columns, inbox, aliases = rows[0]
        row, context = with_context((*columns, aliases))
        claim = claim_of(row, context)
        if row["primary"] is not None:
            self._snapshot.depends_on("address", row["primary"])
        if claim["inbox"] is not None:
            self._snapshot.depends_on("inbox", claim["inbox"])
        self._snapshot.depends_on("user", *(user for user in (claim["owner"], claim["connector"]) if user))
        return row, context, inbox

    async def addresses(self, question: q.Addresses) -> list[tuple[AddressRow, AddressContext]]:
        self._snapshot.depends_on("address")
        self._snapshot.depends_on("user")
        rows = await self._select(
            SOME_ADDRESSES,
            after=cursor_key(question),
            limit=question.limit + 1,
            state=question.state,
            kind=question.kind,
            inbox=question.inbox,
            owner=question.owner,
        )
        return await self._with_aliases(rows)

    async def addresses_in(self, names: Iterable[str]) -> list[tuple[AddressRow, AddressContext]]:
        """Return the addresses connected to these inboxes, by name, without aliases of their own."""
        self._snapshot.depends_on("address")
        self._snapshot.depends_on("user")
        return await self._with_aliases(await self._select(ADDRESSES_IN, inboxes=list(names)))

    async def _with_aliases(self, rows: Sequence[tuple[Any, ...]]) -> list[tuple[AddressRow, AddressContext]]:
        aliases: defaultdict[str, list[str]] = defaultdict(list)
        if names := [row["address"] for row, *_ in rows]:
            for primary, alias in await self._select(ALIASES_OF, primaries=names):
                aliases[primary].append(alias)
        return [with_context((*row, aliases[row[0]["address"]])) async for row in cooperatively(rows)]

    async def team(self, names: Iterable[str]) -> list[AddressRow]:
        """Return the addresses connected to these inboxes, without context."""
        self._snapshot.depends_on("address")
        return await self._rows(TEAM, inboxes=list(names))

    async def first_senders(self) -> list[tuple[str, str]]:
        """Return the first address of each inbox that can send, with the inbox, by address."""
        self._snapshot.depends_on("address")
        return [(address, inbox) for address, inbox in await self._select(FIRST_SENDERS)]

    async def owned(self, users: Iterable[str]) -> list[AddressRow]:
        """Return the personal addresses of these users, without orphaned ones."""
        self._snapshot.depends_on("address")
        return await self._rows(OWNED, owners=list(users))

    async def connected_by(self, user: str) -> list[str]:
        """Return the team addresses whose connector the user is, by name."""
        self._snapshot.depends_on("address")
        return [name for (name,) in await self._select(CONNECTED_BY, connector=user)]

    async def aliases(self, primaries: Iterable[str]) -> list[AddressRow]:
        """Return the aliases of these addresses, by name."""
        self._snapshot.depends_on("address")
        return await self._rows(ALIASES, primaries=list(primaries))

    async def claims(self, names: Iterable[str]) -> dict[str, tuple[AddressRow, AddressRow]]:
        """Return those of these addresses that have a row, each with the row of its claim."""
        wanted = list(names)
        self._snapshot.depends_on("address", *wanted)
        found: dict[str, tuple[AddressRow, AddressRow]] = {}
        for row, primary in await self._select(CLAIMS, names=wanted):
            if row["primary"] is not None:
                self._snapshot.depends_on("address", row["primary"])
            found[row["address"]] = (row, primary or row)
        return found

    async def orphans(self, after_key: str, limit: int) -> list[AddressRow]:
        self._snapshot.depends_on("address")
        return await self._rows(ORPHANS, after=after_key, limit=limit)

    async def _rows(self, query: LiteralString, **params: Any) -> list[Any]:
        return [row for (row,) in await self._select(query, **params)]

    async def _select(self, query: LiteralString, **params: Any) -> list[tuple[Any, ...]]:
        return await self._snapshot.select(query, params)


async def users_named(members: Iterable[Membership]) -> set[str]:
    """Return all users whom any of these inboxes admits by name or through a team."""
    found: set[str] = set()
    async for one in cooperatively(members):
        found |= one.names
    return found


def with_context(columns: tuple[Any, ...]) -> tuple[AddressRow, AddressContext]:
    row, primary, owner, permissions, connector, aliases = columns
    return row, AddressContext(primary, owner, permissions or (), connector, tuple(aliases))
