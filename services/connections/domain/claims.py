"""Who gives an address up or hands it on, and what every claim is judged by."""

from collections.abc import Iterable, Sequence
from typing import Literal, NoReturn, assert_never

from services.connections.domain.address import (
    AddressState,
    Alias,
    Claim,
    Claimed,
    Connected,
    Free,
    Orphaned,
    Personal,
    Team,
)
from services.connections.domain.address import mailbox as mailbox_name
from shared.core.refusal import NextAction, Refused, next_action
from shared.language.commands import (
    ConnectPersonal,
    ConnectTeam,
    Disconnect,
    MoveTeamAddress,
    ReclaimAddress,
    Reconnect,
    TransferOwnership,
)
from shared.language.events import (
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasRemoved,
    Disconnected,
    Event,
    OwnershipTransferred,
    TeamAddressMoved,
)
from shared.language.reasons import Reason
from shared.language.text import Kind

# ---- what several decisions ask


def connected(state: AddressState, address: str) -> Connected:
    """The live connection, or the refusal that stands in its way (X in the design's table)."""
    match state:
        case Personal() | Team():
            return state
        case Free():
            raise not_connected(address)
        case Alias():
            raise Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case Orphaned():
            raise Claimed(Reason.ADDRESS_ORPHANED, state)
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


def taken(state: Claim | Alias, wanted: Kind) -> Claimed:
    """Why somebody who wants the address cannot have it while this claim stands."""
    match state:
        case Personal():
            return Claimed(Reason.ADDRESS_ALREADY_PERSONAL, state)
        case Team() if wanted == "personal":
            return Claimed(Reason.ADDRESS_ALREADY_TEAM, state)
        case Team():
            return Claimed(Reason.ADDRESS_IN_OTHER_INBOX, state)
        case Orphaned():
            return Claimed(Reason.ADDRESS_ORPHANED, state)
        case Alias():
            return Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case _:
            assert_never(state)


def require_pinned(state: Connected, given: str | None) -> None:
    """The mailbox that was connected, whatever the spelling of its address."""
    pinned = state.link.provider_identity
    if pinned is None or given == pinned:
        return
    if given is None:
        refuse_other_mailbox(state.address, "is pinned to a mailbox, and none was named", "absent")
    elif mailbox_name(state.link.provider, given) != mailbox_name(state.link.provider, pinned):
        refuse_other_mailbox(state.address, "is pinned to another mailbox")


def refuse_other_mailbox(address: str, why: str, given: Literal["absent", "different"] = "different") -> NoReturn:
    raise Refused(
        Reason.REAUTH_IDENTITY_MISMATCH,
        f"{address} {why}; nothing was changed.",
        {"address": address, "provider_identity": given},
        [
            next_action(Reconnect, "Authenticate the mailbox that was connected."),
            next_action(Disconnect, "Or disconnect it and connect the other mailbox."),
        ],
    )


def require_mailbox(
    mailbox: Iterable[AddressState], owner: str | None, *, orphans_stand_in_the_way: bool = True
) -> None:
    """The mailbox behind an address is never personal and team, and never of two owners, at once (S2).

    `mailbox` are the other addresses pinned to the same provider identity; `owner` is who wants it as personal,
    None when a team does.
    """
    for claim in sorted((c for c in mailbox if not isinstance(c, Free | Alias)), key=lambda c: c.address):
        match claim:
            case Personal(owner=held) if held != owner:
                raise Claimed(Reason.ADDRESS_ALREADY_PERSONAL, claim, via_mailbox=True)
            case Team() if owner is not None:
                raise Claimed(Reason.ADDRESS_ALREADY_TEAM, claim, via_mailbox=True)
            case Orphaned() if orphans_stand_in_the_way:
                raise Claimed(Reason.ADDRESS_ORPHANED, claim, via_mailbox=True)


def require_acknowledgement(acknowledged: bool, command: str) -> None:
    if not acknowledged:
        raise Refused(
            Reason.TEAM_VISIBILITY_NOT_ACKNOWLEDGED,
            "The whole team sees all mail that arrives at a team address; acknowledge it.",
            {"field": "visibility_acknowledged"},
            [NextAction(command, ("account_access",), "Ask again with visibility_acknowledged: true.")],
        )


# ---- decisions


def disconnect(state: AddressState, command: Disconnect, aliases: Sequence[Alias]) -> list[Event]:
    match state:
        case Free():
            return []
        case Alias():
            raise Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case Personal() | Team() | Orphaned():
            return end_of_claim(state, aliases, command.note)
        case _:
            assert_never(state)


def end_of_claim(state: Claim, aliases: Sequence[Alias], note: str | None = None) -> list[Event]:
    """Disconnecting frees the address and, with it, its aliases (A7)."""
    team = isinstance(state, Team)
    return [
        Disconnected(
            address=state.address,
            kind="team" if team else "personal",
            owner=None if isinstance(state, Team) else state.owner,
            inbox=state.inbox if isinstance(state, Team) else None,
            note=note,
        ),
        *without_aliases(aliases),
    ]


def without_aliases(aliases: Sequence[Alias]) -> list[Event]:
    return [
        AliasRemoved(address=alias.address, primary=alias.primary)
        for alias in sorted(aliases, key=lambda alias: alias.address)
    ]


def move(state: AddressState, command: MoveTeamAddress, address: str) -> list[Event]:
    match connected(state, address):
        case Personal() as personal:
            raise Claimed(Reason.ADDRESS_ALREADY_PERSONAL, personal)
        case Team(inbox=inbox) if inbox == command.to_inbox:
            return []
        case Team(inbox=inbox):
            return [TeamAddressMoved(address=address, from_=inbox, to=command.to_inbox)]


def transfer(
    state: AddressState, command: TransferOwnership, address: str, mailbox: Iterable[AddressState]
) -> list[Event]:
    match state:
        case Free():
            raise not_connected(address)
        case Alias():
            raise Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case Team():
            raise Claimed(Reason.ADDRESS_ALREADY_TEAM, state)
        case Personal(owner=held) if held == command.new_owner:
            return []
        case Personal(owner=held) | Orphaned(owner=held):
            require_mailbox(mailbox, command.new_owner, orphans_stand_in_the_way=False)
            return [OwnershipTransferred(address=address, from_=held, to=command.new_owner)]
        case _:
            assert_never(state)


def reclaim(state: AddressState, command: ReclaimAddress, address: str, mailbox: Iterable[AddressState]) -> list[Event]:
    match state:
        case Free():
            raise not_connected(address)
        case Alias():
            raise Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case Team():
            raise Claimed(Reason.ADDRESS_ALREADY_TEAM, state)
        case Personal(owner=held) if held == command.new_owner:
            return []
        case Personal():
            raise Claimed(Reason.ADDRESS_ALREADY_PERSONAL, state)
        case Orphaned(owner=former):
            require_mailbox(mailbox, command.new_owner, orphans_stand_in_the_way=False)
            return [AddressReclaimed(address=address, from_=former, owner=command.new_owner, cause="reclaimed")]
        case _:
            assert_never(state)


def release(state: AddressState, aliases: Sequence[Alias]) -> list[Event]:
    match state:
        case Free():
            return []
        case Alias():
            raise Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case Personal():
            raise Claimed(Reason.ADDRESS_ALREADY_PERSONAL, state)
        case Team():
            raise Claimed(Reason.ADDRESS_ALREADY_TEAM, state)
        case Orphaned():
            return released(state, aliases)
        case _:
            assert_never(state)


def released(state: Personal | Orphaned, aliases: Sequence[Alias]) -> list[Event]:
    return [AddressReleased(address=state.address, owner=state.owner), *without_aliases(aliases)]


def orphaned(state: Personal) -> list[Event]:
    """Removing the owner keeps the claim, with everything on it (A10)."""
    return [AddressOrphaned(address=state.address, owner=state.owner)]


def handed_over(state: Personal, new_owner: str) -> list[Event]:
    return [OwnershipTransferred(address=state.address, from_=state.owner, to=new_owner)]


def returned(state: Orphaned, mailbox: Iterable[AddressState]) -> list[Event]:
    """The former owner is back and gets it again, unless its mailbox has found another holder since (A10)."""
    try:
        require_mailbox(mailbox, state.owner, orphans_stand_in_the_way=False)
    except Claimed:
        return []
    return [AddressReclaimed(address=state.address, from_=state.owner, owner=state.owner, cause="owner_returned")]
