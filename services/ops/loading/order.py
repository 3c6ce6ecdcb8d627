"""The order of commands: those that name the same thing keep it, all others go side by side.

A command changes its own aggregate and reads the others that it names. A change of a thing waits for all earlier
commands that name it; a read waits for the last change. So a user exists before an address is connected for them,
however many commands are under way.

The mailbox of an address that another row connected, or another client, is unknown here; nothing waits for it.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.core.address import InvalidAddressError, canonical
from shared.core.mailbox import mailbox_name
from shared.core.names import name_key
from shared.core.policies import holds
from shared.language.commands import AddUser
from shared.language.permissions import PERMISSIONS

# Which kind of thing a field names.
USERS: Final = ("actor", "user", "owner", "new_owner", "admin", "members", "users")
INBOXES: Final = ("inbox", "to_inbox")
TEAMS: Final = ("team", "teams")
ADDRESSES: Final = ("address", "alias")
KINDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(USERS, "user"), **dict.fromkeys(INBOXES, "inbox"), **dict.fromkeys(TEAMS, "team"),
    **dict.fromkeys(ADDRESSES, "address"),
}  # fmt: skip
# These change more than they name, so they wait for all. A user who is added again gets addresses back, too; but
# connecting one of them is refused before and after.
OF_ALL: Final = frozenset(
    message.__name__
    for message, rule in PERMISSIONS.items()
    if rule.beyond - {"super admins"} and message is not AddUser
)
# The last administrator stays, so these wait for those who add one.
OF_ADMINISTRATORS: Final = frozenset(
    message.__name__ for message, rule in PERMISSIONS.items() if "super admins" in rule.beyond
)
# A command changes what the first of these names that it has; an alias with its address.
CHANGED: Final = (("user",), ADDRESSES, ("inbox",), ("team",))

Thing = tuple[str, str, str]
EVERYTHING: Final = ("", "")


class Touched(NamedTuple):
    changed: Sequence[Thing]
    read_only: Sequence[Thing]


def touched(account: str, command: str, fields: Mapping[str, Any]) -> Touched:
    """The things that a command changes, and those it reads."""
    named = [(field, (account, KINDS[field], name)) for field, name in _names(fields)]
    everything = (account, *EVERYTHING)
    if command in OF_ALL:
        return Touched([everything, *(thing for _, thing in named)], ())
    own: Sequence[str] = next((own for own in CHANGED if own[0] in fields), ())
    changed = [thing for field, thing in named if field in own]
    changed += [(account, kind, name) for kind, name in _unnamed(command, fields)]
    return Touched(changed, [everything, *(thing for field, thing in named if field not in own)])


def _unnamed(command: str, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The things that only one may have: a mailbox, an inbox's name, the place of the last administrator."""
    if identity := fields.get("provider_identity"):
        yield "mailbox", mailbox_name(str(fields.get("provider") or ""), str(identity))
    if command == "CreateInbox":
        yield "name of an inbox", name_key(str(fields.get("name")))
    permissions = fields.get("permissions")
    if command in OF_ADMINISTRATORS or (isinstance(permissions, list) and holds(permissions, "super_admin")):
        yield "administrators", ""


def _names(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for field, value in fields.items():
        if field in ADDRESSES:
            yield field, _canonical(value)
        elif field in KINDS:
            for name in value if isinstance(value, list) else (value,):
                yield field, str(name)
        elif isinstance(value, dict):
            yield from _names(value)


def _canonical(value: Any) -> str:
    try:
        return canonical(str(value)).address
    except InvalidAddressError:
        return str(value)


class Order:
    """Hands out who is to be waited for; each one's `done` is set when its answer is there."""

    def __init__(self) -> None:
        self._changed: dict[Thing, asyncio.Event] = {}
        self._read_only: dict[Thing, set[asyncio.Event]] = {}

    def enter(self, things: Touched, done: asyncio.Event) -> set[asyncio.Event]:
        """Those before it that are not through yet; from now on those behind wait for `done`."""
        before: set[asyncio.Event] = set()
        for thing in things.changed:
            before |= self._read_only.pop(thing, set())
            if (last := self._changed.get(thing)) is not None:
                before.add(last)
            self._changed[thing] = done
        for thing in things.read_only:
            if (last := self._changed.get(thing)) is not None:
                before.add(last)
            self._read_only.setdefault(thing, set()).add(done)
        before.discard(done)
        return before

    @property
    def things(self) -> set[Thing]:
        """All that commands under way change or read."""
        return {*self._changed, *self._read_only}

    def leave(self, things: Touched, done: asyncio.Event) -> None:
        """Lets those behind it go, and forgets it."""
        done.set()
        for thing in things.changed:
            if self._changed.get(thing) is done:
                del self._changed[thing]
        for thing in things.read_only:
            if (all_ := self._read_only.get(thing)) is not None:
                all_.discard(done)
                if not all_:
                    del self._read_only[thing]
