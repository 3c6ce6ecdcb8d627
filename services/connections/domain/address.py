"""One address serves one person or one team, never both; whoever wants it next learns who holds it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, assert_never

from shared.core.address import CANONICAL_FORM, CanonicalAddress
from shared.core.refusal import NextAction, Refused
from shared.language.commands import (
    BindTool,
    ConnectPersonal,
    ConnectTeam,
    ConvertConnection,
    Disconnect,
    MoveTeamAddress,
    Pause,
    ReclaimAddress,
    Reconnect,
    RequireReauthentication,
    Resume,
    SetFromName,
    TransferOwnership,
    UnbindTool,
)
from shared.language.events import (
    AddressEvent,
    AddressOrphaned,
    AddressReclaimed,
    AddressReleased,
    AliasAdded,
    AliasRemoved,
    ConnectionConverted,
    ConnectionPaused,
    ConnectionResumed,
    Disconnected,
    Event,
    FromNameChanged,
    OwnershipTransferred,
    PersonalConnected,
    ReauthenticationRequired,
    Reconnected,
    TeamAddressMoved,
    TeamConnected,
    ToolBound,
    ToolUnbound,
)
from shared.language.reasons import Reason
from shared.language.text import Kind, Tool

# ---- situations


@dataclass(frozen=True, slots=True)
class Free:
    """Nobody holds the address; anybody entitled may claim it."""


@dataclass(frozen=True, slots=True)
class Link:
    """The connection itself, whoever holds it; receiving, sending and reauthentication are independent."""

    provider: str | None = None
    provider_identity: str | None = None
    from_name: str | None = None
    tools: frozenset[Tool] = frozenset()
    receiving: bool = True
    sending: bool = True
    reauthenticate: bool = False

    @property
    def paused(self) -> bool:
        return not (self.receiving and self.sending)


@dataclass(frozen=True, slots=True)
class Personal:
    """`since`, here and below: when the present holder's claim began."""

    address: str
    owner: str
    since: str
    link: Link


@dataclass(frozen=True, slots=True)
class Team:
    address: str
    inbox: str
    connector: str
    since: str
    link: Link


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The owner was removed; the claim stands until it is reclaimed, transferred or released."""

    address: str
    owner: str
    since: str
    link: Link


@dataclass(frozen=True, slots=True)
class Alias:
    """A further address of the primary's mailbox; it follows the primary in everything."""

    address: str
    primary: str
    since: str


Connected: TypeAlias = Personal | Team
Claim: TypeAlias = Personal | Team | Orphaned
AddressState: TypeAlias = Free | Personal | Team | Orphaned | Alias


class Claimed(Exception):
    """Somebody holds the address, or the mailbox behind it; what is told of the holder depends on who asks."""

    def __init__(self, reason: Reason, claim: Claim | Alias, *, via_mailbox: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.claim = claim
        self.via_mailbox = via_mailbox


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
            NextAction("ConnectPersonal", ("user",), "Connect it as a personal address."),
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


def already_held(state: Connected) -> list[Event]:
    """Connecting what one holds already: nothing to do, or the one thing that puts it right."""
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
    return []


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


def connect_personal(
    state: AddressState, command: ConnectPersonal, target: CanonicalAddress, mailbox: Iterable[AddressState]
) -> list[Event]:
    match state:
        case Free():
            require_mailbox(mailbox, command.owner)
            return [
                PersonalConnected(
                    address=target.address,
                    display=target.display,
                    owner=command.owner,
                    provider=command.provider,
                    provider_identity=command.provider_identity,
                    from_name=command.from_name,
                    canonical_form=CANONICAL_FORM,
                )
            ]
        case Personal(owner=held) if held == command.owner:
            return already_held(state)
        case _:
            raise taken(state, "personal")


def connect_team(
    state: AddressState, command: ConnectTeam, target: CanonicalAddress, mailbox: Iterable[AddressState]
) -> list[Event]:
    match state:
        case Free():
            require_mailbox(mailbox, None)
            require_acknowledgement(command.visibility_acknowledged, "ConnectTeam")
            return [
                TeamConnected(
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
            ]
        case Team(inbox=held) if held == command.inbox:
            return already_held(state)
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


def require_reauthentication(state: AddressState, command: RequireReauthentication, address: str) -> list[Event]:
    held = connected(state, address)
    if held.link.reauthenticate:
        return []
    return [ReauthenticationRequired(address=address, cause=command.cause)]


def reconnect(state: AddressState, command: Reconnect, address: str, mailbox: Iterable[AddressState]) -> list[Event]:
    """Lifts reauthentication, never a pause; another mailbox behind the same address changes nothing (A8)."""
    held = connected(state, address)
    pinned, given = held.link.provider_identity, command.provider_identity
    if pinned is not None and given != pinned:
        raise Refused(
            Reason.REAUTH_IDENTITY_MISMATCH,
            f"{address} belongs to another mailbox than the one that was authenticated; nothing was changed.",
            {"address": address, "provider_identity": "different" if given else "absent"},
            [
                NextAction("Reconnect", ("holder",), "Authenticate the mailbox that was connected."),
                NextAction("Disconnect", ("holder", "super_admin"), "Or disconnect it and connect the other mailbox."),
            ],
        )
    if pinned is None and given is not None:
        require_mailbox(mailbox, held.owner if isinstance(held, Personal) else None)
    elif not held.link.reauthenticate:
        return []
    return [Reconnected(address=address, provider_identity=given)]


def pause(state: AddressState, command: Pause, address: str) -> list[Event]:
    link = connected(state, address).link
    receive, send = ways(command)
    receiving, sending = link.receiving and not receive, link.sending and not send
    if (receiving, sending) == (link.receiving, link.sending):
        return []
    return [ConnectionPaused(address=address, receive=receive, send=send, receiving=receiving, sending=sending)]


def resume(state: AddressState, command: Resume, address: str) -> list[Event]:
    link = connected(state, address).link
    receive, send = ways(command)
    receiving, sending = link.receiving or receive, link.sending or send
    if (receiving, sending) == (link.receiving, link.sending):
        return []
    return [ConnectionResumed(address=address, receive=receive, send=send, receiving=receiving, sending=sending)]


def ways(command: Pause) -> tuple[bool, bool]:
    """Receiving and sending: those said to be true, both when neither is given."""
    if command.receive is None and command.send is None:
        return True, True
    return bool(command.receive), bool(command.send)


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
            require_acknowledgement(command.visibility_acknowledged, "ConvertConnection")
            return [
                ConnectionConverted(
                    address=address,
                    from_="personal",
                    to="team",
                    owner=personal.owner,
                    inbox=inbox,
                    connector=command.actor,
                    visibility_acknowledged=True,
                )
            ]


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


def bind_tool(state: AddressState, command: BindTool, address: str) -> list[Event]:
    match state:
        case Alias():
            raise Claimed(Reason.ADDRESS_IS_ALIAS, state)
        case Orphaned():
            raise Claimed(Reason.ADDRESS_ORPHANED, state)
        case Personal(link=link) if command.tool in link.tools:
            return []
        case Personal():
            return [ToolBound(address=address, tool=command.tool)]
        case Team() if command.tool == "meetings":
            raise Refused(
                Reason.TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN,
                f"{address} is a team address; the meetings tool works with personal addresses only.",
                {"tool": command.tool},
                [NextAction("ConnectPersonal", ("user",), "Connect a different account as personal for meetings.")],
            )
        case Team() | Free():
            raise Refused(
                Reason.PERSONAL_CONNECTION_REQUIRED,
                f"The tool {command.tool} needs a personal connection of {address}.",
                {"tool": command.tool},
                [NextAction("ConnectPersonal", ("user",), "Connect a mail account as personal first.")],
            )
        case _:
            assert_never(state)


def unbind_tool(state: AddressState, command: UnbindTool, address: str) -> list[Event]:
    if command.tool not in connected(state, address).link.tools:
        return []
    return [ToolUnbound(address=address, tool=command.tool)]


def add_alias(primary: AddressState, address: str, alias: AddressState, target: CanonicalAddress) -> list[Event]:
    """An alias is claimed like any address (A7)."""
    connected(primary, address)
    match alias:
        case Free():
            return [
                AliasAdded(
                    address=target.address, display=target.display, primary=address, canonical_form=CANONICAL_FORM
                )
            ]
        case Alias(primary=held) if held == address:
            return []
        case _:
            raise taken(alias, "personal")


def remove_alias(primary: AddressState, address: str, alias: AddressState, name: str) -> list[Event]:
    connected(primary, address)
    match alias:
        case Alias(primary=held) if held == address:
            return [AliasRemoved(address=name, primary=address)]
        case _:
            raise Refused(
                Reason.NOT_CONNECTED,
                f"{name} is not an alias of {address}.",
                {"address": name, "primary": address},
                [NextAction("AddAlias", ("holder",), "Add it as an alias.")],
            )


def set_from_name(state: AddressState, command: SetFromName, address: str) -> list[Event]:
    if connected(state, address).link.from_name == command.from_name:
        return []
    return [FromNameChanged(address=address, from_name=command.from_name)]


# ---- what the facts make of an address


def evolve(state: AddressState, event: AddressEvent, time: str) -> AddressState:
    match state, event:
        case _, PersonalConnected():
            return Personal(
                event.address,
                event.owner,
                time,
                Link(event.provider, event.provider_identity, event.from_name),
            )
        case _, TeamConnected():
            return Team(
                event.address,
                event.inbox,
                event.connector,
                time,
                Link(event.provider, event.provider_identity, event.from_name),
            )
        case _, AliasAdded():
            return Alias(event.address, event.primary, time)
        case _, Disconnected() | AddressReleased() | AliasRemoved():
            return Free()
        case Free() | Alias(), _:
            return state
        case Personal(), AddressOrphaned(owner=owner):
            return Orphaned(state.address, owner, time, state.link)
        case _, OwnershipTransferred(to=owner, from_=former) | AddressReclaimed(owner=owner, from_=former):
            link = state.link if owner == former else for_somebody_else(state.link)
            return Personal(state.address, owner, time, link)
        case Team(), TeamAddressMoved(to=inbox):
            return replace(state, inbox=inbox, since=time)
        case _, ConnectionConverted(to="team"):
            return Team(state.address, event.inbox, event.connector or "", time, state.link)
        case _, ConnectionConverted():
            return Personal(state.address, event.owner, time, state.link)
        case _:
            return replace(state, link=evolve_link(state.link, event))


def for_somebody_else(link: Link) -> Link:
    """Tools and the From name were the former person's (zammad#889: the wrong sender after a move)."""
    return replace(link, tools=frozenset(), from_name=None)


def evolve_link(link: Link, event: AddressEvent) -> Link:
    match event:
        case ReauthenticationRequired():
            return replace(link, reauthenticate=True)
        case Reconnected(provider_identity=identity):
            return replace(link, reauthenticate=False, provider_identity=identity)
        case ConnectionPaused(receiving=receiving, sending=sending):
            return replace(link, receiving=receiving, sending=sending)
        case ToolBound(tool=tool):
            return replace(link, tools=link.tools | {tool})
        case ToolUnbound(tool=tool):
            return replace(link, tools=link.tools - {tool})
        case FromNameChanged(from_name=from_name):
            return replace(link, from_name=from_name)
        case _:
            return link


# ---- the sets an address belongs to


def owned_by(user: str) -> str:
    return f"owned:{user}"


def orphaned_from(user: str) -> str:
    return f"orphaned:{user}"


def connected_to(inbox: str) -> str:
    return f"in:{inbox}"


def aliases_of(address: str) -> str:
    return f"aliases:{address}"


def mailbox(provider: str | None, identity: str) -> str:
    return f"mailbox:{provider or ''}:{identity}"


def memberships(state: AddressState) -> frozenset[str]:
    match state:
        case Free():
            return frozenset()
        case Alias(primary=primary):
            return frozenset((aliases_of(primary),))
        case Personal(owner=owner):
            holder = owned_by(owner)
        case Orphaned(owner=owner):
            holder = orphaned_from(owner)
        case Team(inbox=inbox):
            holder = connected_to(inbox)
        case _:
            assert_never(state)
    if state.link.provider_identity is None:
        return frozenset((holder,))
    return frozenset((holder, mailbox(state.link.provider, state.link.provider_identity)))
