"""The users of a SCIM 2.0 service, from its list responses (RFC 7644, 3.4.2): one page of `Resources` in each file.

The id is the service's `id`. Only the primary e-mail counts as the mailbox; the others may be private.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.ops.loading.encodings import UnreadableFileError, text_of
from services.ops.loading.exports.export import Export, Person, first_filled
from services.ops.strict_json import parsed

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"


def read_scim(path: Path, export: Export) -> None:
    """
    Raises:
        UnreadableFileError: it is not a list response.
    """
    try:
        page = parsed(path.read_text(encoding=text_of(path).encoding))
    except ValueError as error:
        raise UnreadableFileError(f"{path.name} is not JSON: {error}") from error
    found = _member(page, "resources") if isinstance(page, dict) else page
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnreadableFileError(f"{path.name} is not a SCIM list response: it has no list of Resources")
    total = _member(page, "totalresults") if isinstance(page, dict) else None
    if isinstance(total, int):
        export.total = max(export.total, total)
    for number, one in enumerate(found, 1):
        export.rows += 1
        # Pages may overlap: an entry on two pages counts once.
        export.listed.add(str(_member(one, "id") or _member(one, "username") or f"{path.name} {number}"))
        _read(path.name, number, one, export)


def _read(file: str, number: int, one: Mapping[str, Any], export: Export) -> None:
    where = f"resource {number} of {file}"
    schemas = _member(one, "schemas") or ()
    meta = _member(one, "meta")
    kind = str(_member(meta, "resourcetype") or "") if isinstance(meta, dict) else ""
    if (GROUP in schemas and USER not in schemas) or kind.lower() == "group":
        export.left_out["groups"] += 1
        return
    if str(_member(one, "usertype") or "").lower() == "guest":
        export.left_out["guests"] += 1
        return
    login = _text(one, "username", where)
    addresses = _emails(one, where)
    address = addresses[0] if addresses else (login if "@" in login else "")
    if len(addresses) > 1:
        export.left_out["further e-mails"] += len(addresses) - 1
    active = _member(one, "active")
    if active not in (None, True, False, "true", "false", "True", "False"):
        raise UnreadableFileError(f"{where} has {active!r} as active; it must be true or false")
    own_id = first_filled(_text(one, "id", where), _text(one, "externalid", where), login)
    if not own_id:
        raise UnreadableFileError(f"{where} has no id and no userName")
    name = _member(one, "name") or {}
    name = name if isinstance(name, dict) else {}
    parts = " ".join(str(part) for key in ("givenname", "familyname") if (part := _member(name, key)))
    full = first_filled(_text(one, "displayname", where), str(_member(name, "formatted") or ""), parts, login)
    export.people.append(Person(
        file, number, own_id, full, address, (), active not in (False, "false", "False"),
    ))  # fmt: skip


def _emails(one: Mapping[str, Any], where: str) -> list[str]:
    """The e-mails, the primary one first, then those of work."""
    found = _member(one, "emails") or []
    found = (
        [{"value": mail} if isinstance(mail, str) else mail for mail in found] if isinstance(found, Sequence) else found
    )
    if not isinstance(found, list) or not all(isinstance(mail, dict) for mail in found):
        raise UnreadableFileError(f"{where} has emails that are not a list")
    rank = sorted(
        (mail for mail in found if isinstance(_member(mail, "value"), str) and _member(mail, "value").strip()),
        key=lambda mail: (_member(mail, "primary") not in (True, "true", "True"), _member(mail, "type") != "work"),
    )
    return list(dict.fromkeys(_member(mail, "value").strip() for mail in rank))


def _member(one: Mapping[str, Any], name: str) -> Any:
    """Find a member; names of attributes ignore case (RFC 7643, 2.1)."""
    return next((value for key, value in one.items() if key.lower() == name), None)


def _text(one: Mapping[str, Any], name: str, where: str) -> str:
    value = _member(one, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UnreadableFileError(f"{where} has a {name} that is not text")
    return value.strip()
