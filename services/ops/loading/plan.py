"""The commands that make a directory so, compared with what is there; the same plan is foretold and carried out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from services.ops.loading.directory import HEADERS, Directory
from shared.core.address import AddressInvalid, canonical
from shared.language.answers import AddressEntry, InboxEntry, TeamEntry, UserEntry

ORDER: Final = list(HEADERS)
# A user, a team, an inbox, the name of one, an address: what one step makes and another needs.
Thing = tuple[str, str]


class Told(NamedTuple):
    """Something to know about a row: `what` names the thing that the row is about."""

    file: str
    line: int
    what: str
    why: str


@dataclass(frozen=True)
class Step:
    """A command; `needs` are the steps before it without which it would be refused."""

    file: str
    line: int
    what: str
    command: str
    fields: Mapping[str, Any]
    needs: frozenset[int] = frozenset()

    def row(self, account: str, actor: str) -> dict[str, Any]:
        """As a line of a load; the note says which line of the directory it comes from."""
        start = {"account": account, "command": self.command, "actor": actor}
        return {**start, **self.fields, "_from": {"file": self.file, "line": self.line, "what": self.what}}


class Clash(NamedTuple):
    """A row that is refused before it is given, with the command that it would have been."""

    told: Told
    command: str
    fields: Mapping[str, Any]


@dataclass
class Plan:
    """`unchanged` rows are so already; `left` are those that no command can make so, and why.

    `beside` counts what is there and not in the directory, which is left alone.
    """

    steps: list[Step] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    left: list[Told] = field(default_factory=list)
    returning: list[Told] = field(default_factory=list)
    unchanged: int = 0
    beside: Counter[str] = field(default_factory=Counter)


class Present(NamedTuple):
    """What is there already, by name; `room` is how many more inboxes the plan of the account has place for.

    What only the write side can say: `access` of inboxes that is another one than the directory's (`other`), or that
    has teams beside the same members (`teams`); `come_back`, how many addresses each user has back when added again.
    """

    users: Mapping[str, UserEntry]
    teams: Mapping[str, TeamEntry]
    inboxes: Mapping[str, InboxEntry]
    addresses: Mapping[str, AddressEntry]
    room: int
    registered: bool = True
    access: Mapping[str, str] = {}
    come_back: Mapping[str, int] = {}


def beside(found: Directory, there: Present) -> Counter[str]:
    """How much of what is there stands in none of the files, of the kinds that there are files of."""
    counts: Counter[str] = Counter()
    if "users.csv" in found.files:
        named = {row.user for row in found.users}
        counts["users"] = sum(one.status != "removed" and one.user not in named for one in there.users.values())
    if "teams.csv" in found.files:
        counts["teams"] = len(there.teams.keys() - {row.team for row in found.teams})
    if "inboxes.csv" in found.files:
        inboxes = {row.inbox for row in found.inboxes} | {row.inbox for row in found.addresses}
        counts["inboxes"] = sum(not one.archived and one.inbox not in inboxes for one in there.inboxes.values())
    if "addresses.csv" in found.files:
        named = {_canonical(name) for row in found.addresses for name in (row.address, *row.aliases)}
        counts["addresses"] = len(there.addresses.keys() - named)
    return +counts


def _canonical(text: str) -> str:
    try:
        return canonical(text).address
    except AddressInvalid:
        return text
