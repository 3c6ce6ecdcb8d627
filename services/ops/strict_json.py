"""Strict JSON, for command lines and files: no duplicate keys, no NaN."""

import json
import math
from collections import Counter
from typing import Any, Final


class DuplicateKeyError(ValueError):
    """An object has a name twice, and only one of the two values could be used."""


def parsed(text: str) -> Any:
    """The value, including integers of any size and lone surrogates, which a message may not be able to carry.

    Raises:
        DuplicateKeyError: an object in it has a name twice.
        ValueError: it is not JSON, such as NaN or 1e999, or is nested too deeply.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        (name, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise DuplicateKeyError(f"{name} is named twice in one JSON object: leave one")
    return members


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"a number of {len(text):,} digits is too long") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number


_DECODER: Final = json.JSONDecoder(
    parse_constant=_no_number, parse_int=_whole, parse_float=_finite, object_pairs_hook=_unique
)
