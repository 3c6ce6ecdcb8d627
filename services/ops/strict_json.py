"""JSON as it is typed, or stands in a file, and nothing else."""

import json
import math
from collections import Counter
from typing import Any, Final


class NamedTwice(ValueError):
    """A name stands twice in one object, and only one of its values could be taken."""


def parsed(text: str) -> Any:
    """The value; whole numbers of any size and lone surrogates too, which a message may not be able to bear.

    Raises:
        NamedTwice: an object in it has a name twice.
        ValueError: it is no JSON, such as NaN or 1e999, or is nested too deeply to be read.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    told = dict(pairs)
    if len(told) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise NamedTwice(f"{twice} is named twice in one JSON object: leave one")
    return told


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"a number of {len(text):,} digits is longer than any that is taken") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number


_DECODER: Final = json.JSONDecoder(
    parse_constant=_no_number, parse_int=_whole, parse_float=_finite, object_pairs_hook=_once
)
