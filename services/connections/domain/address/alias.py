"""The aliases of a mailbox: each is taken like any address, follows its primary, and can take its place (A7)."""

from collections.abc import Iterable

from services.connections.domain.address.conditions import require_live, taken
from services.connections.domain.address.state import AddressState, Alias, Free, LiveConnection, Personal, Team
from shared.core.address import CANONICAL_FORM, CanonicalAddress
from shared.core.refusal import Refused, next_action
from shared.language.commands import AddAlias, PromoteAlias, RemoveAlias
from shared.language.events import AliasAdded, AliasPromoted, AliasRemoved, Event
from shared.language.reasons import Reason


def add(_: AddAlias, address: str, primary: AddressState, target: CanonicalAddress, state: AddressState) -> list[Event]:
    """`target` is the alias, `state` its situation."""
    require_live(primary, address)
    match state:
        case Free():
            return [
                AliasAdded(
                    address=target.address, display=target.display, primary=address, canonical_form=CANONICAL_FORM
                )
            ]
        case Alias(primary=present) if present == address:
            return []
        case _:
            raise taken(state, "personal")


def remove(
    _: RemoveAlias, address: str, primary: AddressState, target: CanonicalAddress, state: AddressState
) -> list[Event]:
    require_live(primary, address)
    require_alias_of(address, target.address, state)
    return [AliasRemoved(address=target.address, primary=address)]


def promote(
    _: PromoteAlias,
    address: str,
    primary: AddressState,
    target: CanonicalAddress,
    state: AddressState,
    aliases: Iterable[Alias],
) -> list[Event]:
    """The mailbox was renamed: `target` becomes the primary, `address` its alias; `aliases` are all of the mailbox."""
    connection = require_live(primary, address)
    require_alias_of(address, target.address, state)
    others = sorted(one.address for one in aliases if one.address != target.address)
    return [promoted(connection, target.address, stream) for stream in (address, target.address, *others)]


def promoted(connection: LiveConnection, primary: str, stream: str) -> AliasPromoted:
    """The event on one of the streams that it changes."""
    personal = connection if isinstance(connection, Personal) else None
    team = connection if isinstance(connection, Team) else None
    return AliasPromoted(
        address=stream,
        primary=primary,
        former_primary=connection.address,
        kind="team" if team else "personal",
        owner=personal.owner if personal else None,
        inbox=team.inbox if team else None,
        connector=team.connector if team else None,
        since=connection.since,
        provider=connection.provider,
        provider_identity=connection.provider_identity,
        from_name=connection.from_name,
        tools=tuple(sorted(connection.tools)),
        receiving=connection.receiving,
        sending=connection.sending,
        reauthentication_required=connection.reauthenticate,
    )


def require_alias_of(address: str, alias: str, state: AddressState) -> None:
    if isinstance(state, Alias) and state.primary == address:
        return
    raise Refused(
        Reason.NOT_CONNECTED,
        f"{alias} is not an alias of {address}.",
        {"address": alias, "primary": address},
        [next_action(AddAlias, "Add it as an alias.")],
    )
