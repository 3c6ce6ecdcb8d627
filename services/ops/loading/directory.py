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

from services.ops.loading.rows import LIST_SEPARATOR, Unreadable
from shared.client import Account, NotAnswered, NotDone, QuestionError, every
from shared.core.address import AddressInvalid, canonical
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


class Clash(NamedTuple):
    """Something that will be refused, or that says two things at once."""

    file: str
    line: int
    what: str
    why: str


@dataclass
class Directory:
    """What stands in the folder: by file, each line's number with its cells."""

    lines: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)

    def of(self, file: str) -> list[tuple[int, dict[str, str]]]:
        return self.lines.get(file, [])


class Present(NamedTuple):
    """What is there already: users and inboxes by id, held addresses with their owner and inbox."""

    users: frozenset[str]
    inboxes: frozenset[str]
    addresses: Mapping[str, tuple[str | None, str | None]]
    registered: bool = True


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


def commands(found: Directory, account: str, actor: str) -> Iterator[dict[str, Any]]:
    """The commands that make it so, in an order in which they can be given."""

    def line(command: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"account": account, "command": command, "actor": actor, **fields}

    for _, user in found.of("users.csv"):
        named = {"user": user.get("user", ""), "name": user.get("name", "")}
        yield line("AddUser", {**named, "permissions": parts(user.get("permissions"))})
        if user.get("seat", "").lower() == "true":
            yield line("AssignSeat", {"user": user.get("user", "")})
    for _, inbox in found.of("inboxes.csv"):
        members = {"members": parts(inbox["members"])} if "members" in inbox else {}
        yield line("CreateInbox", {"inbox": inbox.get("inbox", ""), "name": inbox.get("name", ""), **members})
    for _, one in found.of("addresses.csv"):
        more: dict[str, str] = {name: one[name] for name in ("address", "provider", "from_name") if name in one}
        match one.get("kind", ""):
            case "team":
                yield line("ConnectTeam", {**more, "inbox": one.get("inbox", ""), "visibility_acknowledged": True})
            case kind:
                # Of a kind that is neither there is no such command, so that it is refused and not lost.
                yield line(f"Connect{kind.title()}", {**more, "owner": one.get("owner", "")})


def parts(cell: str | None) -> list[str]:
    return [part.strip() for part in (cell or "").split(LIST_SEPARATOR) if part.strip()]


# ---- clashes


async def present(account: Account) -> Present:
    """What the account has now; nothing when it is not registered yet.

    Raises:
        NotDone: a list was not answered.
    """
    try:
        users = frozenset([user.user async for user in every(account.users) if user.status != "removed"])
    except NotDone as error:
        if isinstance(error.why, NotAnswered) and error.why.error == QuestionError.ACCOUNT_NOT_FOUND:
            return Present(frozenset(), frozenset(("inbox",)), {}, registered=False)
        raise
    inboxes = frozenset([inbox.inbox async for inbox in every(account.inboxes)])
    entries = [one async for one in every(account.addresses, limit=1_000)]
    return Present(users, inboxes, {one.address: (one.owner, one.inbox) for one in entries if one.state != "free"})


def clashes(found: Directory, there: Present) -> Iterator[Clash]:
    """Everything in the files that would be refused, or says two things at once."""
    yield from _named_twice(found, "users.csv", "user", there.users)
    yield from _named_twice(found, "inboxes.csv", "inbox", there.inboxes)
    users = there.users | {user.get("user", "") for _, user in found.of("users.csv")}
    inboxes = there.inboxes | {inbox.get("inbox", "") for _, inbox in found.of("inboxes.csv")}
    yield from _people(found, users)
    yield from _addresses(found, there, users, inboxes)


def _named_twice(found: Directory, file: str, key: str, there: frozenset[str]) -> Iterator[Clash]:
    before: dict[str, int] = {}
    for line, cells in found.of(file):
        name = cells.get(key, "")
        if not ID.fullmatch(name):
            yield Clash(file, line, name, f"is no id of {key}: 1 to 32 of A-Z a-z 0-9 _ -")
        elif name in before:
            yield Clash(file, line, name, f"is in line {before[name]} already")
        elif name in there:
            yield Clash(file, line, name, f"names a {key} that is there already")
        before.setdefault(name, line)


def _people(found: Directory, users: frozenset[str]) -> Iterator[Clash]:
    for line, user in found.of("users.csv"):
        for permission in parts(user.get("permissions")):
            if permission not in PERMISSIONS:
                yield Clash("users.csv", line, user.get("user", ""), f"has an unknown permission {permission}")
    for line, inbox in found.of("inboxes.csv"):
        for member in parts(inbox.get("members")):
            if member not in users:
                yield Clash("inboxes.csv", line, inbox.get("inbox", ""), f"has a member {member} who is no user")


def _addresses(found: Directory, there: Present, users: frozenset[str], inboxes: frozenset[str]) -> Iterator[Clash]:
    may = {
        user["user"]: "personal_email_access" in parts(user.get("permissions"))
        for _, user in reversed(found.of("users.csv"))  # the first of a name is the one that is added
        if "user" in user
    }
    before: dict[str, tuple[int, tuple[str | None, str | None]]] = {}
    for line, one in found.of("addresses.csv"):
        typed, team = one.get("address", ""), one.get("kind") == "team"
        holder = (None, one.get("inbox")) if team else (one.get("owner"), None)
        try:
            name = canonical(typed).address
        except AddressInvalid as error:
            yield Clash("addresses.csv", line, typed, f"is no e-mail address: {error.what}")
            continue
        for why in _why_not_held(one, users, inboxes, may):
            yield Clash("addresses.csv", line, typed, why)
        if name in before:
            earlier, its = before[name]
            same = "too" if its == holder else f"for {holder_of(its)}"
            yield Clash("addresses.csv", line, typed, f"is in line {earlier} {same}")
        elif name in there.addresses and there.addresses[name] != holder:
            yield Clash("addresses.csv", line, typed, f"is connected to {holder_of(there.addresses[name])} already")
        before.setdefault(name, (line, holder))


def _why_not_held(
    one: Mapping[str, str], users: frozenset[str], inboxes: frozenset[str], may: Mapping[str, bool]
) -> Iterator[str]:
    owner, inbox = one.get("owner"), one.get("inbox")
    match one.get("kind"):
        case "team" if owner or not inbox:
            yield "is team and names an inbox, no owner"
        case "team" if inbox not in inboxes:
            yield f"names an inbox {inbox} that is not there"
        case "personal" if inbox or not owner:
            yield "is personal and names an owner, no inbox"
        case "personal" if owner not in users:
            yield f"names an owner {owner} who is no user"
        case "personal" if not may.get(str(owner), True):
            yield f"names an owner {owner} who lacks personal_email_access"
        case "team" | "personal":
            return
        case other:
            yield f"is neither personal nor team but {other or 'nothing'}"


def holder_of(holder: tuple[str | None, str | None]) -> str:
    owner, inbox = holder
    return f"the inbox {inbox}" if inbox else f"{owner}"
