"""The context of one decision: its actor, canonical addresses, and typed access to aggregates and constraint sets."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from services.connections.domain import inbox as inboxes
from services.connections.domain.account import AccountState, RegisteredAccount, require_account
from services.connections.domain.actor import Actor, identify
from services.connections.domain.address import state as addresses
from services.connections.domain.address.state import (
    AddressState,
    AddressTakenError,
    Alias,
    AnyConnection,
    Orphaned,
    Personal,
    Team,
)
from services.connections.domain.disclosure import RefusedCommand, explain, may_see
from services.connections.domain.inbox import Inbox, InboxState, UnknownInbox
from services.connections.domain.user import SUPER_ADMINS, UnknownUser, User, UserState, is_active
from shared.core.address import CanonicalAddress
from shared.core.decider import Reads
from shared.core.refusal import Refused
from shared.language.text import SERVICE


class DecisionContext:
    """`canonical` holds the command's address fields by name, `lists` its never-log lists, both canonical."""

    def __init__(
        self,
        reads: Reads,
        account: str,
        actor: str,
        canonical: Mapping[str, CanonicalAddress],
        lists: Mapping[str, list[str]],
    ) -> None:
        self._reads = reads
        self._canonical = canonical
        self._actor = actor
        self.name = account
        self.lists = lists
        # Several reads of a command need it.
        self._state: AddressState | None = None

    # ---- single aggregates

    def account_state(self) -> AccountState:
        found: AccountState = self._reads.state(self.name, "account", self.name)
        return found

    def account(self) -> RegisteredAccount:
        """Raises the refusal ACCOUNT_NOT_FOUND."""
        return require_account(self.account_state(), self.name)

    def actor(self) -> Actor:
        """Raises the refusal PERMISSION_MISSING for an actor who is unknown, deactivated or removed."""
        if self._actor.startswith(SERVICE):
            return Actor(self._actor, None)
        return identify(self._actor, self.user(self._actor))

    def user(self, name: str) -> UserState:
        found: UserState = self._reads.state(self.name, "user", name)
        return found

    def is_active(self, user: str) -> bool:
        return is_active(self.user(user))

    def expect_users(self, names: Iterable[str]) -> None:
        """Several users are read at once, before the first is used."""
        self._reads.expect(self.name, "user", list(names))

    def inbox(self, name: str) -> InboxState:
        found: InboxState = self._reads.state(self.name, "inbox", name)
        return found

    def target(self, field: str = "address") -> CanonicalAddress:
        return self._canonical[field]

    def address(self, canonical: str) -> AddressState:
        found: AddressState = self._reads.state(self.name, "address", canonical)
        return found

    def primary(self, state: AddressState) -> AddressState:
        """The state that an alias follows; any other state is its own primary."""
        return self.address(state.primary) if isinstance(state, Alias) else state

    def state(self) -> AddressState:
        """The state of the address that the command names."""
        if self._state is None:
            self._state = self.address(self._canonical["address"].address)
        return self._state

    def holder(self) -> AddressState:
        """The same, of an alias its primary's."""
        return self.primary(self.state())

    # ---- sets

    def owned(self, user: str) -> list[Personal]:
        return [one for one in self._addresses(addresses.owned_by(user)) if isinstance(one, Personal)]

    def orphaned(self, user: str) -> list[Orphaned]:
        return [one for one in self._addresses(addresses.orphaned_from(user)) if isinstance(one, Orphaned)]

    def connected_to_all(self, names: Sequence[str], at_most: int | None = None) -> dict[str, list[Team]]:
        """By inbox, all read at once; see `Reads.members_of_all`."""
        found = self._addresses_of_all([addresses.connected_to(inbox) for inbox in names], at_most)
        teams = [[one for one in of_one if isinstance(one, Team)] for of_one in found]
        return dict(zip(names, teams, strict=True))

    def aliases_of_all(self, primaries: Sequence[str]) -> dict[str, list[Alias]]:
        """By primary."""
        found = self._addresses_of_all([addresses.aliases_of(primary) for primary in primaries])
        return {name: [one for one in of if isinstance(one, Alias)] for name, of in zip(primaries, found, strict=True)}

    def mailbox(self, provider: str | None, identity: str | None, but: str) -> Iterable[AddressState]:
        """The other addresses pinned to the same provider identity."""
        if identity is None:
            return ()
        found = self._addresses(addresses.mailbox(provider, identity))
        return [one for one in found if isinstance(one, Personal | Team | Orphaned) and one.address != but]

    def siblings(self, state: AddressState) -> Iterable[AddressState]:
        """The other addresses of the mailbox behind this one."""
        if not isinstance(state, Personal | Team | Orphaned):
            return ()
        return self.mailbox(state.provider, state.provider_identity, state.address)

    def siblings_of_all(self, connections: Sequence[AnyConnection]) -> Iterable[Iterable[AddressState]]:
        """The siblings of each, all read at once."""
        pinned = [one for one in connections if one.provider_identity is not None]
        self._addresses_of_all([addresses.mailbox(one.provider, one.provider_identity or "") for one in pinned])
        return [self.siblings(one) for one in connections]

    def open_inboxes(self) -> list[Inbox]:
        found = cast(list[Inbox], self._reads.members(self.name, "inbox", inboxes.OPEN))
        return sorted(found, key=lambda inbox: inbox.id)

    def open_inbox_count(self) -> int:
        return self._reads.count(self.name, inboxes.OPEN)

    def archived_inboxes(self) -> list[Inbox]:
        found = cast(list[Inbox], self._reads.members(self.name, "inbox", inboxes.ARCHIVED))
        return sorted(found, key=lambda inbox: inbox.id)

    def open_inbox(self, name: str) -> Inbox:
        """Raises the refusals INBOX_NOT_FOUND and INBOX_ARCHIVED."""
        inbox = inboxes.require_inbox(self.inbox(name), name)
        if inbox.archived:
            inboxes.refuse_archived(inbox, self.account(), self.open_inbox_count())
        return inbox

    def holder_of_name(self, name: str, but: str) -> Inbox | None:
        """Another inbox that has this name, if there is one; it may be archived."""
        holders = cast(list[Inbox], self._reads.members(self.name, "inbox", inboxes.name_set(name)))
        return next((inbox for inbox in holders if inbox.id != but), None)

    def is_last_super_admin(self, user: User) -> bool:
        admins = cast(list[User], self._reads.members(self.name, "user", SUPER_ADMINS))
        return [admin.id for admin in admins] == [user.id]

    def _addresses(self, set_name: str) -> list[AddressState]:
        return self._addresses_of_all([set_name])[0]

    def _addresses_of_all(self, set_names: Sequence[str], at_most: int | None = None) -> list[list[AddressState]]:
        members = self._reads.members_of_all(self.name, "address", set_names, at_most)
        found = cast(Sequence[Sequence[AddressState]], members)
        return [sorted(of_one, key=lambda state: getattr(state, "address", "")) for of_one in found]

    # ---- disclosure

    def explain(self, error: AddressTakenError, command: str) -> Refused:
        """The refusal as the actor may read it."""
        holder, actor = error.holder, self.actor()
        primary = self.primary(holder)
        inbox = self.inbox(primary.inbox) if isinstance(primary, Team) else UnknownInbox()
        named = {address.address for address in self._canonical.values()}
        name = holder.address if holder.address in named else self.target().address
        refused = RefusedCommand(
            command,
            name,
            self.address(name),
            actor,
            primary,
            self.user(holder.owner) if isinstance(holder, Personal) else UnknownUser(),
            may_see(actor, primary, inbox, self.account()),
        )
        return explain(error, refused)
