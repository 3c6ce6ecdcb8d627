"""The users of a Microsoft 365 tenant, as its admin center exports them ("Active users", Export users), in either order
of columns: `Block credential,City,…,Object Id,…,Proxy addresses,…,User principal name,…` by the alphabet, or
`Display name,User principal name,…`. Entra's "Download users" (`userPrincipalName,displayName,…`) is read as well.

Addresses are separated by `+`. Guests have `#EXT#` in their user principal name. A shared mailbox is listed as a
blocked user; only the export of Exchange marks shared mailboxes.
"""

from pathlib import Path

from services.ops.loading.exports.export import Export, Line, Person, first_filled, lines_of

NEEDED = {"User principal name": ("userprincipalname",), "Display name": ("displayname",)}
PROXIES = "proxyaddresses"


def read_microsoft(path: Path, export: Export) -> None:
    """
    Raises:
        UnreadableFileError: it is not such an export.
    """
    columns, lines = lines_of(path, NEEDED)
    for line in lines:
        export.rows += 1
        if kind := _left_out(line):
            export.left_out[kind] += 1
            continue
        principal = line.text("userprincipalname")
        listed = line.proxies(PROXIES)
        export.left_out.update({f"{kind} addresses": count for kind, count in listed.others.items()})
        # Without that column the export does not say who has a mailbox; the sign-in name is taken for the address.
        address = first_filled(*listed.primaries[:1], line.text("mail"), "" if PROXIES in columns else principal)
        if not address:
            export.notes.append(f"{principal} has no mailbox and becomes a user without an address")
        name = " ".join(filter(None, (line.text("firstname", "givenname"), line.text("lastname", "surname"))))
        export.people.append(Person(
            line.file, line.line, first_filled(line.text("objectid", "id"), principal),
            first_filled(line.text("displayname"), name, principal), address, listed.aliases, _active(line),
            "microsoft",
        ))  # fmt: skip


def _left_out(line: Line) -> str:
    if "#ext#" in line.text("userprincipalname").lower() or line.text("usertype").lower() == "guest":
        return "guests"
    if line.text("softdeletiontimestamp"):
        return "deleted users"
    return "" if line.text("userprincipalname") else "without a user principal name"


def _active(line: Line) -> bool:
    return not line.switch("blockcredential") and line.switch("accountenabled") is not False
