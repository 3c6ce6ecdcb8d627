"""People and shared mailboxes of an export as users, inboxes and addresses of the account."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from services.ops.loading.directory import AddressRow, Directory, InboxRow, UserRow
from services.ops.loading.exports.export import Export, Person, Shared
from services.ops.loading.people_plan import IS_ID
from services.ops.loading.plan import AccountState
from shared.core.address import InvalidAddressError, canonical

# Everyone with a mailbox in the other system may connect it here.
AT_FIRST: Final = ("personal_email_access",)
DIGEST_DIGITS: Final = 10
Row = TypeVar("Row", Person, Shared)


@dataclass
class NormalizedExport:
    """The rows to plan; `ids` maps ids of the export to the ids here that replace them."""

    directory: Directory
    ids: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def normalize(export: Export, state: AccountState) -> NormalizedExport:
    """Return the rows to plan; the same export and account always give the same rows."""
    inbox_file = ("inboxes.csv",) if export.shared else ()
    result = NormalizedExport(Directory(files=("users.csv", "addresses.csv", *inbox_file)))
    result.directory.left_out = export.left_out.copy()
    result.notes += export.notes
    if len(export.listed) < export.total:
        result.notes.append(
            f"{len(export.listed):,} of {export.total:,} are in these files: also name the other pages as FILEs"
        )
    taken: dict[str, str] = {}
    for person in _without_repeats(export.people, result):
        user = _user_id(person, state)
        # Two people never become one user: the second row is a clash.
        if taken.setdefault(user, person.own_id) == person.own_id and user != person.own_id:
            result.ids[person.own_id] = user
        _person(result, person, user)
    for shared in _without_repeats(export.shared, result):
        _shared(result, shared, state)
    return result


def _without_repeats(rows: Sequence[Row], result: NormalizedExport) -> Iterator[Row]:
    """Skip and count rows with the content of an earlier one, as overlapping pages have them."""
    seen: set[Person | Shared] = set()
    for row in rows:
        content = row._replace(file="", line=0)
        if content in seen:
            result.directory.left_out["repeated rows"] += 1
        else:
            seen.add(content)
            yield row


def _person(result: NormalizedExport, person: Person, user: str) -> None:
    directory = result.directory
    directory.users.append(UserRow(
        person.file, person.line, user, person.name, active=person.active, at_first=AT_FIRST,
    ))  # fmt: skip
    if not person.address:
        return
    if why := _address_error(person.address):
        result.notes.append(f"{person.address} of {user} is left out: it {why}")
        directory.left_out["addresses that cannot be connected"] += 1
        return
    directory.addresses.append(AddressRow(
        person.file, person.line, person.address, "personal", owner=user, provider=person.provider,
        aliases=_aliases(result, person), lenient=True,
    ))  # fmt: skip


def _shared(result: NormalizedExport, shared: Shared, state: AccountState) -> None:
    directory = result.directory
    if why := _address_error(shared.address):
        result.notes.append(f"{shared.address} of the shared mailbox {shared.name} is left out: it {why}")
        directory.left_out["addresses that cannot be connected"] += 1
        return
    inbox = _present_inbox(shared, state)
    if inbox is None:
        inbox = id_of(shared.own_id)
        if inbox != shared.own_id:
            result.ids[shared.own_id] = inbox
        directory.inboxes.append(InboxRow(shared.file, shared.line, inbox, shared.name, closed=True, at_first=True))
    directory.addresses.append(AddressRow(
        shared.file, shared.line, shared.address, "team", inbox=inbox, provider=shared.provider,
        aliases=_aliases(result, shared),
    ))  # fmt: skip


def _user_id(person: Person, state: AccountState) -> str:
    """The id of the user; people known only by their address are the owner of that address here."""
    if person.by_address and not _address_error(person.address):
        held = state.addresses.get(canonical(person.address).address)
        if held is not None and held.kind == "personal" and held.owner and held.primary is None:
            return held.owner
    return id_of(person.own_id)


def _present_inbox(shared: Shared, state: AccountState) -> str | None:
    """The inbox that the address belongs to already; it stays there, since exports have no inboxes."""
    for name in (shared.address, *shared.aliases):
        if _address_error(name):
            continue
        held = state.addresses.get(canonical(name).address)
        if held is not None and held.kind == "team" and held.inbox and held.state != "orphaned":
            return held.inbox
    return None


def id_of(own_id: str) -> str:
    """The id itself where it is valid; an address with `_` for its `@`; else its letters and a digest."""
    own_id = own_id.strip()
    if IS_ID.fullmatch(own_id):
        return _uuid_of(own_id)
    # Domains have no _, so that two addresses never become one id.
    lowered = own_id.lower()
    if lowered.count("@") == 1 and IS_ID.fullmatch(mapped := lowered.replace("@", "_")):
        return mapped
    digest = hashlib.sha256(lowered.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_DIGITS]
    letters = re.sub(r"[^a-z0-9._-]+", "-", lowered).strip("._-")[: 63 - DIGEST_DIGITS]
    return f"{letters}-{digest}" if letters else f"u-{digest}"


def _uuid_of(own_id: str) -> str:
    """A UUID in lower case; other ids unchanged."""
    try:
        return str(UUID(own_id)) if len(own_id) == len(str(UUID(int=0))) else own_id
    except ValueError:
        return own_id


def _aliases(result: NormalizedExport, one: Person | Shared) -> tuple[str, ...]:
    kept = []
    for alias in one.aliases:
        if why := _address_error(alias):
            result.notes.append(f"{alias}, an alias of {one.address}, is left out: it {why}")
            result.directory.left_out["addresses that cannot be connected"] += 1
        elif canonical(alias).address != canonical(one.address).address:
            kept.append(alias)
    return tuple(dict.fromkeys(kept))


def _address_error(text: str) -> str:
    try:
        canonical(text)
    except InvalidAddressError as error:
        return error.what
    return ""
