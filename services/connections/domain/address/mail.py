"""The mail of a connection, personal or team: authentication, pauses, and the From name."""

from collections.abc import Iterable

from services.connections.domain.address.conditions import require_live, require_mailbox, require_pinned
from services.connections.domain.address.state import AddressState, Personal, Team
from shared.language.commands import Pause, Reconnect, RequireReauthentication, Resume, SetFromName
from shared.language.events import (
    ConnectionPaused,
    ConnectionResumed,
    Event,
    FromNameChanged,
    ReauthenticationRequired,
    Reconnected,
)


def require_reauthentication(command: RequireReauthentication, address: str, state: AddressState) -> list[Event]:
    if require_live(state, address).reauthenticate:
        return []
    return [ReauthenticationRequired(address=address, cause=command.cause)]


def reconnect(
    command: Reconnect,
    address: str,
    state: AddressState,
    siblings: Iterable[AddressState],
    connector_gone: bool,
) -> list[Event]:
    """Lifts reauthentication, never a pause; another mailbox behind the same address changes nothing (A8).

    On a team address the actor becomes the connector, also when only the connector is gone (A4).
    """
    connection = require_live(state, address)
    identity = command.provider_identity
    require_pinned(connection, identity)
    if connection.provider_identity is None and identity is not None:
        require_mailbox(siblings, connection.owner if isinstance(connection, Personal) else None)
    elif not connection.reauthenticate and not connector_gone:
        return []
    connector = command.actor if isinstance(connection, Team) else None
    return [Reconnected(address=address, provider_identity=identity, connector=connector)]


def pause(command: Pause, address: str, state: AddressState) -> list[Event]:
    connection = require_live(state, address)
    receive, send = ways(command)
    receiving, sending = connection.receiving and not receive, connection.sending and not send
    if (receiving, sending) == (connection.receiving, connection.sending):
        return []
    return [ConnectionPaused(address=address, receive=receive, send=send, receiving=receiving, sending=sending)]


def resume(command: Resume, address: str, state: AddressState) -> list[Event]:
    connection = require_live(state, address)
    receive, send = ways(command)
    receiving, sending = connection.receiving or receive, connection.sending or send
    if (receiving, sending) == (connection.receiving, connection.sending):
        return []
    return [ConnectionResumed(address=address, receive=receive, send=send, receiving=receiving, sending=sending)]


def ways(command: Pause) -> tuple[bool, bool]:
    """Receiving and sending: each that the command says, both when it says neither."""
    if command.receive is None and command.send is None:
        return True, True
    return bool(command.receive), bool(command.send)


def set_from_name(command: SetFromName, address: str, state: AddressState) -> list[Event]:
    if require_live(state, address).from_name == command.from_name:
        return []
    return [FromNameChanged(address=address, from_name=command.from_name)]
