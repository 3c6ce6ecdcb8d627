"""Ending a connection frees the address and its aliases; what happened stays in the log."""

from collections.abc import Sequence
from typing import assert_never

from services.connections.domain.address.conditions import taken
from services.connections.domain.address.state import (
    AddressState,
    AddressTakenError,
    Alias,
    AnyConnection,
    Free,
    Orphaned,
    Personal,
    Team,
)
from shared.language.commands import Disconnect, ReleaseAddress
from shared.language.events import AddressReleased, AliasRemoved, Disconnected, Event
from shared.language.reasons import Reason


def disconnect(command: Disconnect, state: AddressState, aliases: Sequence[Alias]) -> list[Event]:
    match state:
        case Free():
            return []
        case Alias():
            raise AddressTakenError(Reason.ADDRESS_IS_ALIAS, state)
        case Personal() | Team() | Orphaned():
            return disconnected(state, aliases, command.note)
        case _:
            assert_never(state)


def disconnected(connection: AnyConnection, aliases: Sequence[Alias], note: str | None = None) -> list[Event]:
    """The end of the connection and, with it, of its aliases (A7)."""
    team = connection if isinstance(connection, Team) else None
    return [
        Disconnected(
            address=connection.address,
            kind="team" if team else "personal",
            owner=None if isinstance(connection, Team) else connection.owner,
            inbox=team.inbox if team else None,
            note=note,
        ),
        *without_aliases(aliases),
    ]


def release(_: ReleaseAddress, state: AddressState, aliases: Sequence[Alias]) -> list[Event]:
    match state:
        case Free():
            return []
        case Orphaned():
            return released(state, aliases)
        case Personal() | Team() | Alias():
            raise taken(state, "personal")
        case _:
            assert_never(state)


def released(connection: Personal | Orphaned, aliases: Sequence[Alias]) -> list[Event]:
    return [AddressReleased(address=connection.address, owner=connection.owner), *without_aliases(aliases)]


def without_aliases(aliases: Sequence[Alias]) -> list[Event]:
    return [
        AliasRemoved(address=alias.address, primary=alias.primary)
        for alias in sorted(aliases, key=lambda alias: alias.address)
    ]
