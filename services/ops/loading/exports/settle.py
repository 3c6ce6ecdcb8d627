"""People and shared mailboxes of an export as users, inboxes and addresses here, beside what is there already."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from services.ops.loading.directory import AddressRow, Directory, InboxRow, UserRow
from services.ops.loading.exports.export import Export, Person, Shared
from services.ops.loading.people_plan import IS_ID
from services.ops.loading.plan import Present
from shared.core.address import AddressInvalid, canonical

# Everybody who has a mailbox there may connect it here.
AT_FIRST: Final = ("personal_email_access",)
DIGEST_DIGITS: Final = 10
Row = TypeVar("Row", Person, Shared)


@dataclass
class Settled:
    """The rows to plan; `ids` are those that had to be mapped: what the export has, and what it is here."""

    directory: Directory
    ids: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def settle(export: Export, there: Present) -> Settled:
    """The same export beside the same account always gives the same rows."""
    settled = Settled(Directory(files=("users.csv", "addresses.csv", *(("inboxes.csv",) if export.shared else ()))))
    settled.directory.left_out = export.left_out.copy()
    settled.notes += export.notes
    if len(export.listed) < export.total:
        settled.notes.append(f"{len(export.listed):,} of {export.total:,} are here: give the other pages as FILEs, too")
    taken: dict[str, str] = {}
    for person in _once(export.people, settled):
        user = _user_id(person, there)
        # Two people never become one: the second is told as a clash.
        if taken.setdefault(user, person.own_id) == person.own_id and user != person.own_id:
            settled.ids[person.own_id] = user
        _person(settled, person, user)
    for shared in _once(export.shared, settled):
        _shared(settled, shared, there)
    return settled


def _once(rows: Sequence[Row], settled: Settled) -> Iterator[Row]:
    """Rows that say the same as one before, as pages that overlap have them, are counted and say nothing more."""
    seen: set[Person | Shared] = set()
    for row in rows:
        said = row._replace(file="", line=0)
        if said in seen:
            settled.directory.left_out["repeated rows"] += 1
        else:
            seen.add(said)
            yield row


def _person(settled: Settled, person: Person, user: str) -> None:
    found = settled.directory
    found.users.append(UserRow(
        person.file, person.line, user, person.name, active=person.active, at_first=AT_FIRST,
    ))  # fmt: skip
    if not person.address:
        return
    if why := _why_no_address(person.address):
        settled.notes.append(f"{person.address} of {user} is left out: it {why}")
        found.left_out["addresses that cannot be connected"] += 1
        return
    found.addresses.append(AddressRow(
        person.file, person.line, person.address, "personal", owner=user, provider=person.provider,
        aliases=_aliases(settled, person), lenient=True,
    ))  # fmt: skip


def _shared(settled: Settled, shared: Shared, there: Present) -> None:
    found = settled.directory
    if why := _why_no_address(shared.address):
        settled.notes.append(f"{shared.address} of the shared mailbox {shared.name} is left out: it {why}")
        found.left_out["addresses that cannot be connected"] += 1
        return
    inbox = _inbox_there(shared, there)
    if inbox is None:
        inbox = id_of(shared.own_id)
        if inbox != shared.own_id:
            settled.ids[shared.own_id] = inbox
        found.inboxes.append(InboxRow(shared.file, shared.line, inbox, shared.name, closed=True, at_first=True))
    found.addresses.append(AddressRow(
        shared.file, shared.line, shared.address, "team", inbox=inbox, provider=shared.provider,
        aliases=_aliases(settled, shared),
    ))  # fmt: skip


def _user_id(person: Person, there: Present) -> str:
    """Where the address is all there is to know somebody by, they are whoever has that address here."""
    if person.by_address and not _why_no_address(person.address):
        held = there.addresses.get(canonical(person.address).address)
        if held is not None and held.kind == "personal" and held.owner and held.primary is None:
            return held.owner
    return id_of(person.own_id)


def _inbox_there(shared: Shared, there: Present) -> str | None:
    """Inboxes are Switchboard's own: an address that is in one stays there."""
    for name in (shared.address, *shared.aliases):
        if _why_no_address(name):
            continue
        held = there.addresses.get(canonical(name).address)
        if held is not None and held.kind == "team" and held.inbox and held.state != "orphaned":
            return held.inbox
    return None


def id_of(own_id: str) -> str:
    """An id as it is where it can be one; an address with `_` for its `@`; else its letters and a digest of it."""
    own_id = own_id.strip()
    if IS_ID.fullmatch(own_id):
        return _uuid_of(own_id)
    # A domain has no _, so that two addresses never become one id.
    lowered = own_id.lower()
    if lowered.count("@") == 1 and IS_ID.fullmatch(mapped := lowered.replace("@", "_")):
        return mapped
    digest = hashlib.sha256(lowered.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_DIGITS]
    letters = re.sub(r"[^a-z0-9._-]+", "-", lowered).strip("._-")[: 63 - DIGEST_DIGITS]
    return f"{letters}-{digest}" if letters else f"u-{digest}"


def _uuid_of(own_id: str) -> str:
    """A UUID is the same in any letters."""
    try:
        return str(UUID(own_id)) if len(own_id) == len(str(UUID(int=0))) else own_id
    except ValueError:
        return own_id


def _aliases(settled: Settled, one: Person | Shared) -> tuple[str, ...]:
    kept = []
    for alias in one.aliases:
        if why := _why_no_address(alias):
            settled.notes.append(f"{alias}, an alias of {one.address}, is left out: it {why}")
            settled.directory.left_out["addresses that cannot be connected"] += 1
        elif canonical(alias).address != canonical(one.address).address:
            kept.append(alias)
    return tuple(dict.fromkeys(kept))


def _why_no_address(text: str) -> str:
    try:
        canonical(text)
    except AddressInvalid as error:
        return error.what
    return ""
