"""A message's body read strictly, as JSON in UTF-8; whatever is wrong with it is named field by field, never raised."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.language import text as texts
from shared.messaging.named_twice import named_twice

# Python's `$` would let a line feed behind it pass.
ACCOUNT: Final = re.compile(texts.ACCOUNT.strip("^$") + r"\Z")
# Deeper than any message is; what is nested further is refused as it stands.
DEEPEST: Final = 8
RULE_FIELDS: Final = ("rule", "fallback")
RULE_KINDS: Final = ("unassigned", "users_and_teams", "contact_owner")
MOST_PROBLEMS: Final = 100
LONGEST_PROBLEM: Final = 200
TWICE: Final = "This name stands twice in one JSON object"
# Where pydantic speaks of Python, or of nothing that a caller knows.
OUR_WORDS: Final[Mapping[str, str]] = {
    "tuple_type": "Input should be a list",
    "extra_forbidden": "There is no such field",
}


def fields_of(data: bytes) -> tuple[dict[str, Any], Sequence[dict[str, str]]]:
    """The body's fields without those that are null, and what is wrong with it as a JSON object in UTF-8.

    Of some broken bodies there are fields all the same, so that the one at fault can be named. A field that stands
    twice is not among them: neither of its values is taken.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        body = leniently(data)
        fields = without_nulls(body) if isinstance(body, dict) else {}
        return fields, unwritable(fields) or [problem("", f"the body is not JSON: {error}")]
    if not isinstance(body, dict):
        return {}, [problem("", "the body is not a JSON object")]
    if twice := named_twice(data, body):
        lost = {path[0] for path in twice if len(path) == 1}
        fields = {name: value for name, value in body.items() if name not in lost}
        return without_nulls(fields), [problem(_written(path), TWICE) for path in twice]
    return without_nulls(body), ()


def leniently(data: bytes) -> object:
    """What orjson refuses, such as a lone surrogate, may still be read well enough to name the field at fault."""
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"), parse_constant=lambda _: object())
    except (ValueError, RecursionError):
        return None


def unwritable(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    """The fields whose text is no Unicode text."""
    return [
        problem(printable(name), "the text has a lone surrogate")
        for name, value in fields.items()
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)
    ]


_CHANGEABLE: Final = frozenset((type(None), dict))


def without_nulls(body: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """`null` equals absent, in the objects within too."""
    if depth == DEEPEST or not _CHANGEABLE.intersection(map(type, body.values())):
        return body
    return {
        key: without_nulls(value, depth + 1) if isinstance(value, dict) else value
        for key, value in body.items()
        if value is not None
    }


def problem(field: str, message: str) -> dict[str, str]:
    return {"field": field, "message": message}


def field_of(path: Sequence[int | str]) -> str:
    """The field as the caller wrote it; pydantic puts the kind of a routing rule in between."""
    parts = [
        part
        for before, part in zip(("", *path), path, strict=False)
        if not (before in RULE_FIELDS and part in RULE_KINDS)
    ]
    return _written(parts)


def _written(path: Sequence[int | str]) -> str:
    return ".".join(printable(str(part)) for part in path)


def problems_of(error: ValidationError, before: Sequence[dict[str, str]] = ()) -> list[dict[str, str]]:
    """Every field error, at most `MOST_PROBLEMS` of them; a field with a problem from `before` has that one only."""
    named = {one["field"] for one in before if one["field"]}
    found = [
        problem(field, in_words(one)[:LONGEST_PROBLEM])
        for one in error.errors(include_url=False, include_input=False)[:MOST_PROBLEMS]
        if (field := field_of(one["loc"])) not in named
    ]
    return [*(one for one in before if one["field"]), *found][:MOST_PROBLEMS]


def in_words(found: ErrorDetails) -> str:
    """What a field error says, for people: a pattern as what it asks for."""
    if found["type"] == "string_pattern_mismatch":
        return f"Input should be {texts.IN_WORDS[found['ctx']['pattern']]}"
    return OUR_WORDS.get(found["type"], found["msg"])


def printable(text: str) -> str:
    """A caller's text as it may stand in a reply, a log or the journal: short, without control characters."""
    return text[:64].encode("ascii", "backslashreplace").decode().translate(_CONTROLS)


_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
