"""What becomes of a connection while its holder stays: its mail, authentication, tools, aliases, and From name."""

from collections.abc import Iterable
from typing import assert_never

from services.connections.domain.address import AddressState, Alias, Claimed, Free, Orphaned, Personal, Team
from services.connections.domain.claims import connected, require_mailbox, require_pinned, taken
from shared.core.address import CANONICAL_FORM, CanonicalAddress
from shared.core.refusal import Refused, next_action
from shared.language.commands import (
    AddAlias,
    BindTool,
    ConnectPersonal,
    Pause,
    Reconnect,
    RequireReauthentication,
    Resume,
    SetFromName,
    UnbindTool,
)
from shared.language.events import (
    AliasAdded,
    AliasPromoted,
    AliasRemoved,
    ConnectionPaused,
    ConnectionResumed,
    Event,
    FromNameChanged,
    ReauthenticationRequired,
    Reconnected,
    ToolBound,
    ToolUnbound,
)
from shared.language.reasons import Reason


def require_reauthentication(state: AddressState, command: RequireReauthentication, address: str) -> list[Event]:
    held = connected(state, address)
    if held.link.reauthenticate:
        return []
    return [ReauthenticationRequired(address=address, cause=command.cause)]


def reconnect(
    state: AddressState,
    command: Reconnect,
    address: str,
    mailbox: Iterable[AddressState],
    *,
    connector_gone: bool,
) -> list[Event]:
    """Lifts reauthentication, never a pause; another mailbox behind the same address changes nothing (A8).

    On a team address the one who reconnects becomes the connector, also when nothing but the connector is gone (A4).
    """
    held = connected(state, address)
    given = command.provider_identity
    require_pinned(held, given)
    if held.link.provider_identity is None and given is not None:
        require_mailbox(mailbox, held.owner if isinstance(held, Personal) else None)
    elif not held.link.reauthenticate and not connector_gone:
        return []
    connector = command.actor if isinstance(held, Team) else None
    return [Reconnected(address=address, provider_identity=given, connector=connector)]


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
                [
                    next_action(
                        ConnectPersonal,
                        "Connect a different account as personal for meetings.",
                    )
                ],
            )
        case Team() | Free():
            raise Refused(
                Reason.PERSONAL_CONNECTION_REQUIRED,
                f"The tool {command.tool} needs a personal connection of {address}.",
                {"tool": command.tool},
                [next_action(ConnectPersonal, "Connect a mail account as personal first.")],
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
    require_alias_of(address, alias, name)
    return [AliasRemoved(address=name, primary=address)]


def require_alias_of(address: str, alias: AddressState, name: str) -> None:
    if isinstance(alias, Alias) and alias.primary == address:
        return
    raise Refused(
        Reason.NOT_CONNECTED,
        f"{name} is not an alias of {address}.",
        {"address": name, "primary": address},
        [next_action(AddAlias, "Add it as an alias.")],
    )


def promote_alias(
    primary: AddressState, address: str, alias: AddressState, name: str, aliases: Iterable[Alias]
) -> list[Event]:
    """The mailbox was renamed: `name` becomes the primary, `address` its alias; `aliases` are all of the mailbox."""
    held = connected(primary, address)
    require_alias_of(address, alias, name)
    others = sorted(one.address for one in aliases if one.address != name)
    return [
        AliasPromoted(
            address=stream,
            primary=name,
            former_primary=address,
            kind="team" if isinstance(held, Team) else "personal",
            owner=held.owner if isinstance(held, Personal) else None,
            inbox=held.inbox if isinstance(held, Team) else None,
            connector=held.connector if isinstance(held, Team) else None,
            since=held.since,
            provider=held.link.provider,
            provider_identity=held.link.provider_identity,
            from_name=held.link.from_name,
            tools=tuple(sorted(held.link.tools)),
            receiving=held.link.receiving,
            sending=held.link.sending,
            reauthentication_required=held.link.reauthenticate,
        )
        for stream in (address, name, *others)
    ]


def set_from_name(state: AddressState, command: SetFromName, address: str) -> list[Event]:
    if connected(state, address).link.from_name == command.from_name:
        return []
    return [FromNameChanged(address=address, from_name=command.from_name)]
