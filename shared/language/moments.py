"""A moment of the log: a position, or a time in RFC 3339 with its offset from UTC."""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

TIME: Final = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$"

Moment = Annotated[int, Field(ge=1, le=2**63 - 1)] | Annotated[str, StringConstraints(pattern=TIME)]
