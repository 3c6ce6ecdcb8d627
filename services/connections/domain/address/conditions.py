"""Conditions of decisions about an address: connected, personal, pinned, acknowledged; each with its refusal."""

from collections.abc import Iterable
from typing import Literal, NoReturn, assert_never

from services.connections.domain.address.state import (
    AddressState,
    AddressTakenError,
    Alias,
    AnyConnection,
    ConnectionOrAlias,
    Free,
    LiveConnection,
    Orphaned,
    Personal,
    Team,
    mailbox,
)
from shared.core.refusal import NextAction, Refused, next_action
from shared.language.commands import ConnectPersonal, ConnectTeam, ConvertConnection, Reconnect
from shared.language.reasons import Reason
from shared.language.text import Kind


def require_live(state: AddressState, address: str) -> LiveConnection:
    """The live connection, or the refusal for another situation."""
    match state:
        case Personal() | Team():
            return state
        case Free():
            raise not_connected(address)
        case Alias():
            raise AddressTakenError(Reason.ADDRESS_IS_ALIAS, state)
        case Orphaned():
            raise AddressTakenError(Reason.ADDRESS_ORPHANED, state)
        case _:
            assert_never(state)


def require_personal(state: AddressState, address: str) -> Personal | Orphaned:
    """The personal connection, orphaned or not."""
    match state:
        case Personal() | Orphaned():
            return state
        case Free():
            raise not_connected(address)
        case Alias():
            raise AddressTakenError(Reason.ADDRESS_IS_ALIAS, state)
        case Team():
            raise AddressTakenError(Reason.ADDRESS_ALREADY_TEAM, state)
        case _:
            assert_never(state)


def not_connected(address: str) -> Refused:
    return Refused(
        Reason.NOT_CONNECTED,
        f"{address} is not connected.",
        {"address": address},
        [
            next_action(ConnectPersonal, "Connect it as a personal address."),
            next_action(ConnectTeam, "Connect it to an inbox."),
        ],
    )


def taken(state: ConnectionOrAlias, wanted: Kind) -> AddressTakenError:
    """The reason why nobody else can connect the address, by its present situation."""
    match state:
        case Personal():
            return AddressTakenError(Reason.ADDRESS_ALREADY_PERSONAL, state)
        case Team() if wanted == "personal":
            return AddressTakenError(Reason.ADDRESS_ALREADY_TEAM, state)
        case Team():
            return AddressTakenError(Reason.ADDRESS_IN_OTHER_INBOX, state)
        case Orphaned():
            return AddressTakenError(Reason.ADDRESS_ORPHANED, state)
        case Alias():
            return AddressTakenError(Reason.ADDRESS_IS_ALIAS, state)
        case _:
            assert_never(state)


def require_pinned(connection: LiveConnection, identity: str | None) -> None:
    """The mailbox that was connected, in any spelling of its address."""
    pinned = connection.provider_identity
    if pinned is None or identity == pinned:
        return
    if identity is None:
        refuse_other_mailbox(connection.address, "is pinned to a mailbox, and none was named", "absent")
    elif mailbox(connection.provider, identity) != mailbox(connection.provider, pinned):
        refuse_other_mailbox(connection.address, "is pinned to another mailbox")


def refuse_other_mailbox(address: str, why: str, named: Literal["absent", "different"] = "different") -> NoReturn:
    raise Refused(
        Reason.REAUTH_IDENTITY_MISMATCH,
        f"{address} {why}; nothing was changed.",
        {"address": address, "provider_identity": named},
        [
            next_action(Reconnect, "Authenticate the mailbox that was connected."),
            NextAction("Disconnect", ("holder", "super_admin"), "Or disconnect it and connect the other mailbox."),
        ],
    )


def require_mailbox(siblings: Iterable[AddressState], owner: str | None, *, orphans_too: bool = True) -> None:
    """The mailbox behind an address is never personal and team, and never of two owners, at once (S2).

    Args:
        siblings: the other addresses pinned to the same provider identity.
        owner: the user who wants it as personal, None for a team.
        orphans_too: whether an orphaned sibling is a reason to refuse.
    """
    for connection in sorted(connections_of(siblings), key=lambda one: one.address):
        match connection:
            case Personal(owner=other) if other != owner:
                raise AddressTakenError(Reason.ADDRESS_ALREADY_PERSONAL, connection, via_mailbox=True)
            case Team() if owner is not None:
                raise AddressTakenError(Reason.ADDRESS_ALREADY_TEAM, connection, via_mailbox=True)
            case Orphaned() if orphans_too:
                raise AddressTakenError(Reason.ADDRESS_ORPHANED, connection, via_mailbox=True)


def connections_of(states: Iterable[AddressState]) -> list[AnyConnection]:
    return [state for state in states if not isinstance(state, Free | Alias)]


def require_acknowledgement(command: ConnectTeam | ConvertConnection) -> None:
    if not command.visibility_acknowledged:
        raise Refused(
            Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED,
            "The whole team sees all mail that arrives at a team address; acknowledge it.",
            {"field": "visibility_acknowledged"},
            [next_action(type(command), "Ask again with visibility_acknowledged: true.")],
        )
