"""The plan of a directory: the commands that make an account match it. The dry run and the load use the same plan."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from services.ops.loading.directory import HEADERS, Directory
from shared.core.address import InvalidAddressError, canonical
from shared.language.answers import AddressEntry, InboxEntry, TeamEntry, UserEntry

ORDER: Final = list(HEADERS)
# The kind and name of a user, team, inbox, inbox name or address that one step makes and another needs.
Thing = tuple[str, str]


class RowNote(NamedTuple):
    """A remark about a row; `what` names the user, team, inbox or address of the row."""

    file: str
    line: int
    what: str
    why: str


@dataclass(frozen=True)
class Step:
    """A command. Its outcome may depend on the earlier steps `needs`; without those in `requires` it is not given.

    `lenient`: an owner who cannot hold the address is not an error of the row.
    """

    file: str
    line: int
    what: str
    command: str
    fields: Mapping[str, Any]
    needs: frozenset[int] = frozenset()
    requires: frozenset[int] = frozenset()
    lenient: bool = False

    def row(self, account: str, actor: str) -> dict[str, Any]:
        """The step as a line of a load; its note names the line of the directory."""
        start = {"account": account, "command": self.command, "actor": actor}
        return {**start, **self.fields, "_from": {"file": self.file, "line": self.line, "what": self.what}}


class Clash(NamedTuple):
    """A row that would be refused, and its command."""

    note: RowNote
    command: str
    fields: Mapping[str, Any]


def by_row(clash: Clash) -> tuple[int, int]:
    """The order of clashes: by file, then by line."""
    return ORDER.index(clash.note.file) if clash.note.file in ORDER else 0, clash.note.line


@dataclass
class Plan:
    """`unchanged` rows match already; `left` rows cannot be made to match by any command.

    `not_listed` counts what the account has and the directory does not; the load leaves it alone.
    """

    steps: list[Step] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    left: list[RowNote] = field(default_factory=list)
    returning: list[RowNote] = field(default_factory=list)
    unchanged: int = 0
    not_listed: Counter[str] = field(default_factory=Counter)


class AccountState(NamedTuple):
    """The account before the load, by name.

    Known from dry runs only: `access` of inboxes that differs from the directory's (`other`), or that has teams beside
    the same members (`teams`); `come_back`, the number of addresses that each user gets back when added again.
    """

    users: Mapping[str, UserEntry]
    teams: Mapping[str, TeamEntry]
    inboxes: Mapping[str, InboxEntry]
    addresses: Mapping[str, AddressEntry]
    registered: bool = True
    access: Mapping[str, str] = {}
    come_back: Mapping[str, int] = {}


def count_not_listed(directory: Directory, account: AccountState) -> Counter[str]:
    """Count what the account has and no file names, for each kind that has a file."""
    counts: Counter[str] = Counter()
    if "users.csv" in directory.files:
        listed = {row.user for row in directory.users}
        counts["users"] = sum(one.status != "removed" and one.user not in listed for one in account.users.values())
    if "teams.csv" in directory.files:
        counts["teams"] = len(account.teams.keys() - {row.team for row in directory.teams})
    if "inboxes.csv" in directory.files:
        inboxes = {row.inbox for row in directory.inboxes} | {row.inbox for row in directory.addresses}
        counts["inboxes"] = sum(not one.archived and one.inbox not in inboxes for one in account.inboxes.values())
    if "addresses.csv" in directory.files:
        listed = {_canonical(name) for row in directory.addresses for name in (row.address, *row.aliases)}
        counts["addresses"] = len(account.addresses.keys() - listed)
    return +counts


def _canonical(text: str) -> str:
    try:
        return canonical(text).address
    except InvalidAddressError:
        return text
