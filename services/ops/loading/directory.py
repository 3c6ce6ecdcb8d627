"""A directory: users, teams, inboxes and addresses, from CSV files in a folder or an export of another system.

| file | header (`?` may be left out) |
|---|---|
| `users.csv` | `user,name,permissions?,seat?,active?` - permissions separated by `;`, two switches |
| `teams.csv` | `team,name,members?` - members separated by `;` |
| `inboxes.csv` | `inbox,name,members?,teams?` - separated by `;`; without any it is open to everyone |
| `addresses.csv` | `address,kind,owner?,inbox?,provider?,from_name?,aliases?` - `personal` or `team` |

Each file may be missing. A personal address names an owner, a team address an inbox; a switch is `true` or `false`. A
column in the header applies to every row: an empty permissions cell means no permissions, an empty members cell an
inbox open to everyone, and `;` an inbox without members. A missing column, and an empty seat, active, provider or
from_name, leave the account as it is.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.ops.loading.cells import LIST_SEPARATOR
from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.proxies import is_type_name, is_typed, proxies
from services.ops.loading.tables import plain, read_table

HEADERS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "users.csv": (("user", "name"), ("permissions", "seat", "active")),
    "teams.csv": (("team", "name"), ("members",)),
    "inboxes.csv": (("inbox", "name"), ("members", "teams")),
    "addresses.csv": (("address", "kind"), ("owner", "inbox", "provider", "from_name", "aliases")),
}


class UserRow(NamedTuple):
    """`permissions`, `seat` and `active` are None without a value; `at_first` are the permissions of a new user."""

    file: str
    line: int
    user: str
    name: str
    permissions: tuple[str, ...] | None = None
    seat: bool | None = None
    active: bool | None = None
    at_first: tuple[str, ...] = ()


class TeamRow(NamedTuple):
    file: str
    line: int
    team: str
    name: str
    members: tuple[str, ...] | None = None


class InboxRow(NamedTuple):
    """`closed`: without members nobody has access. `at_first`: it is created when missing, and never changed."""

    file: str
    line: int
    inbox: str
    name: str
    members: tuple[str, ...] | None = None
    teams: tuple[str, ...] | None = None
    closed: bool = False
    at_first: bool = False

    @property
    def access(self) -> dict[str, Any]:
        """The access, as fields of SetInboxAccess."""
        if not (self.members or self.teams or self.closed):
            return {"access": "everyone"}
        lists = {"members": list(self.members or ()), "teams": list(self.teams or ())}
        return {"access": "members", **{name: names for name, names in lists.items() if names}}


class AddressRow(NamedTuple):
    """`error` says what is wrong with the row. `lenient`: a row whose owner may not hold it does not clash."""

    file: str
    line: int
    address: str
    kind: str
    owner: str = ""
    inbox: str = ""
    provider: str | None = None
    from_name: str | None = None
    aliases: tuple[str, ...] = ()
    error: str = ""
    lenient: bool = False


@dataclass
class Directory:
    """All rows, in order; `files` are the files that exist. `left_out` counts skipped entries by kind."""

    users: list[UserRow] = field(default_factory=list)
    teams: list[TeamRow] = field(default_factory=list)
    inboxes: list[InboxRow] = field(default_factory=list)
    addresses: list[AddressRow] = field(default_factory=list)
    files: tuple[str, ...] = ()
    left_out: Counter[str] = field(default_factory=Counter)


class Cells:
    """One row of a file: its cells by plain names, and the columns of the file."""

    def __init__(self, file: str, line: int, titles: frozenset[str], cells: Mapping[str, str]) -> None:
        self.file = file
        self.line = line
        self._titles = titles
        self._cells = cells

    def text(self, name: str) -> str:
        return self._cells.get(name, "")

    def parts(self, name: str) -> tuple[str, ...] | None:
        """A list; None without that column."""
        return parts(self.text(name)) if name in self._titles else None

    def switch(self, name: str) -> bool | None:
        """`true` or `false` in any letters; None when the cell is empty.

        Raises:
            UnreadableFileError: it has another value.
        """
        word = self.text(name).lower()
        if word not in ("", "true", "false"):
            raise UnreadableFileError(
                f"line {self.line} of {self.file} has {'an' if name[0] in 'aeiou' else 'a'} {name} "
                f"{self.text(name)!r}; it is true or false"
            )
        return {"true": True, "false": False}.get(word)


def read(folder: Path) -> Directory:
    """Read the files of a folder to their end.

    Raises:
        UnreadableFileError: no file exists, a header is not as documented, or a file is not a table.
    """
    found = Directory(files=tuple(name for name in HEADERS if (folder / name).exists()))
    if not found.files:
        raise UnreadableFileError(f"{folder} has none of {', '.join(HEADERS)}")
    makers: Mapping[str, Callable[[Cells], None]] = {
        "users.csv": lambda cells: found.users.append(_user(cells)),
        "teams.csv": lambda cells: found.teams.append(_team(cells)),
        "inboxes.csv": lambda cells: found.inboxes.append(_inbox(cells)),
        "addresses.csv": lambda cells: found.addresses.append(_address(cells, found.left_out)),
    }
    for name in found.files:
        for cells in _rows(folder / name):
            makers[name](cells)
    return found


def _rows(path: Path) -> Iterator[Cells]:
    table = read_table(path)
    needed, more = HEADERS[path.name]
    names = {title: plain(title) for title in table.header if title}
    titles = frozenset(names.values())
    wrong = [f"lacks {one}" for one in needed if one not in titles]
    wrong += [f"has an unknown {one}" for one in sorted(titles - {*needed, *more})]
    if wrong:
        known = ",".join((*needed, *more))
        raise UnreadableFileError(f"the header of {path.name} {' and '.join(wrong)}; it is {known}")
    for line, cells in table.rows():
        yield Cells(path.name, line, titles, {names[title]: text.strip() for title, text in cells.items()})


def _user(cells: Cells) -> UserRow:
    permissions = cells.parts("permissions")
    return UserRow(
        cells.file, cells.line, cells.text("user"), cells.text("name"), permissions, cells.switch("seat"),
        cells.switch("active"), permissions or (),
    )  # fmt: skip


def _team(cells: Cells) -> TeamRow:
    return TeamRow(cells.file, cells.line, cells.text("team"), cells.text("name"), cells.parts("members"))


def _inbox(cells: Cells) -> InboxRow:
    members, teams = cells.parts("members"), cells.parts("teams")
    # A list without parts admits nobody; an empty cell is not a list.
    closed = bool(cells.text("members")) and not members
    return InboxRow(cells.file, cells.line, cells.text("inbox"), cells.text("name"), members, teams, closed)


def _address(cells: Cells, left_out: Counter[str]) -> AddressRow:
    address, aliases, error = mailbox_of(cells.text("address"), cells.text("aliases"), left_out)
    return AddressRow(
        cells.file, cells.line, address, cells.text("kind").lower(), cells.text("owner"), cells.text("inbox"),
        cells.text("provider").lower() or None, cells.text("from_name") or None, aliases, error,
    )  # fmt: skip


def mailbox_of(address: str, aliases: str, left_out: Counter[str]) -> tuple[str, tuple[str, ...], str]:
    """The primary address, its aliases and an error; either cell may have the form of proxyAddresses.

    Entries of another type than SMTP are not mail addresses: they are counted in `left_out`.
    """
    if is_type_name(aliases):
        return address, (), f"has {aliases} as aliases, which is the name of a type: export the addresses, joined by ;"
    listed = proxies(aliases)
    names = [address]
    if is_typed(address):
        own = proxies(address)
        names = list(own.primaries)
        if not names:
            return address, (), "has no primary address: smtp: marks an alias, which goes to the column aliases"
        listed = listed._replace(aliases=(*own.aliases, *listed.aliases), others=own.others + listed.others)
    left_out.update({f"{kind} addresses": count for kind, count in listed.others.items()})
    mains = {one.lower() for one in (*names, *listed.primaries)}
    if len(mains) > 1:
        return names[0], (), f"has two primary addresses: SMTP: marks {' and '.join(sorted(mains))}"
    further = dict.fromkeys(one for one in listed.aliases if one.lower() not in mains)
    return names[0], tuple(further), ""


def parts(cell: str) -> tuple[str, ...]:
    """The parts of a list in a cell, each once."""
    return tuple(dict.fromkeys(part.strip() for part in cell.split(LIST_SEPARATOR) if part.strip()))
