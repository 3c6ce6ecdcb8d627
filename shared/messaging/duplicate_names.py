"""Duplicate names in an object of a JSON text: a parser takes one of their values and drops the other.

Counting colons clears an ordinary body. Outside of strings each name has one, so where the parsed names and strings
account for all colons, no name was lost. Otherwise the text is read again, name by name.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

# An escaped colon in a string; other escapes begin so, too, and cost a second reading.
ESCAPED_COLON: Final = b"\\u003"
# Deeper than any message.
DEEPEST: Final = 8
MAX_PATHS: Final = 100
CONTAINERS: Final = frozenset((dict, list))

Path = tuple[str | int, ...]


def duplicate_names(data: bytes, body: dict[str, Any]) -> Sequence[Path]:
    """Return the paths of duplicate names, at most `MAX_PATHS`; `body` is the parsed `data`, which is valid JSON."""
    colons = data.count(b":")
    if colons == len(body):
        return ()
    # Mostly there is one more, in `service:<name>`.
    actor = body.get("actor")
    of_actor = actor.count(":") if type(actor) is str else 0
    if (colons == len(body) + of_actor or colons == _colons(body)) and (b"\\" not in data or ESCAPED_COLON not in data):
        return ()
    reader = _Reader()
    try:
        parsed = reader.decode(data.decode())
    except RecursionError:
        # Nested deeper than any message: validation refuses it.
        return ()
    return list(dict.fromkeys(islice(_paths(parsed), MAX_PATHS))) if reader.found else ()


def _colons(body: dict[str, Any], depth: int = 0) -> int:
    """Count the colons of an object's names and in its strings; fewer where counting is not easy."""
    values = body.values()
    count = len(body) + "".join([value for value in values if type(value) is str]).count(":")
    if not CONTAINERS.isdisjoint(map(type, values)):
        for value in values:
            if type(value) is dict and depth < DEEPEST:
                count += _colons(value, depth + 1)
            elif type(value) is list:
                with suppress(TypeError):
                    count += "".join(value).count(":")
    return count


class _Object(dict[str, Any]):
    """An object with duplicate names."""

    duplicates: Sequence[str] = ()


class _Reader:
    """Reads JSON and marks such objects; `found` is whether there is one. Numbers are not parsed: only names matter."""

    def __init__(self) -> None:
        self.found = False
        self.decode = json.JSONDecoder(object_pairs_hook=self._marked, parse_int=len, parse_float=len).decode

    def _marked(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        parsed = dict(pairs)
        if len(parsed) == len(pairs):
            return parsed
        self.found = True
        marked = _Object(parsed)
        marked.duplicates = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        return marked


def _paths(parsed: Any) -> Iterator[Path]:
    """A path ends at the depth of messages."""
    left: list[tuple[Path, Any]] = [((), parsed)]
    while left:
        path, value = left.pop()
        if isinstance(value, _Object):
            yield from ((*path, name)[:DEEPEST] for name in value.duplicates)
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        left += [((*path, name)[:DEEPEST], one) for name, one in inner if isinstance(one, dict | list)]
