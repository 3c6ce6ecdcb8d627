"""How a group of commands is decided against what is known, before it is committed."""

from collections.abc import Collection, Sequence
from typing import Any, Final, Protocol
from uuid import UUID

from services.connections.store.not_understood import NotUnderstood, StreamNotUnderstood
from services.connections.store.oversized import TooLarge
from services.connections.store.pending import Pending, Verdict
from services.connections.store.recorder import Membership, Read
from services.connections.store.state_cache import Known, Seen, set_of, stream_of
from shared.language.events import AddressEvent, Aggregate, Event, InboxEvent, UserEvent
from shared.language.recorded import Recorded
from shared.messaging.message_size import LARGEST_NUMBER

NOWHERE: Final = UUID(int=0)


class Session:
    """One attempt at a group: what it read, what it would write, each command seeing those before it."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self.read = Read({}, {})
        self.states: dict[UUID, Seen] = {}
        self._named: dict[tuple[str, Aggregate, str], Seen] = {}
        self.changes: dict[UUID, dict[UUID, tuple[bool, int]]] = {}
        self.events: list[Recorded] = []

    # ---- what decisions look at (shared.core.decider.Reads); each raises StreamNotUnderstood

    def state(self, account: str, aggregate: Aggregate, name: str) -> Any:
        key = account, aggregate, name
        seen = self._named.get(key)
        if seen is None:
            seen = self._named[key] = self._seen(stream_of(account, aggregate, name), aggregate, account)
        return seen.state

    def expect(self, account: str, aggregate: Aggregate, names: Sequence[str]) -> None:
        self._known.load([(stream_of(account, aggregate, name), aggregate, account) for name in names], [])

    def members(self, account: str, aggregate: Aggregate, set_name: str) -> Sequence[Any]:
        return self.members_of_all(account, aggregate, [set_name])[0]

    def members_of_all(
        self, account: str, aggregate: Aggregate, set_names: Sequence[str], at_most: int | None = None
    ) -> list[Sequence[Any]]:
        """Two calls of the store at most, however many they are: the one thread that decides waits for each."""
        self._known.load([], [set_of(account, name) for name in set_names])
        found: list[Collection[UUID]] = [self._members(account, name) for name in set_names]
        if at_most is not None:
            found = first(found, at_most)
        self._known.load([(member, aggregate, account) for members in found for member in members], [])
        return [[self._seen(member, aggregate, account).state for member in members] for members in found]

    def count(self, account: str, set_name: str) -> int:
        return len(self._members(account, set_name))

    def _seen(self, stream: UUID, aggregate: Aggregate, account: str) -> Seen:
        seen = self.states.get(stream)
        if seen is None:
            seen = self._known.seen.get(stream)
            if seen is None:
                self._known.load([(stream, aggregate, account)], [])
                seen = self._known.seen[stream]
            self.read.streams[stream] = seen.version
            if isinstance(seen.state, NotUnderstood):
                raise StreamNotUnderstood(seen.state)
            self.states[stream] = seen
        return seen

    def _members(self, account: str, set_name: str) -> set[UUID]:
        set_id = set_of(account, set_name)
        known = self._known.sets.get(set_id)
        if known is None:
            self._known.load([], [set_id])
            known = self._known.sets[set_id]
        self.read.sets[set_id] = known.position
        changes = self.changes.get(set_id)
        if not changes:
            return known.members
        added = {member for member, (present, _) in changes.items() if present}
        return (known.members | added) - (changes.keys() - added)

    # ---- what follows from a decision

    def follow(self, pending: Pending, verdict: Verdict) -> None:
        """Takes the events of an accepted command in, so that the next command of the group sees them."""
        for event_id, event in verdict.events:
            account = pending.account
            aggregate, name = event.aggregate, name_of(event, account)
            stream = stream_of(account, aggregate, name)
            before = self._seen(stream, aggregate, account)
            page = self._known.pages[aggregate]
            state = page.evolve(before.state, event, pending.time)
            seen = Seen(aggregate, account, before.version + 1, state)
            self.states[stream] = self._named[account, aggregate, name] = seen
            self.events.append(recorded(pending, event_id, event, stream, before.version + 1))
            left, joined = page.memberships(before.state), page.memberships(state)
            for name in left - joined:
                self.changes.setdefault(set_of(account, name), {})[stream] = (False, len(self.events))
            for name in joined - left:
                self.changes.setdefault(set_of(account, name), {})[stream] = (True, len(self.events))

    def memberships(self) -> list[Membership]:
        return [
            Membership(set_id, member, present, ordinal)
            for set_id, changes in self.changes.items()
            for member, (present, ordinal) in changes.items()
        ]


def recorded(
    pending: Pending, event_id: str, event: Event, stream: UUID = NOWHERE, version: int = LARGEST_NUMBER
) -> Recorded:
    """The event as the command caused it; of a dry run it has no place on its stream."""
    return Recorded(
        id=event_id,
        account=pending.account,
        stream=stream,
        version=version,
        position=0,
        actor=pending.actor or "",
        command_id=pending.command_id or "",
        correlation_id=pending.correlation_id,
        traceparent=pending.traceparent,
        time=pending.time,
        event=event,
    )


def first(sets: Sequence[Collection[UUID]], at_most: int) -> list[Collection[UUID]]:
    """The same members each time, until there are so many."""
    found: list[Collection[UUID]] = []
    for members in sets:
        found.append(members if len(members) <= at_most else sorted(members)[:at_most])
        at_most -= len(found[-1])
    return found


def name_of(event: Event, account: str) -> str:
    """The name, within its account and kind, of the aggregate that the event happened to."""
    match event:
        case UserEvent(user=user):
            return user
        case InboxEvent(inbox=inbox):
            return inbox
        case AddressEvent(address=address):
            return address
        case _:
            return account


class Decides(Protocol):
    """The domain, as the ledger sees it."""

    def decide(self, pending: Pending, session: Session) -> Verdict:
        """A stream that is not understood is a refusal of this command; the others of the group go on."""

    def reused(self, pending: Pending) -> Verdict: ...

    def too_large(self, pending: Pending, too_large: TooLarge) -> Verdict: ...

    def failed(self, pending: Pending) -> Verdict:
        """For a command that fails by a fault of this code; not kept under the command's id."""
