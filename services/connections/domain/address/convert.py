"""Converting a connection in one step: personal or an orphan becomes the team's, a team address personal (A9)."""

from collections.abc import Iterable

from services.connections.domain.address.conditions import require_acknowledgement, require_live, require_mailbox
from services.connections.domain.address.state import AddressState, AddressTakenError, Orphaned, Personal, Team
from shared.core.refusal import NextAction, Refused
from shared.language.commands import ConvertConnection
from shared.language.events import ConnectionConverted, Event
from shared.language.reasons import Reason
from shared.language.text import SERVICE


def convert(
    command: ConvertConnection, address: str, state: AddressState, siblings: Iterable[AddressState]
) -> list[Event]:
    if command.owner is not None:
        return to_personal(command.owner, address, state, siblings)
    assert command.inbox is not None, "the message's own rule"
    if isinstance(state, Orphaned):
        return [orphan_to_team(command, command.inbox, state, siblings)]
    return to_team(command, command.inbox, address, state, siblings)


def to_personal(owner: str, address: str, state: AddressState, siblings: Iterable[AddressState]) -> list[Event]:
    match require_live(state, address):
        case Personal(owner=present) if present == owner:
            return []
        case Personal() as personal:
            raise AddressTakenError(Reason.ADDRESS_ALREADY_PERSONAL, personal)
        case Team(inbox=inbox):
            require_mailbox(siblings, owner)
            return [ConnectionConverted(address=address, from_="team", to="personal", owner=owner, inbox=inbox)]


def to_team(
    command: ConvertConnection, inbox: str, address: str, state: AddressState, siblings: Iterable[AddressState]
) -> list[Event]:
    """Only the owner turns their own address into the team's, or a service for them (A9)."""
    on_behalf = command.actor.startswith(SERVICE)
    match require_live(state, address):
        case Team(inbox=present) if present == inbox:
            return []
        case Team() as team:
            raise AddressTakenError(Reason.ADDRESS_IN_OTHER_INBOX, team)
        case Personal(owner=owner) as personal if owner != command.actor and not on_behalf:
            raise AddressTakenError(Reason.ADDRESS_ALREADY_PERSONAL, personal)
        case Personal() as personal:
            require_mailbox(siblings, None)
            require_no_tools(personal)
            return [converted(command, inbox, personal)]


def orphan_to_team(command: ConvertConnection, inbox: str, orphan: Orphaned, siblings: Iterable[AddressState]) -> Event:
    """A leaver's mailbox becomes the team's (A9); its tools go, since the person who could unbind them is gone.

    Several orphans of one mailbox are converted one by one: none waits for the others.
    """
    require_mailbox(siblings, None, orphans_too=False)
    return converted(command, inbox, orphan)


def converted(command: ConvertConnection, inbox: str, connection: Personal | Orphaned) -> Event:
    require_acknowledgement(command)
    return ConnectionConverted(
        address=connection.address,
        from_="personal",
        to="team",
        owner=connection.owner,
        inbox=inbox,
        connector=command.actor,
        visibility_acknowledged=True,
    )


def require_no_tools(personal: Personal) -> None:
    """No tool works with a team address, meetings least of all (A5, A6)."""
    if not personal.tools:
        return
    tools = sorted(personal.tools)
    unbind = [NextAction("UnbindTool", ("owner",), "Unbind the tools first.")]
    if "meetings" in tools:
        raise Refused(
            Reason.ADDRESS_USED_BY_MEETINGS,
            f"The meetings tool uses {personal.address}; a team address cannot serve it.",
            {"tools": tools},
            unbind,
        )
    raise Refused(
        Reason.PERSONAL_CONNECTION_REQUIRED,
        f"Tools that need a personal connection use {personal.address}.",
        {"tools": tools},
        unbind,
    )
