"""Connecting an address: personal or team, never both; a holder who connects again applies only the differences."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.connections.domain.address.conditions import (
    refuse_other_mailbox,
    require_acknowledgement,
    require_mailbox,
    require_pinned,
    taken,
)
from services.connections.domain.address.state import AddressState, Connection, Free, LiveConnection, Personal, Team
from shared.core.address import (
    CANONICAL_FORM,
    FREE_MAIL_DOMAIN,
    ROLE_BASED_LOCAL_PART,
    SAME_MAILBOX_SUSPECTED,
    CanonicalAddress,
)
from shared.core.address import warnings_about as codes_about
from shared.core.decider import Decision
from shared.core.refusal import Refused, next_action
from shared.language.commands import ConnectPersonal, ConnectTeam, Reconnect, Resume
from shared.language.events import Event, FromNameChanged, PersonalConnected, Reconnected, TeamConnected
from shared.language.reasons import Reason

# ---- warnings about a new connection, and next steps

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
    command: ConnectPersonal, target: CanonicalAddress, state: AddressState, siblings: Iterable[AddressState]
) -> Decision:
    match state:
        case Free():
            require_mailbox(siblings, command.owner)
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
        case Personal(owner=owner) if owner == command.owner:
            return connect_again(command, state, siblings)
        case _:
            raise taken(state, "personal")


def connect_team(
    command: ConnectTeam, target: CanonicalAddress, state: AddressState, siblings: Iterable[AddressState]
) -> Decision:
    match state:
        case Free():
            require_mailbox(siblings, None)
            require_acknowledgement(command)
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
        case Team(inbox=inbox) if inbox == command.inbox:
            return connect_again(command, state, siblings)
        case _:
            raise taken(state, "team")


def connect_again(
    command: ConnectPersonal | ConnectTeam, connection: LiveConnection, siblings: Iterable[AddressState]
) -> Decision:
    """Apply each difference of the holder's command, or refuse it; none is ignored (A8)."""
    require_healthy(connection)
    identity, events = command.provider_identity, list[Event]()
    if command.from_name is not None and command.from_name != connection.from_name:
        events.append(FromNameChanged(address=connection.address, from_name=command.from_name))
    if identity is not None and connection.provider_identity is None:
        return Decision([*events, pin(command, connection, identity, siblings)])
    if identity is not None:
        require_same_mailbox(command, connection, identity)
    return Decision(events, provider_not_taken(connection, command.provider))


def require_healthy(connection: LiveConnection) -> None:
    """Connecting an own address again is refused with the one command that repairs it."""
    if connection.reauthenticate:
        raise Refused(
            Reason.REAUTH_REQUIRED,
            f"{connection.address} is yours already and must be authenticated again.",
            {"address": connection.address, "since": connection.since},
            [next_action(Reconnect, "Authenticate the mailbox again.")],
        )
    if connection.paused:
        raise Refused(
            Reason.CONNECTION_PAUSED,
            f"{connection.address} is yours already and is paused.",
            {"address": connection.address, "since": connection.since},
            [next_action(Resume, "Resume the connection.")],
        )


def pin(
    command: ConnectPersonal | ConnectTeam,
    connection: LiveConnection,
    identity: str,
    siblings: Iterable[AddressState],
) -> Reconnected:
    """The first identity that the holder names."""
    require_mailbox(siblings, connection.owner if isinstance(connection, Personal) else None)
    return Reconnected(
        address=connection.address,
        provider_identity=identity,
        provider=command.provider or connection.provider,
        connector=command.actor if isinstance(connection, Team) else None,
    )


def require_same_mailbox(command: ConnectPersonal | ConnectTeam, connection: LiveConnection, identity: str) -> None:
    if connection.provider and command.provider not in (None, connection.provider):
        refuse_other_mailbox(connection.address, f"is pinned under the provider {connection.provider}")
    require_pinned(connection, identity)


def provider_not_taken(connection: Connection, provider: str | None) -> Sequence[Mapping[str, Any]]:
    """The warning that another provider alone changes nothing."""
    if provider in (None, connection.provider):
        return ()
    stays = connection.provider or "unknown"
    message = f"The provider stays {stays}: disconnect the address to connect it with another one."
    return [{"code": "NOT_TAKEN", "field": "provider", "message": message}]
