"""A directory exported from elsewhere, as CSV files in a folder, becomes commands; clashes are told beforehand.

| file | header (`?` may be left out) |
|---|---|
| `users.csv` | `user,name,permissions?,seat?` - permissions separated by `;`, seat `true` or `false` |
| `inboxes.csv` | `inbox,name,members?` - members separated by `;`; without any it is open to everyone |
| `addresses.csv` | `address,kind,owner?,inbox?,provider?,from_name?` - `personal` names an owner, `team` an inbox |

Each file may be missing. Every clash is one line: what clashes, with what, and what to do.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, get_args

from services.ops.loading.cells import LIST_SEPARATOR
from services.ops.loading.encodings import Unreadable
from shared.language.text import Permission

HEADERS: Final[Mapping[str, tuple[frozenset[str], frozenset[str]]]] = {
    "users.csv": (frozenset(("user", "name")), frozenset(("permissions", "seat"))),
    "inboxes.csv": (frozenset(("inbox", "name")), frozenset(("members",))),
    "addresses.csv": (
        frozenset(("address", "kind")), frozenset(("owner", "inbox", "provider", "from_name")),
    ),
}  # fmt: skip

ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}")
PERMISSIONS: Final = frozenset(get_args(Permission))


@dataclass
class Directory:
    """What stands in the folder: by file, each line's number with its cells."""

    lines: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)

    def of(self, file: str) -> list[tuple[int, dict[str, str]]]:
        return self.lines.get(file, [])


def read(folder: Path) -> Directory:
    """Raises Unreadable: nothing is there, or a header is not as documented."""
    found = Directory()
    for name, (needed, more) in HEADERS.items():
        path = folder / name
        if not path.exists():
            continue
        with path.open(encoding="utf-8-sig", newline="") as file, readable(name):
            reader = csv.DictReader(file, strict=True)
            titles = frozenset(reader.fieldnames or ())
            if needed - titles or titles - needed - more:
                wrong = [f"lacks {one}" for one in sorted(needed - titles)]
                wrong += [f"has an unknown {one}" for one in sorted(titles - needed - more)]
                known = ",".join([*sorted(needed), *sorted(more)])
                raise Unreadable(f"the header of {name} {' and '.join(wrong)}; it is {known}")
            found.lines[name] = [(reader.line_num, told(cells, name, reader.line_num)) for cells in reader]
    if not found.lines:
        raise Unreadable(f"{folder} has none of {', '.join(HEADERS)}")
    return found


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Raises Unreadable: it is no UTF-8, or no CSV."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is not UTF-8 at byte {error.start:,}: save it as UTF-8") from error
    except csv.Error as error:
        raise Unreadable(f"{name} is not CSV: {error}") from error


def told(cells: Mapping[str | None, Any], file: str, line: int) -> dict[str, str]:
    """The cells that say something. Raises Unreadable: there are more than the header names, or a seat is no switch."""
    if None in cells:
        raise Unreadable(f"line {line} of {file} has {len(cells[None])} more cells than the header names")
    if (seat := (cells.get("seat") or "").strip().lower()) not in ("", "true", "false"):
        raise Unreadable(f"line {line} of {file} has a seat {seat!r}; it is true or false")
    return {name: text for name, value in cells.items() if name and value and (text := value.strip())}


class Given(NamedTuple):
    """A command that a line becomes; `what` names the thing that the line is about."""

    file: str
    line: int
    what: str
    command: str
    fields: Mapping[str, Any]


def commands(found: Directory, account: str, actor: str) -> Iterator[dict[str, Any]]:
    """The commands that make it so, as lines of a load."""
    for one in given(found):
        yield {"account": account, "command": one.command, "actor": actor, **one.fields}


def given(found: Directory) -> Iterator[Given]:
    """The commands that make it so, in an order in which they can be given."""
    for line, user in found.of("users.csv"):
        name = user.get("user", "")
        permissions = parts(user.get("permissions"))
        added = {"user": name, "name": user.get("name", ""), "permissions": permissions}
        yield Given("users.csv", line, name, "AddUser", added)
        if user.get("seat", "").lower() == "true":
            yield Given("users.csv", line, name, "AssignSeat", {"user": name})
    for line, inbox in found.of("inboxes.csv"):
        name = inbox.get("inbox", "")
        members = {"members": parts(inbox["members"])} if "members" in inbox else {}
        created = {"inbox": name, "name": inbox.get("name", ""), **members}
        yield Given("inboxes.csv", line, name, "CreateInbox", created)
    for line, one in found.of("addresses.csv"):
        fields: dict[str, Any] = {name: one[name] for name in ("address", "provider", "from_name") if name in one}
        kind = one.get("kind", "")
        if kind == "team":
            fields |= {"inbox": one.get("inbox", ""), "visibility_acknowledged": True}
        else:
            fields["owner"] = one.get("owner", "")
        # Of a kind that is neither there is no such command, so that it is refused and not lost.
        yield Given("addresses.csv", line, one.get("address", ""), f"Connect{kind.title()}", fields)


def parts(cell: str | None) -> list[str]:
    return [part.strip() for part in (cell or "").split(LIST_SEPARATOR) if part.strip()]
