"""JSON as it is typed, or stands in a file, and nothing else."""

import json
from typing import Any


def parsed(text: str) -> Any:
    """The value; whole numbers of any size and lone surrogates too, which a message may not be able to bear.

    Raises:
        ValueError: it is no JSON, such as NaN, or is nested too deeply to be read.
    """
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")
