"""Giving a connection another holder: a team address another inbox, a personal one or an orphan another owner."""

from collections.abc import Iterable

from services.connections.domain.address.conditions import require_live, require_mailbox, require_personal
from services.connections.domain.address.state import AddressState, AddressTakenError, Personal, Team
from shared.language.commands import MoveTeamAddress, ReclaimAddress, TransferOwnership
from shared.language.events import AddressReclaimed, Event, OwnershipTransferred, TeamAddressMoved
from shared.language.reasons import Reason


def move(command: MoveTeamAddress, address: str, state: AddressState) -> list[Event]:
    match require_live(state, address):
        case Personal() as personal:
            raise AddressTakenError(Reason.ADDRESS_ALREADY_PERSONAL, personal)
        case Team(inbox=inbox) if inbox == command.to_inbox:
            return []
        case Team(inbox=inbox):
            return [TeamAddressMoved(address=address, from_=inbox, to=command.to_inbox)]


def transfer(
    command: TransferOwnership, address: str, state: AddressState, siblings: Iterable[AddressState]
) -> list[Event]:
    connection = require_personal(state, address)
    if isinstance(connection, Personal) and connection.owner == command.new_owner:
        return []
    require_mailbox(siblings, command.new_owner, orphans_too=False)
    return [OwnershipTransferred(address=address, from_=connection.owner, to=command.new_owner)]


def reclaim(
    command: ReclaimAddress, address: str, state: AddressState, siblings: Iterable[AddressState]
) -> list[Event]:
    connection = require_personal(state, address)
    if isinstance(connection, Personal):
        if connection.owner == command.new_owner:
            return []
        raise AddressTakenError(Reason.ADDRESS_ALREADY_PERSONAL, connection)
    require_mailbox(siblings, command.new_owner, orphans_too=False)
    former = connection.owner
    return [AddressReclaimed(address=address, from_=former, owner=command.new_owner, cause="reclaimed")]
