"""A moment of the log: a position, or a time in RFC 3339 with its offset from UTC."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import Field, StringConstraints, ValidationError, WrapValidator
from pydantic_core import PydanticCustomError

TIME: Final = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
EXAMPLE: Final = "2026-03-03T09:00:00+01:00"
IN_WORDS: Final = f"a position, or a time with its offset from UTC, such as {EXAMPLE} or 2026-03-03T08:00:00Z"

_LEAP_SECOND: Final = re.compile(r"(?<=:\d\d:)60")


def instant(text: str) -> datetime:
    """Return the time in UTC; digits of a fraction after the sixth are cut. A leap second is the second after it.

    Raises:
        ValueError: there is no such time, as on 30 February.
    """
    usual, leaps = _LEAP_SECOND.subn("59", text.upper())
    try:
        found = datetime.fromisoformat(usual).astimezone(UTC) + timedelta(seconds=leaps)
    except OverflowError as error:
        raise ValueError("the year is not one of 1 to 9999 in UTC") from error
    if leaps and (found.hour, found.minute, found.second) != (0, 0, 0):
        raise ValueError("a leap second comes at the end of a day in UTC only")
    return found


def _readable(value: Any, handler: Callable[[Any], Any]) -> Any:
    try:
        moment = handler(value)
        if isinstance(moment, str):
            instant(moment)
    except ValueError as error:
        raise PydanticCustomError("moment", _why_not(value, error)) from None
    return moment


def _why_not(value: Any, error: ValueError) -> Any:
    if isinstance(error, ValidationError):
        return f"Input should be {IN_WORDS}"
    return f"There is no such time; input should be {IN_WORDS}"


# A position before the first one has an error of its own, which says what there is.
_POSITION = Annotated[int, Field(ge=-(2**63), le=2**63 - 1, json_schema_extra={"minimum": 1})]
_TIME = Annotated[str, StringConstraints(pattern=TIME, max_length=64)]
Moment = Annotated[_POSITION | _TIME, WrapValidator(_readable)]
