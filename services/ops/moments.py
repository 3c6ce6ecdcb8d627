"""Moments as they are typed: a position of the log, or a time with its offset."""

import re
from typing import Final

# A position may have the commas, and a time the blank, with which the audit prints them. The service wants a T there.
_POSITION: Final = re.compile(r"-?(?:[0-9]{1,18}|[0-9]{1,3}(?:,[0-9]{3})+)")
_TIME_WITH_BLANK: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:.*)")


def moment(text: str) -> int | str:
    """A position, or a time that the service checks."""
    return int(text.replace(",", "")) if _POSITION.fullmatch(text) else _TIME_WITH_BLANK.sub(r"\1T\2", text)
