"""The users of a SCIM 2.0 service, as it lists them (RFC 7644, 3.4.2): one page of `Resources` in each file.

The id is the service's `id`. Of the e-mails only the primary one is taken for the mailbox; the others may be private.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from services.ops.loading.encodings import Unreadable, text_of
from services.ops.loading.exports.export import Export, Person, named
from services.ops.strict_json import parsed

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"


def read_scim(path: Path, export: Export) -> None:
    """
    Raises:
        Unreadable: it is no list response.
    """
    try:
        page = parsed(path.read_text(encoding=text_of(path).encoding))
    except ValueError as error:
        raise Unreadable(f"{path.name} is not JSON: {error}") from error
    found = _member(page, "resources") if isinstance(page, dict) else page
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise Unreadable(f"{path.name} is no list response of SCIM: it has no list of Resources")
    total = _member(page, "totalresults") if isinstance(page, dict) else None
    if isinstance(total, int):
        export.total = max(export.total, total)
    for number, one in enumerate(found, 1):
        export.rows += 1
        # Pages may overlap: what is on two of them is there once.
        export.listed.add(str(_member(one, "id") or _member(one, "username") or f"{path.name} {number}"))
        _read(path.name, number, one, export)


def _read(file: str, number: int, one: Mapping[str, Any], export: Export) -> None:
    where = f"the {number}. resource of {file}"
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
        raise Unreadable(f"{where} has {active!r} as active; it is true or false")
    own_id = named(_text(one, "id", where), _text(one, "externalid", where), login)
    if not own_id:
        raise Unreadable(f"{where} has no id and no userName")
    name = _member(one, "name") or {}
    name = name if isinstance(name, dict) else {}
    parts = " ".join(str(part) for key in ("givenname", "familyname") if (part := _member(name, key)))
    full = named(_text(one, "displayname", where), str(_member(name, "formatted") or ""), parts, login)
    export.people.append(Person(
        file, number, own_id, full, address, (), active not in (False, "false", "False"),
    ))  # fmt: skip


def _emails(one: Mapping[str, Any], where: str) -> list[str]:
    """The primary one first; without one, the one of work."""
    found = _member(one, "emails") or []
    found = (
        [{"value": mail} if isinstance(mail, str) else mail for mail in found] if isinstance(found, Sequence) else found
    )
    if not isinstance(found, list) or not all(isinstance(mail, dict) for mail in found):
        raise Unreadable(f"{where} has emails that are no list")
    rank = sorted(
        (mail for mail in found if isinstance(_member(mail, "value"), str) and _member(mail, "value").strip()),
        key=lambda mail: (_member(mail, "primary") not in (True, "true", "True"), _member(mail, "type") != "work"),
    )
    return list(dict.fromkeys(_member(mail, "value").strip() for mail in rank))


def _member(one: Mapping[str, Any], name: str) -> Any:
    """Names of attributes are the same in any letters (RFC 7643, 2.1)."""
    return next((value for key, value in one.items() if key.lower() == name), None)


def _text(one: Mapping[str, Any], name: str, where: str) -> str:
    value = _member(one, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable(f"{where} has a {name} that is no text")
    return value.strip()
