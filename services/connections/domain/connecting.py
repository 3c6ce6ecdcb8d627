"""Connecting an address: what a first claim makes of it, and what is taken of one that is given again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from services.connections.domain.address import (
    AddressState,
    Connected,
    Free,
    Link,
    Personal,
    Team,
)
from services.connections.domain.claims import (
    refuse_other_mailbox,
    require_acknowledgement,
    require_mailbox,
    require_pinned,
    taken,
)
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
from shared.language.commands import (
    ConnectPersonal,
    ConnectTeam,
    Reconnect,
    Resume,
)
from shared.language.events import (
    Event,
    FromNameChanged,
    PersonalConnected,
    Reconnected,
    TeamConnected,
)
from shared.language.reasons import Reason

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


def require_healthy(state: Connected) -> None:
    """Connecting what one holds already is refused with the one thing that puts it right."""
    if state.link.reauthenticate:
        raise Refused(
            Reason.REAUTH_REQUIRED,
            f"{state.address} is yours already and must be authenticated again.",
            {"address": state.address, "since": state.since},
            [next_action(Reconnect, "Authenticate the mailbox again.")],
        )
    if state.link.paused:
        raise Refused(
            Reason.CONNECTION_PAUSED,
            f"{state.address} is yours already and is paused.",
            {"address": state.address, "since": state.since},
            [next_action(Resume, "Resume the connection.")],
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
