"""Which names stand twice in one object of a JSON text: a parser takes one of their values and passes over the other.

An ordinary body is cleared by counting colons. Outside of texts there is one for each name, so where there are no more
than the kept names and texts account for, no name was lost. Only else is the text read again, name by name.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final

# A colon may be written so in a text; `\\u003` begins others, too, which are then read again for nothing.
ESCAPED_COLON: Final = b"\\u003"
# Deeper than any message is: not worth counting.
DEEPEST: Final = 8
MOST: Final = 100
HOLDING: Final = frozenset((dict, list))

Path = tuple[str | int, ...]


def named_twice(data: bytes, body: dict[str, Any]) -> Sequence[Path]:
    """The paths of such names, the first `MOST`; `body` is what `data`, which is valid JSON, was parsed to."""
    colons = data.count(b":")
    if colons == len(body):
        return ()
    # Mostly the one more is that of `service:<name>`.
    actor = body.get("actor")
    of_actor = actor.count(":") if type(actor) is str else 0
    if (colons == len(body) + of_actor or colons == _colons(body)) and (b"\\" not in data or ESCAPED_COLON not in data):
        return ()
    reader = _Reader()
    try:
        told = reader.decode(data.decode())
    except RecursionError:
        # Nested as no message is, so it is refused for what it is.
        return ()
    return list(dict.fromkeys(islice(_paths(told), MOST))) if reader.found else ()


def _colons(body: dict[str, Any], depth: int = 0) -> int:
    """Of an object's names, and within its texts; fewer where that cannot be counted easily."""
    values = body.values()
    count = len(body) + "".join([value for value in values if type(value) is str]).count(":")
    if not HOLDING.isdisjoint(map(type, values)):
        for value in values:
            if type(value) is dict and depth < DEEPEST:
                count += _colons(value, depth + 1)
            elif type(value) is list:
                with suppress(TypeError):
                    count += "".join(value).count(":")
    return count


class _Object(dict[str, Any]):
    """An object in which names stand twice."""

    twice: Sequence[str] = ()


class _Reader:
    """Reads JSON with such objects marked; `found` is whether there is one. Only names matter, and no number is one."""

    def __init__(self) -> None:
        self.found = False
        self.decode = json.JSONDecoder(object_pairs_hook=self._marked, parse_int=len, parse_float=len).decode

    def _marked(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        told = dict(pairs)
        if len(told) == len(pairs):
            return told
        self.found = True
        marked = _Object(told)
        marked.twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
        return marked


def _paths(told: Any) -> Iterator[Path]:
    """Those nested deeper than any message is are told by what they are in."""
    left: list[tuple[Path, Any]] = [((), told)]
    while left:
        path, value = left.pop()
        if isinstance(value, _Object):
            yield from ((*path, name)[:DEEPEST] for name in value.twice)
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        left += [((*path, name)[:DEEPEST], one) for name, one in inner if isinstance(one, dict | list)]
