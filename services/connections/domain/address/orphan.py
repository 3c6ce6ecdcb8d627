"""The connections of a removed user: orphaned, released or handed over (D3), and back when the user returns (A10)."""

from collections.abc import Iterable, Mapping, Sequence

from services.connections.domain.address.conditions import require_mailbox
from services.connections.domain.address.disconnect import released
from services.connections.domain.address.state import AddressState, AddressTakenError, Alias, Orphaned, Personal
from shared.language.commands import RemoveUser
from shared.language.events import AddressOrphaned, AddressReclaimed, Event, OwnershipTransferred


def left_behind(command: RemoveUser, owned: Sequence[Personal], aliases: Mapping[str, Sequence[Alias]]) -> list[Event]:
    """The policy of the command decides about each connection; an orphan keeps everything of it."""
    if command.policy == "orphan":
        return [AddressOrphaned(address=one.address, owner=one.owner) for one in owned]
    if command.policy == "release":
        return [event for one in owned for event in released(one, aliases[one.address])]
    assert command.new_owner is not None, "the message's own rule"
    return [OwnershipTransferred(address=one.address, from_=one.owner, to=command.new_owner) for one in owned]


def returned(orphans: Iterable[tuple[Orphaned, Iterable[AddressState]]]) -> list[Event]:
    """The orphans that the former owner gets again, unless the mailbox has another holder now.

    `orphans` come with their siblings.
    """
    return [
        AddressReclaimed(address=one.address, from_=one.owner, owner=one.owner, cause="owner_returned")
        for one, siblings in orphans
        if is_free(siblings, one.owner)
    ]


def is_free(siblings: Iterable[AddressState], owner: str) -> bool:
    try:
        require_mailbox(siblings, owner, orphans_too=False)
    except AddressTakenError:
        return False
    return True
