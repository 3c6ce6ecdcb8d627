"""The mailboxes of Exchange, as `Get-Mailbox -ResultSize Unlimited | Export-Csv` writes them, with or without a first
line `#TYPE` (Microsoft Learn, "Get-Mailbox" and "RecipientTypeDetails enumeration").

A user's mailbox belongs to a person, a shared one becomes a team address. Rooms, equipment and Exchange's own mailboxes
are left out. The id is that of the Entra object if there is one, as in the export of Microsoft 365.
"""

from pathlib import Path
from typing import Final

from services.ops.loading.exports.export import Export, Line, Person, Shared, first_filled, lines_of

NEEDED = {"RecipientTypeDetails": ("recipienttypedetails",), "PrimarySmtpAddress": ("primarysmtpaddress",)}
USERS: Final = frozenset(("usermailbox", "linkedmailbox", "legacymailbox", "remoteusermailbox"))
SHARED: Final = frozenset(("sharedmailbox", "remotesharedmailbox"))
KINDS: Final = {
    "roommailbox": "rooms", "remoteroommailbox": "rooms", "equipmentmailbox": "equipment",
    "remoteequipmentmailbox": "equipment", "guestmailuser": "guests",
}  # fmt: skip


def read_exchange(path: Path, export: Export) -> None:
    """
    Raises:
        UnreadableFileError: it is not such an export.
    """
    _, lines = lines_of(path, NEEDED)
    for line in lines:
        export.rows += 1
        kind = line.text("recipienttypedetails")
        address = line.text("primarysmtpaddress")
        listed = line.proxies("emailaddresses")
        address = first_filled(address, *listed.primaries[:1])
        if kind.lower() not in USERS | SHARED or not address:
            export.left_out[KINDS.get(kind.lower(), kind or "without a RecipientTypeDetails")] += 1
            continue
        export.left_out.update({f"{other} addresses": count for other, count in listed.others.items()})
        cloud_id = line.text("externaldirectoryobjectid")
        own_id = first_filled(cloud_id, line.text("alias"), address)
        name = first_filled(line.text("displayname"), line.text("name"), address)
        provider = "microsoft" if cloud_id else None
        aliases = tuple(one for one in (*listed.primaries, *listed.aliases) if one.lower() != address.lower())
        if kind.lower() in SHARED:
            own_id = first_filled(line.text("alias"), address)
            export.shared.append(Shared(line.file, line.line, own_id, name, address, aliases, provider))
        else:
            active = not _disabled(line)
            export.people.append(Person(line.file, line.line, own_id, name, address, aliases, active, provider))


def _disabled(line: Line) -> bool:
    return bool(line.switch("accountdisabled")) or "accountdisabled" in line.text("exchangeuseraccountcontrol").lower()
