"""What one decision has in front of it: who asks, canonical addresses, and typed access to what is known."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from services.connections.domain import account as accounts
from services.connections.domain import actor as actors
from services.connections.domain import address as addresses
from services.connections.domain import inbox as inboxes
from services.connections.domain.account import Account, AccountState
from services.connections.domain.actor import Actor
from services.connections.domain.address import AddressState, Alias, Claim, Claimed, Orphaned, Personal, Team
from services.connections.domain.disclosure import Asked, explain, may_see
from services.connections.domain.inbox import Inbox, InboxState, NoInbox
from services.connections.domain.user import SUPER_ADMINS, NoUser, User, UserState, is_active
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

    # ---- single aggregates

    def account_state(self) -> AccountState:
        return cast(AccountState, self._reads.state(self.name, "account", self.name))

    def account(self) -> Account:
        """Raises the refusal ACCOUNT_NOT_FOUND."""
        return accounts.found(self.account_state(), self.name)

    def actor(self) -> Actor:
        """Raises the refusal PERMISSION_MISSING for an actor who is unknown, deactivated or removed."""
        if self._actor.startswith(SERVICE):
            return Actor(self._actor, None)
        return actors.identify(self._actor, self.user(self._actor))

    def user(self, name: str) -> UserState:
        return cast(UserState, self._reads.state(self.name, "user", name))

    def is_active(self, user: str) -> bool:
        return is_active(self.user(user))

    def look_at_users(self, names: Iterable[str]) -> None:
        """Whoever looks at several has all read at once, first."""
        self._reads.expect(self.name, "user", list(names))

    def inbox(self, name: str) -> InboxState:
        return cast(InboxState, self._reads.state(self.name, "inbox", name))

    def target(self, field: str = "address") -> CanonicalAddress:
        return self._canonical[field]

    def address(self, canonical: str) -> AddressState:
        return cast(AddressState, self._reads.state(self.name, "address", canonical))

    def primary(self, state: AddressState) -> AddressState:
        """What an alias follows; anything else is its own primary."""
        return self.address(state.primary) if isinstance(state, Alias) else state

    def state(self) -> AddressState:
        """The state of the address that the command names."""
        return self.address(self.target().address)

    def holder(self) -> AddressState:
        """The same, of an alias its primary's: whose it is."""
        return self.primary(self.state())

    # ---- sets

    def owned(self, user: str) -> list[Personal]:
        return [c for c in self._claims(addresses.owned_by(user)) if isinstance(c, Personal)]

    def orphaned(self, user: str) -> list[Orphaned]:
        return [c for c in self._claims(addresses.orphaned_from(user)) if isinstance(c, Orphaned)]

    def connected_to(self, inbox: str) -> list[Team]:
        return self.connected_to_all([inbox])[inbox]

    def connected_to_all(self, inboxes: Sequence[str], at_most: int | None = None) -> dict[str, list[Team]]:
        """By inbox; whoever asks for several asks at once, see `Reads.members_of_all`."""
        found = self._claims_of_all([addresses.connected_to(inbox) for inbox in inboxes], at_most)
        return {inbox: [c for c in of_one if isinstance(c, Team)] for inbox, of_one in zip(inboxes, found, strict=True)}

    def aliases(self, address: str) -> list[Alias]:
        return self.aliases_of_all([address])[address]

    def aliases_of_all(self, primaries: Sequence[str]) -> dict[str, list[Alias]]:
        """By primary."""
        found = self._claims_of_all([addresses.aliases_of(primary) for primary in primaries])
        return {name: [c for c in of if isinstance(c, Alias)] for name, of in zip(primaries, found, strict=True)}

    def mailbox(self, provider: str | None, identity: str | None, but: str) -> Iterable[AddressState]:
        """The other addresses pinned to the same provider identity."""
        if identity is None:
            return ()
        claims = self._claims(addresses.mailbox(provider, identity))
        return [c for c in claims if isinstance(c, Personal | Team | Orphaned) and c.address != but]

    def siblings(self, state: AddressState) -> Iterable[AddressState]:
        """The other addresses of the mailbox behind this one."""
        if not isinstance(state, Personal | Team | Orphaned):
            return ()
        return self.mailbox(state.link.provider, state.link.provider_identity, state.address)

    def look_at_mailboxes(self, claims: Iterable[Claim]) -> None:
        """Whoever asks for the siblings of several has all read at once, first."""
        links = [claim.link for claim in claims]
        self._claims_of_all([addresses.mailbox(o.provider, o.provider_identity) for o in links if o.provider_identity])

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
        inbox = inboxes.found(self.inbox(name), name)
        if inbox.archived:
            inboxes.refuse_archived(inbox, self.account(), self.open_inbox_count())
        return inbox

    def holder_of_name(self, name: str, but: str) -> Inbox | None:
        """Another inbox that has this name, if there is one."""
        holders = cast(list[Inbox], self._reads.members(self.name, "inbox", inboxes.name_set(name)))
        return next((inbox for inbox in holders if inbox.id != but), None)

    def is_last_super_admin(self, user: User) -> bool:
        admins = cast(list[User], self._reads.members(self.name, "user", SUPER_ADMINS))
        return [admin.id for admin in admins] == [user.id]

    def _claims(self, set_name: str) -> list[AddressState]:
        return self._claims_of_all([set_name])[0]

    def _claims_of_all(self, set_names: Sequence[str], at_most: int | None = None) -> list[list[AddressState]]:
        members = self._reads.members_of_all(self.name, "address", set_names, at_most)
        found = cast(Sequence[Sequence[AddressState]], members)
        return [sorted(of_one, key=lambda claim: getattr(claim, "address", "")) for of_one in found]

    # ---- what a refusal may tell

    def explain(self, claimed: Claimed, command: str) -> Refused:
        claim = claimed.claim
        primary = self.primary(claim)
        inbox = self.inbox(primary.inbox) if isinstance(primary, Team) else NoInbox()
        visible = may_see(self.actor(), primary, inbox, self.account())
        named = {address.address for address in self._canonical.values()}
        name = claim.address if claim.address in named else self.target().address
        owner = self.user(claim.owner) if isinstance(claim, Personal) else NoUser()
        return explain(claimed, Asked(command, name, self.address(name), self.actor(), primary, owner, visible))
