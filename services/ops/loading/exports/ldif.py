"""People in an LDIF file (RFC 2849), as ldapsearch, slapcat or ldifde write it.

The id is `uid`, or `sAMAccountName` in an Active Directory. `proxyAddresses` marks the primary address; without it the
first `mail` is primary and the others are aliases. Directories mark a disabled account by different attributes:
`userAccountControl`, `nsAccountLock`, `loginDisabled`, `inetUserStatus`, `pwdAccountLockedTime`.

The package `ldif` (4.3.0) is not used: its errors name no lines, it reads broken base64 as shorter text, and a value by
URL as an empty one.
"""

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.ops.loading.encodings import UnreadableFileError, text_of
from services.ops.loading.exports.export import Export, Person, Shared, first_filled
from services.ops.loading.proxies import proxies

PEOPLE: Final = frozenset((
    "person", "inetorgperson", "organizationalperson", "user", "posixaccount", "gosamailaccount", "mailrecipient",
    "zimbraaccount",
))  # fmt: skip
# An entry of one of these classes is not a person, even with a class of people.
OTHERS: Final = {
    "computer": "computers", "group": "groups", "groupofnames": "groups", "groupofuniquenames": "groups",
    "posixgroup": "groups", "contact": "contacts", "organizationalunit": "organizational units",
    "organization": "organizations", "domain": "domains", "dcobject": "domains", "container": "containers",
    "zimbracalendarresource": "rooms and equipment",
}  # fmt: skip
# Microsoft Learn, msExchRecipientTypeDetails: shared mailboxes on premises and in the cloud.
SHARED: Final = frozenset(("4", "34359738368"))
MAILBOXES: Final = {
    "16": "rooms", "8589934592": "rooms", "32": "equipment", "17179869184": "equipment", "128": "mail users",
    "536870912": "mailboxes of Exchange itself", "8388608": "mailboxes of Exchange itself",
    "549755813888": "mailboxes of Exchange itself",
}  # fmt: skip
DISABLED: Final = 2
# OpenLDAP's password policy: locked for ever; any other time is a lock that ends.
LOCKED_FOR_EVER: Final = "000001010000Z"
# Written by ldapsearch behind the last entry.
RESULTS: Final = frozenset(("search", "result", "ref", "matcheddn", "text", "control"))

Entry = dict[str, list[str]]


def read_ldif(path: Path, export: Export) -> None:
    """
    Raises:
        UnreadableFileError: it is not LDIF of entries; the line at fault is named.
    """
    for line, entry in entries_of(path, export):
        export.rows += 1
        classes = {one.lower() for one in entry.get("objectclass", ())}
        kind = next((label for name, label in OTHERS.items() if name in classes), "")
        details = next(iter(entry.get("msexchrecipienttypedetails", ())), "")
        kind = kind or MAILBOXES.get(details, "")
        if not kind and not classes & PEOPLE:
            kind = "other entries"
        if not kind and _first(entry, "iscriticalsystemobject").lower() == "true":
            kind = "accounts of the system"
        if not kind and "#ext#" in _first(entry, "userprincipalname").lower():
            kind = "guests"
        if kind:
            export.left_out[kind] += 1
        else:
            _take(path.name, line, entry, export, shared=details in SHARED)


def _take(file: str, line: int, entry: Entry, export: Export, *, shared: bool) -> None:
    address, aliases = _mailbox(entry, export)
    own_id = first_filled(_first(entry, "uid"), _first(entry, "samaccountname"), address)
    if not own_id:
        export.left_out["without an id and an address"] += 1
        return
    parts = f"{_first(entry, 'givenname')} {_first(entry, 'sn')}"
    name = first_filled(_first(entry, "displayname"), _first(entry, "cn"), parts, own_id)
    if shared and address:
        export.shared.append(Shared(file, line, own_id, name, address, aliases))
    else:
        export.people.append(Person(file, line, own_id, name, address, aliases, _active(file, line, entry)))


def _mailbox(entry: Entry, export: Export) -> tuple[str, tuple[str, ...]]:
    listed = [proxies(one) for one in entry.get("proxyaddresses", ())] or [proxies("")]
    for one in listed:
        export.left_out.update({f"{kind} addresses": count for kind, count in one.others.items()})
    mails = [one.strip() for one in entry.get("mail", ()) if one.strip()]
    primaries = [primary for one in listed for primary in one.primaries]
    address = first_filled(*primaries[:1], *mails[:1])
    further = (*primaries, *(alias for one in listed for alias in one.aliases), *mails)
    more = (*further, *entry.get("mailalternateaddress", ()), *entry.get("gosamailalternateaddress", ()))
    aliases = {one.strip().lower(): one.strip() for one in more if one.strip()}
    aliases.pop(address.lower(), None)
    return address, tuple(aliases.values())


def _active(file: str, line: int, entry: Entry) -> bool:
    control = _first(entry, "useraccountcontrol")
    try:
        disabled = bool(int(control or "0") & DISABLED)
    except ValueError as error:
        raise UnreadableFileError(
            f"the entry at line {line:,} of {file} has a userAccountControl {control!r}, which is not a number"
        ) from error
    locked = any(_first(entry, name).lower() == "true" for name in ("nsaccountlock", "logindisabled"))
    locked = locked or _first(entry, "pwdaccountlockedtime") == LOCKED_FOR_EVER
    return not disabled and not locked and _first(entry, "inetuserstatus").lower() not in ("inactive", "deleted")


def _first(entry: Entry, name: str) -> str:
    return next((one.strip() for one in entry.get(name, ()) if one.strip()), "")


# ---- the file


def entries_of(path: Path, export: Export) -> Iterator[tuple[int, Entry]]:
    """Each entry's first line and its attributes, by names in lower case without options.

    Raises:
        UnreadableFileError: a line is not LDIF, or the file has changes instead of entries.
    """
    entry: Entry = {}
    start = 0
    for line, text in (*_unfolded(path), (0, "")):
        if text:
            name, value = _attribute(path.name, line, text)
            start = start or line
            if name in entry or name != "version" or entry:
                entry.setdefault(name, []).append(value)
            elif value.strip() != "1":
                raise UnreadableFileError(f"line {line:,} of {path.name}: LDIF version {value} is not supported")
            else:
                start = 0
            continue
        if "dn" in entry:
            if (change := _first(entry, "changetype").lower()) not in ("", "add"):
                raise UnreadableFileError(
                    f"line {start:,} of {path.name} is a change ({change}): export the entries themselves"
                )
            yield start, entry
        elif entry and not entry.keys() <= RESULTS:
            raise UnreadableFileError(f"line {start:,} of {path.name} begins an entry without its dn")
        elif (code := _first(entry, "result")) and not code.startswith("0"):
            export.notes.append(f"{path.name} is incomplete: the search ended with {code}")
        entry, start = {}, 0


def _unfolded(path: Path) -> Iterator[tuple[int, str]]:
    """Unfolded lines without comments, each with the number of its first line in the file."""
    held, start = "", 0
    try:
        encoding, torn = text_of(path).encoding, None
    except UnreadableFileError as error:
        if not isinstance(error.__cause__, UnicodeDecodeError):
            raise
        # A line may be folded within a character, so that only the whole line is text.
        encoding, torn = "latin-1", error
    with path.open(encoding=encoding, newline="") as file:
        for number, raw in enumerate(file, 1):
            text = raw.rstrip("\r\n")
            if text.startswith(" "):
                if not held:
                    raise UnreadableFileError(
                        f"line {number:,} of {path.name} begins with a blank, but continues no line"
                    )
                held += text[1:]
                continue
            if start and not held.startswith("#"):
                yield start, _as_text(held, torn)
            held, start = text, number
    if start and not held.startswith("#"):
        yield start, _as_text(held, torn)


def _as_text(line: str, torn: UnreadableFileError | None) -> str:
    if torn is None:
        return line
    try:
        return line.encode("latin-1").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise torn from torn.__cause__


def _attribute(file: str, line: int, text: str) -> tuple[str, str]:
    """The name and value of an attribute; a binary value is empty."""
    name, colon, value = text.partition(":")
    base = name.strip().lower()
    if not colon or not base or not base[0].isascii() or not base[0].isalnum():
        raise UnreadableFileError(f"line {line:,} of {file} is not LDIF: expected name: value")
    base, _, option = base.partition(";")
    if option and option != "binary":
        # A name in another language or script.
        base = f"{base};{option}"
    if value.startswith("<"):
        raise UnreadableFileError(f"line {line:,} of {file} has its value at {value[1:].strip()}: export the value")
    if not value.startswith(":"):
        return base, value.strip()
    try:
        decoded = base64.b64decode(value[1:].strip(), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnreadableFileError(f"line {line:,} of {file} has a broken base64 value") from error
    try:
        return base, decoded.decode()
    except UnicodeDecodeError as error:
        if base in TEXTS:
            raise UnreadableFileError(f"line {line:,} of {file} has a {name} that is not UTF-8") from error
        return base, ""


TEXTS: Final = frozenset((
    "dn", "objectclass", "uid", "samaccountname", "mail", "proxyaddresses", "displayname", "cn", "givenname", "sn",
    "mailalternateaddress", "userprincipalname",
))  # fmt: skip
