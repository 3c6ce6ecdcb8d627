"""What of a directory would be refused, told before anything is given: among its files, and with what is there.

What is asked of a whole inbox or a mailbox, such as another address of the same provider identity, is the service's to
decide and not foretold: an export has no identities.
"""

from collections.abc import Iterator, Mapping, Set
from typing import Final, NamedTuple

from pydantic import ValidationError

from services.ops.loading.directory import HEADERS, ID, PERMISSIONS, Directory, given, parts
from shared.client import Account, NotAnswered, NotDone, QuestionError, every, required
from shared.core.address import AddressInvalid, canonical
from shared.core.names import name_key
from shared.language.answers import AddressEntry, InboxEntry, UserEntry
from shared.language.commands import COMMANDS

ORDER: Final = list(HEADERS)

Holder = tuple[str | None, str | None]


class Clash(NamedTuple):
    """Something that will be refused, or that says two things at once."""

    file: str
    line: int
    what: str
    why: str


class Present(NamedTuple):
    """What is there already, by name; `room` is how many more inboxes the plan has place for."""

    users: Mapping[str, UserEntry]
    inboxes: Mapping[str, InboxEntry]
    addresses: Mapping[str, AddressEntry]
    room: int
    registered: bool = True


async def present(account: Account) -> Present:
    """What the account has now; nothing when it is not registered yet.

    Raises:
        NotDone: a question was not answered.
    """
    try:
        users = {user.user: user async for user in every(account.users) if user.status != "removed"}
    except NotDone as error:
        if isinstance(error.why, NotAnswered) and error.why.error == QuestionError.ACCOUNT_NOT_FOUND:
            return Present({}, {}, {}, 0, registered=False)
        raise
    inboxes = {inbox.inbox: inbox async for inbox in every(account.inboxes)}
    entries = [one async for one in every(account.addresses, limit=1_000)]
    used = required(await account.usage()).result.inboxes
    return Present(
        users, inboxes, {one.address: one for one in entries if one.state != "free"}, max(used.limit - used.used, 0)
    )


def clashes(found: Directory, there: Present) -> list[Clash]:
    """Everything in the files that would be refused, or says two things at once, in the order of files and lines."""
    users = there.users.keys() | {user.get("user", "") for _, user in found.of("users.csv")}
    told = [
        *_named_twice(found, "users.csv", "user", "a user", there.users),
        *_named_twice(found, "inboxes.csv", "inbox", "an inbox", there.inboxes),
        *_people(found, users),
        *_inbox_names(found, there),
        *_addresses(found, there, users),
    ]
    for more in (_cannot_be_read(found), _no_room(found, there)):
        clear = {(one.file, one.line) for one in told}
        told += [one for one in more if (one.file, one.line) not in clear]
    return sorted(told, key=lambda one: (ORDER.index(one.file), one.line))


def _named_twice(found: Directory, file: str, key: str, thing: str, there: Mapping[str, object]) -> Iterator[Clash]:
    before: dict[str, int] = {}
    for line, cells in found.of(file):
        name = cells.get(key, "")
        if not ID.fullmatch(name):
            yield Clash(file, line, name, f"is no id of {key}: 1 to 32 of A-Z a-z 0-9 _ -")
        elif name in before:
            yield Clash(file, line, name, f"is in line {before[name]} already")
        elif name in there:
            yield Clash(file, line, name, f"names {thing} that is there already")
        before.setdefault(name, line)


def _people(found: Directory, users: Set[str]) -> Iterator[Clash]:
    for line, user in found.of("users.csv"):
        for permission in parts(user.get("permissions")):
            if permission not in PERMISSIONS:
                yield Clash("users.csv", line, user.get("user", ""), f"has an unknown permission {permission}")
    for line, inbox in found.of("inboxes.csv"):
        for member in parts(inbox.get("members")):
            if member not in users:
                yield Clash("inboxes.csv", line, inbox.get("inbox", ""), f"has a member {member} who is no user")


def _inbox_names(found: Directory, there: Present) -> Iterator[Clash]:
    """No two inboxes bear the same name, however it is written; an archived one keeps its own."""
    taken = {name_key(one.name): f"the inbox {name}" for name, one in there.inboxes.items()}
    for line, inbox in found.of("inboxes.csv"):
        name, id_ = inbox.get("name", ""), inbox.get("inbox", "")
        if id_ not in there.inboxes and (holder := taken.get(name_key(name))):
            yield Clash("inboxes.csv", line, id_, f"has the name {name} that {holder} has")
        taken.setdefault(name_key(name), f"line {line}")


def _no_room(found: Directory, there: Present) -> Iterator[Clash]:
    """Which inboxes are beyond the plan's limit; of those that clash otherwise none takes a place."""
    if not there.registered:
        return
    ids = {line: inbox.get("inbox", "") for line, inbox in found.of("inboxes.csv")}
    new = {id_: line for line, id_ in reversed(ids.items()) if id_ not in there.inboxes}
    for id_, line in sorted(new.items(), key=lambda one: one[1])[there.room :]:
        yield Clash("inboxes.csv", line, id_, f"is beyond the plan, which has room for {there.room} more")


def _addresses(found: Directory, there: Present, users: Set[str]) -> Iterator[Clash]:
    may = {
        user["user"]: "personal_email_access" in parts(user.get("permissions"))
        for _, user in reversed(found.of("users.csv"))  # the first of a name is the one that is added
        if "user" in user
    } | {name: "personal_email_access" in user.permissions for name, user in there.users.items()}
    # A new account has its first inbox from the beginning.
    inboxes = {cells.get("inbox", "") for _, cells in found.of("inboxes.csv")} | (
        there.inboxes.keys() if there.registered else {"inbox"}
    )
    before: dict[str, tuple[int, Holder]] = {}
    for line, one in found.of("addresses.csv"):
        typed, team = one.get("address", ""), one.get("kind") == "team"
        holder = (None, one.get("inbox")) if team else (one.get("owner"), None)
        try:
            name = canonical(typed).address
        except AddressInvalid as error:
            yield Clash("addresses.csv", line, typed, f"is no e-mail address: {error.what}")
            continue
        reasons = [*_why_not_held(one, there, users, inboxes, may)]
        if name in before:
            earlier, its = before[name]
            reasons.append(f"is in line {earlier} {'too' if its == holder else f'for {holder_of(its)}'}")
        elif name in there.addresses and (why := _why_not_free(there.addresses[name], holder)):
            reasons.append(why)
        for why in reasons:
            yield Clash("addresses.csv", line, typed, why)
        before.setdefault(name, (line, holder))


def _why_not_held(
    one: Mapping[str, str],
    there: Present,
    users: Set[str],
    inboxes: Set[str],
    may: Mapping[str, bool],
) -> Iterator[str]:
    owner, inbox = one.get("owner", ""), one.get("inbox", "")
    match one.get("kind"):
        case "team" if owner or not inbox:
            yield "is team and names an inbox, no owner"
        case "team" if inbox in there.inboxes and there.inboxes[inbox].archived:
            yield f"names an inbox {inbox} that is archived"
        case "team" if inbox not in inboxes:
            yield f"names an inbox {inbox} that is not there"
        case "personal" if inbox or not owner:
            yield "is personal and names an owner, no inbox"
        case "personal" if owner not in users:
            yield f"names an owner {owner} who is no user"
        case "personal" if owner in there.users and there.users[owner].status != "active":
            yield f"names an owner {owner} who is deactivated"
        case "personal" if not may.get(owner, True):
            yield f"names an owner {owner} who lacks personal_email_access"
        case "team" | "personal":
            return
        case other:
            yield f"is neither personal nor team but {other or 'nothing'}"


def _why_not_free(there: AddressEntry, holder: Holder) -> str | None:
    """Why an address that is held cannot become the holder's; None when it is his and in order."""
    if there.primary is not None:
        return f"is an alias of {there.primary}"
    if there.state == "orphaned":
        return f"is orphaned: {there.owner} had it, and it is to be reclaimed or released first"
    if (there.owner, there.inbox) != holder:
        return f"is connected to {holder_of((there.owner, there.inbox))} already"
    if there.state == "reauth_required":
        return "is connected so, and must be authenticated again"
    return "is connected so, and paused" if there.state == "paused" else None


def _cannot_be_read(found: Directory) -> Iterator[Clash]:
    """What the message itself does not allow: a name that is empty, a provider that is not known."""
    for one in given(found):
        message = COMMANDS.get(one.command)
        if message is None:
            continue
        try:
            message.model_validate({"actor": "service:directory", **one.fields})
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"]))
            yield Clash(one.file, one.line, one.what, f"has a {field} that cannot be: {first['msg']}")


def holder_of(holder: Holder) -> str:
    owner, inbox = holder
    return f"the inbox {inbox}" if inbox else f"{owner}"
