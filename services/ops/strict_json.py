"""JSON as it is typed, or stands in a file, and nothing else."""

import json
from typing import Any, Final


def parsed(text: str) -> Any:
    """The value; whole numbers of any size and lone surrogates too, which a message may not be able to bear.

    Raises:
        ValueError: it is no JSON, such as NaN, or is nested too deeply to be read.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError(str(error)) from error


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_number)
