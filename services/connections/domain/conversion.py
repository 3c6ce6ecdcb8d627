"""A connection changes its kind in one step: personal or an orphan becomes the team's, a team address personal (A9)."""

from collections.abc import Iterable

from services.connections.domain.address import (
    AddressState,
    Claimed,
    Orphaned,
    Personal,
    Team,
)
from services.connections.domain.claims import connected, require_acknowledgement, require_mailbox
from shared.core.refusal import NextAction, Refused
from shared.language.commands import (
    ConvertConnection,
)
from shared.language.events import (
    ConnectionConverted,
    Event,
)
from shared.language.reasons import Reason


def convert_to_team(
    state: AddressState,
    command: ConvertConnection,
    inbox: str,
    address: str,
    mailbox: Iterable[AddressState],
    *,
    on_behalf: bool,
) -> list[Event]:
    """Only the owner turns his own address into the team's, unless a service acts on his behalf (A9)."""
    match connected(state, address):
        case Team(inbox=held) if held == inbox:
            return []
        case Team() as team:
            raise Claimed(Reason.ADDRESS_IN_OTHER_INBOX, team)
        case Personal(owner=owner) as personal if owner != command.actor and not on_behalf:
            raise Claimed(Reason.ADDRESS_ALREADY_PERSONAL, personal)
        case Personal() as personal:
            require_mailbox(mailbox, None)
            require_no_tools(personal)
            return [to_team(personal, command, inbox)]


def convert_orphan_to_team(
    orphan: Orphaned, command: ConvertConnection, inbox: str, mailbox: Iterable[AddressState]
) -> list[Event]:
    """A leaver's mailbox becomes the team's in one step (A9); nobody is left who could unbind its tools, so they go.

    Several orphans of one mailbox are converted one by one: none waits for the others.
    """
    require_mailbox(mailbox, None, orphans_stand_in_the_way=False)
    return [to_team(orphan, command, inbox)]


def to_team(state: Personal | Orphaned, command: ConvertConnection, inbox: str) -> Event:
    require_acknowledgement(command.visibility_acknowledged, "ConvertConnection")
    return ConnectionConverted(
        address=state.address,
        from_="personal",
        to="team",
        owner=state.owner,
        inbox=inbox,
        connector=command.actor,
        visibility_acknowledged=True,
    )


def require_no_tools(personal: Personal) -> None:
    """No tool works with a team address, meetings least of all (A5, A6)."""
    if not personal.link.tools:
        return
    tools = sorted(personal.link.tools)
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


def convert_to_personal(state: AddressState, owner: str, address: str, mailbox: Iterable[AddressState]) -> list[Event]:
    match connected(state, address):
        case Personal(owner=held) if held == owner:
            return []
        case Personal() as personal:
            raise Claimed(Reason.ADDRESS_ALREADY_PERSONAL, personal)
        case Team(inbox=inbox):
            require_mailbox(mailbox, owner)
            return [ConnectionConverted(address=address, from_="team", to="personal", owner=owner, inbox=inbox)]
