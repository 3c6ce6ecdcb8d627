"""JSON as it is typed, or stands in a file, and nothing else."""

import json
import math
from typing import Any, Final


def parsed(text: str) -> Any:
    """The value; whole numbers of any size and lone surrogates too, which a message may not be able to bear.

    Raises:
        ValueError: it is no JSON, such as NaN or 1e999, or is nested too deeply to be read.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text)
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite)
