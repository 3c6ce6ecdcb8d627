"""The value at a JSON pointer (RFC 6901)."""

from collections.abc import Mapping, Sequence
from typing import Any


def value_at(document: Any, pointer: str) -> Any:
    """Return the value; None where there is none."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        match document:
            case Mapping():
                document = document.get(key)
            case str() | bytes():
                return None
            case Sequence() if key.isdecimal() and int(key) < len(document):
                document = document[int(key)]
            case _:
                return None
    return document
