"""The fields of texts: base64 and decimal numbers, each value in one spelling only."""

import base64
import re
from typing import Final

from shared.transparency.errors import TransparencyError

HASH_BYTES: Final = 32
# Sizes, indexes and times are signed 64-bit numbers elsewhere.
LARGEST_NUMBER: Final = 2**63 - 1

_NOT_IN_LINE: Final = re.compile("[\x00-\x1f\ud800-\udfff]")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


class InvalidFieldError(TransparencyError):
    """A field that is not base64, not a hash or not a decimal number."""


def is_line(text: str) -> bool:
    """Return whether this is one line, not empty: text in UTF-8 without ASCII control characters below U+0020."""
    return bool(text) and not _NOT_IN_LINE.search(text)


def to_base64(value: bytes) -> str:
    """Encode bytes as standard base64 (RFC 4648, section 4)."""
    return base64.b64encode(value).decode("ascii")


def from_base64(text: str) -> bytes:
    """Decode standard base64.

    Raises:
        InvalidFieldError: it is not base64, or not the one spelling that `to_base64` writes.
    """
    try:
        value = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidFieldError(f"not base64: {text[:80]!r}") from error
    if to_base64(value) != text:
        raise InvalidFieldError(f"not canonical base64: {text[:80]!r}")
    return value


def to_hash(text: str) -> bytes:
    """Decode a SHA-256 hash in base64.

    Raises:
        InvalidFieldError: it is not base64 of 32 bytes.
    """
    value = from_base64(text)
    if len(value) != HASH_BYTES:
        raise InvalidFieldError(f"a hash has {HASH_BYTES} bytes, not {len(value)}: {text[:80]!r}")
    return value


def to_number(text: str) -> int:
    """Read an ASCII decimal from 0 to 2^63 - 1, without leading zeroes.

    Raises:
        InvalidFieldError: it is not such a number.
    """
    if not _DECIMAL.fullmatch(text) or int(text) > LARGEST_NUMBER:
        raise InvalidFieldError(f"not a decimal number from 0 to 2^63 - 1: {text[:80]!r}")
    return int(text)
