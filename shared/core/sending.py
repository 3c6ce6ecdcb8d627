"""The identities a user may send as: which are usable now, and in which order. Decisions and views use the same."""

from collections.abc import Collection, Iterable, Iterator
from typing import Generic, Literal, NamedTuple, TypeAlias, TypeVar

from shared.core.policies import Membership, WithoutEffect, why_without_effect

T = TypeVar("T")
Broken: TypeAlias = Literal["ADDRESS_ORPHANED", "REAUTH_REQUIRED", "CONNECTION_PAUSED"]


class Identity(NamedTuple, Generic[T]):
    """An address that a user may send as; of an alias, `claim` is its primary's."""

    address: str
    via: Literal["personal", "inbox", "alias"]
    claim: T


def why_not_sending(*, orphaned: bool, reauthenticate: bool, sending: bool) -> Broken | None:
    """The state of a connection that keeps everybody from sending as its address."""
    if orphaned:
        return "ADDRESS_ORPHANED"
    if reauthenticate:
        return "REAUTH_REQUIRED"
    return None if sending else "CONNECTION_PAUSED"


def why_not_sender(status: str | None, permissions: Collection[str], *, personal: bool) -> WithoutEffect | None:
    """The condition that a user lacks for sending as a personal address or as one of an inbox (A4)."""
    if personal:
        return why_without_effect(status, permissions)
    return None if status == "active" else "OWNER_NOT_ACTIVE"


def is_identity_of(user: str, owner: str | None, inbox: Membership | None) -> bool:
    """Whether an address is one of the user's: their own, or one of an inbox they are in.

    `owner` is None for a team address; `inbox` is None when it is archived or unknown.
    """
    return owner == user if owner is not None else inbox is not None and inbox.admits(user)


def by_claim(own: Iterable[tuple[str, str, T]]) -> list[tuple[str, str, T]]:
    """Personal addresses, each with the start of its claim before it, in the order of their claims."""
    return sorted(own, key=lambda one: one[:2])


def best_first(
    own: Iterable[tuple[str, str, T]], team: Iterable[tuple[str, T]], aliases: Iterable[tuple[str, str]]
) -> Iterator[Identity[T]]:
    """All identities of one user: personal by time of claim, inbox addresses by name, aliases in the same order.

    Args:
        own: the start of the claim, the address and the claim of each personal address.
        team: the address and the claim of each address of the user's inboxes.
        aliases: the primary and the address of each alias of all these, by address.
    """
    names: dict[str, list[str]] = {}
    for primary, alias in aliases:
        names.setdefault(primary, []).append(alias)
    primaries = [
        *(Identity(address, "personal", claim) for _, address, claim in by_claim(own)),
        *(Identity(address, "inbox", claim) for address, claim in sorted(team, key=lambda one: one[0])),
    ]
    yield from primaries
    for one in primaries:
        for name in names.get(one.address, ()):
            yield Identity(name, "alias", one.claim)
