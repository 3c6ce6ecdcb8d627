"""Strict reading of a body as JSON in UTF-8; problems are returned field by field, never raised."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shared.language import text as texts
from shared.messaging.duplicate_names import duplicate_names

# Python's `$` would let a line feed behind it pass.
ACCOUNT: Final = re.compile(texts.ACCOUNT.strip("^$") + r"\Z")
# Deeper than any message; validation refuses deeper objects as they are.
DEEPEST: Final = 8
RULE_FIELDS: Final = ("rule", "fallback")
RULE_KINDS: Final = ("unassigned", "users_and_teams", "contact_owner")
MAX_PROBLEMS: Final = 100
MAX_PROBLEM_LENGTH: Final = 200
DUPLICATE_NAME: Final = "This name occurs twice in one JSON object"
# Replacements for messages of pydantic that name Python types or unknown terms.
REPLACED_MESSAGES: Final[Mapping[str, str]] = {
    "tuple_type": "Input should be a list",
    "extra_forbidden": "There is no such field",
}


def parse_body(data: bytes) -> tuple[dict[str, Any], Sequence[dict[str, str]]]:
    """Return the fields that are not null, and the problems of the body as a JSON object in UTF-8.

    Some broken bodies have fields all the same, so that the problem can name the field. A duplicate field is left out:
    neither of its values is taken.
    """
    try:
        body = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        body = parse_leniently(data)
        fields = without_nulls(body) if isinstance(body, dict) else {}
        return fields, lone_surrogates(fields) or [problem("", f"the body is not JSON: {error}")]
    if not isinstance(body, dict):
        return {}, [problem("", "the body is not a JSON object")]
    if duplicates := duplicate_names(data, body):
        dropped = {path[0] for path in duplicates if len(path) == 1}
        fields = {name: value for name, value in body.items() if name not in dropped}
        return without_nulls(fields), [problem(_path_text(path), DUPLICATE_NAME) for path in duplicates]
    return without_nulls(body), ()


def parse_leniently(data: bytes) -> object:
    """Read a body that orjson refuses, for a lone surrogate perhaps, well enough to name the field."""
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"), parse_constant=lambda _: object())
    except (ValueError, RecursionError):
        return None


def lone_surrogates(fields: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the problems of fields whose text has lone surrogates."""
    return [
        problem(printable(name), "the text has a lone surrogate")
        for name, value in fields.items()
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value)
    ]


_CHANGEABLE: Final = frozenset((type(None), dict))


def without_nulls(body: dict[str, Any], depth: int = 0) -> dict[str, Any]:
    """Remove fields that are null, in nested objects, too."""
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
    """Return the path of the field as the caller wrote it; pydantic adds the kind of a routing rule."""
    parts = [
        part
        for before, part in zip(("", *path), path, strict=False)
        if not (before in RULE_FIELDS and part in RULE_KINDS)
    ]
    return _path_text(parts)


def _path_text(path: Sequence[int | str]) -> str:
    return ".".join(printable(str(part)) for part in path)


def problems_of(error: ValidationError, before: Sequence[dict[str, str]] = ()) -> list[dict[str, str]]:
    """Return the field errors, at most `MAX_PROBLEMS`; a field with a problem in `before` has that one only."""
    named = {one["field"] for one in before if one["field"]}
    found = [
        problem(field, described(one)[:MAX_PROBLEM_LENGTH])
        for one in error.errors(include_url=False, include_input=False)[:MAX_PROBLEMS]
        if (field := field_of(one["loc"])) not in named
    ]
    return [*(one for one in before if one["field"]), *found][:MAX_PROBLEMS]


def described(error: ErrorDetails) -> str:
    """Describe a field error for people; a pattern is described in words."""
    if error["type"] == "string_pattern_mismatch":
        return f"Input should be {texts.IN_WORDS[error['ctx']['pattern']]}"
    return REPLACED_MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))


def printable(text: str) -> str:
    """Make a caller's text safe for a reply, a log or the journal: short, without control characters."""
    return text[:64].encode("ascii", "backslashreplace").decode().translate(_CONTROLS)


_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
