"""Who gets an address, gives it up, or hands it on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn, assert_never

from services.connections.domain.address import (
    AddressState,
    Alias,
    Claim,
    Claimed,
    Connected,
    Free,
    Link,
    Orphaned,
    Personal,
    Team,
)
from services.connections.domain.address import mailbox as mailbox_name
from shared.core.address import (
    CANONICAL_FORM,
    FREE_MAIL_DOMAIN,
    ROLE_BASED_LOCAL_PART,
    SAME_MAILBOX_SUSPECTED,
    CanonicalAddress,
)
from shared.core.address import warnings_about as codes_about
from shared.core.decider import Decision
from shared.core.refusal import NextAction, Refused
from shared.language.commands import (
    ConnectPersonal,
    ConnectTeam,
    ConvertConnection,
    Disconnect,
    MoveTeamAddress,
    ReclaimAddress,
    TransferOwnership,
)
from shared.language.events import (
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasRemoved,
    ConnectionConverted,
    Disconnected,
    Event,
    FromNameChanged,
    OwnershipTransferred,
    PersonalConnected,
    Reconnected,
    TeamAddressMoved,
    TeamConnected,
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
            NextAction("ConnectPersonal", ("personal_email_access",), "Connect it as a personal address."),
            NextAction("ConnectTeam", ("account_access",), "Connect it to an inbox."),
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


def require_healthy(state: Connected) -> None:
    """Connecting what one holds already is refused with the one thing that puts it right."""
    if state.link.reauthenticate:
        raise Refused(
            Reason.REAUTH_REQUIRED,
            f"{state.address} is yours already and must be authenticated again.",
            {"address": state.address, "since": state.since},
            [NextAction("Reconnect", ("holder",), "Authenticate the mailbox again.")],
        )
    if state.link.paused:
        raise Refused(
            Reason.CONNECTION_PAUSED,
            f"{state.address} is yours already and is paused.",
            {"address": state.address, "since": state.since},
            [NextAction("Resume", ("holder",), "Resume the connection.")],
        )


def given_again(state: Connected, command: ConnectPersonal | ConnectTeam, mailbox: Iterable[AddressState]) -> Decision:
    """What the holder gives once more is applied as far as it is new, or refused; it is never passed over (A8)."""
    require_healthy(state)
    link, given = state.link, command.provider_identity
    events: list[Event] = []
    if command.from_name not in (None, link.from_name):
        events.append(FromNameChanged(address=state.address, from_name=command.from_name or ""))
    if given is None:
        pass
    elif link.provider_identity is None:
        require_mailbox(mailbox, state.owner if isinstance(state, Personal) else None)
        connector = command.actor if isinstance(state, Team) else None
        return Decision(
            [
                *events,
                Reconnected(
                    address=state.address,
                    provider_identity=given,
                    provider=command.provider or link.provider,
                    connector=connector,
                ),
            ]
        )
    elif link.provider and command.provider not in (None, link.provider):
        refuse_other_mailbox(state.address, f"is pinned under the provider {link.provider}")
    else:
        require_pinned(state, given)
    return Decision(events, not_taken(link, command.provider))


def not_taken(link: Link, provider: str | None) -> Sequence[Mapping[str, Any]]:
    """The warning that another provider alone changes nothing."""
    if provider in (None, link.provider):
        return ()
    message = f"The provider stays {link.provider or 'unknown'}: disconnect the address to connect it with another one."
    return [{"code": "NOT_TAKEN", "field": "provider", "message": message}]


def require_pinned(state: Connected, given: str | None) -> None:
    """The mailbox that was connected, whatever the spelling of its address."""
    pinned = state.link.provider_identity
    if pinned is None or given == pinned:
        return
    if given is None:
        refuse_other_mailbox(state.address, "is pinned to a mailbox, and none was named")
    elif mailbox_name(state.link.provider, given) != mailbox_name(state.link.provider, pinned):
        refuse_other_mailbox(state.address, "is pinned to another mailbox")


def refuse_other_mailbox(address: str, why: str) -> NoReturn:
    raise Refused(
        Reason.REAUTH_IDENTITY_MISMATCH,
        f"{address} {why}; nothing was changed.",
        {"address": address, "provider_identity": "absent" if "none was named" in why else "different"},
        [
            NextAction("Reconnect", ("holder",), "Authenticate the mailbox that was connected."),
            NextAction("Disconnect", ("holder", "super_admin"), "Or disconnect it and connect the other mailbox."),
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


# ---- what one should know of a new connection, and what one does next

WARNINGS: Final[Mapping[str, str]] = {
    FREE_MAIL_DOMAIN: "This is a free mail provider; better connect the address you use for the company.",
    ROLE_BASED_LOCAL_PART: "This looks like an address that several people share; better connect it as team.",
    SAME_MAILBOX_SUSPECTED: "Another spelling may reach the same mailbox; each is connected on its own.",
}
AFTER_PERSONAL: Final[Sequence[Mapping[str, str]]] = (
    {"step": "install_extension", "command": "BindTool", "why": "Install the sales extension and bind it."},
    {"step": "set_logging_and_tracking", "command": "SetLoggingPreferences", "why": "Choose what to log and track."},
    {"step": "set_default_font", "command": "SetDefaultFont", "why": "Choose the font of your mail."},
)
AFTER_TEAM: Final[Sequence[Mapping[str, str]]] = (
    {"step": "set_from_name", "command": "SetFromName", "why": "Choose the name that recipients see."},
    {"step": "set_routing", "command": "SetRouting", "why": "Say who gets new conversations."},
)


def warnings_about(target: CanonicalAddress) -> list[Mapping[str, Any]]:
    return [{"code": code, "message": WARNINGS[code]} for code in codes_about(target)]


# ---- decisions


def connect_personal(
    state: AddressState, command: ConnectPersonal, target: CanonicalAddress, mailbox: Iterable[AddressState]
) -> Decision:
    match state:
        case Free():
            require_mailbox(mailbox, command.owner)
            event = PersonalConnected(
                address=target.address,
                display=target.display,
                owner=command.owner,
                provider=command.provider,
                provider_identity=command.provider_identity,
                from_name=command.from_name,
                canonical_form=CANONICAL_FORM,
            )
            return Decision([event], warnings_about(target), AFTER_PERSONAL)
        case Personal(owner=held) if held == command.owner:
            return given_again(state, command, mailbox)
        case _:
            raise taken(state, "personal")


def connect_team(
    state: AddressState, command: ConnectTeam, target: CanonicalAddress, mailbox: Iterable[AddressState]
) -> Decision:
    match state:
        case Free():
            require_mailbox(mailbox, None)
            require_acknowledgement(command.visibility_acknowledged, "ConnectTeam")
            event = TeamConnected(
                address=target.address,
                display=target.display,
                inbox=command.inbox,
                connector=command.actor,
                visibility_acknowledged=True,
                provider=command.provider,
                provider_identity=command.provider_identity,
                from_name=command.from_name,
                canonical_form=CANONICAL_FORM,
            )
            same_mailbox = [one for one in warnings_about(target) if one["code"] == SAME_MAILBOX_SUSPECTED]
            return Decision([event], same_mailbox, AFTER_TEAM)
        case Team(inbox=held) if held == command.inbox:
            return given_again(state, command, mailbox)
        case _:
            raise taken(state, "team")


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
    """A leaver's mailbox becomes the team's in one step (A9); nobody is left who could unbind its tools, so they go."""
    require_mailbox(mailbox, None)
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
