"""The users of a Google Workspace, as the admin console downloads them (Google Workspace Admin Help, "Download a list
of users"): `First Name [Required],Last Name [Required],Email Address [Required],…,Status [READ ONLY],…`.

The download has no ids and no aliases. A person is known by the primary address; aliases are read from an added column,
such as GAM's. Recovery and secondary addresses are private and are ignored.
"""

from pathlib import Path

from services.ops.loading.exports.export import Export, Person, first_filled, lines_of
from services.ops.loading.proxies import proxies

NEEDED = {"Email Address": ("emailaddress", "primaryemail")}
ALIASES = ("emailaliases", "aliases", "alias", "nicknames")


def read_google(path: Path, export: Export) -> None:
    """
    Raises:
        UnreadableFileError: it is not such a download.
    """
    _, lines = lines_of(path, NEEDED)
    for line in lines:
        export.rows += 1
        address = line.text("emailaddress", "primaryemail")
        if not address:
            export.left_out["without an address"] += 1
            continue
        status = line.text("status")
        if status.lower() not in ("", "active", "suspended"):
            export.notes.append(f"{address} is {status} at Google and becomes a deactivated user")
        listed = proxies(line.text(*ALIASES))
        name = " ".join(filter(None, (line.text("firstname"), line.text("lastname"))))
        export.people.append(Person(
            line.file, line.line, address, first_filled(name, address), address, (*listed.primaries, *listed.aliases),
            active=status.lower() in ("", "active"), provider="google", by_address=True,
        ))  # fmt: skip
