"""Columns of a group go to PostgreSQL as arrays in its binary format, written in one step each.

psycopg writes arrays element by element, looking a dumper up for each: of a group's commit that was a sixth.
Format: `array_send` in PostgreSQL's src/backend/utils/adt/arrayfuncs.c. Pass an array as `%b`.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg.adapt import Buffer, Dumper
from psycopg.postgres import types
from psycopg.pq import Format

_LENGTH = struct.Struct("!i").pack
_BIGINT = struct.Struct("!iq").pack
_HEAD = struct.Struct("!iiIii").pack
_EMPTY = struct.Struct("!iiI").pack
_NULL = _LENGTH(-1)
_UUID = _LENGTH(16)
_TRUE, _FALSE = _LENGTH(1) + b"\x01", _LENGTH(1) + b"\x00"


class Array(bytes):
    """One array, as PostgreSQL takes it."""


class UuidArray(Array):
    """uuid[]"""


class TextArray(Array):
    """text[]"""


class ByteaArray(Array):
    """bytea[]"""


class BigintArray(Array):
    """bigint[]"""


class BooleanArray(Array):
    """boolean[]"""


def uuids(values: Sequence[UUID | str | None]) -> UuidArray:
    """From UUIDs, or their text in the usual form."""
    return UuidArray(_array("uuid", [_uuid(value) for value in values], values))


def texts(values: Sequence[str | None]) -> TextArray:
    """For values that come again and again, such as names of kinds."""
    return TextArray(_array("text", [_text(value) for value in values], values))


def keys(values: Sequence[str]) -> TextArray:
    """For texts that are all different."""
    return jsons([value.encode() for value in values])


def jsons(values: Sequence[bytes]) -> TextArray:
    """From documents of JSON in UTF-8, to be cast to jsonb."""
    return TextArray(_array("text", [_LENGTH(len(value)) + value for value in values], ()))


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    items = [_NULL if value is None else _LENGTH(len(value)) + value for value in values]
    return ByteaArray(_array("bytea", items, values))


def bigints(values: Sequence[int | None]) -> BigintArray:
    items = [_NULL if value is None else _BIGINT(8, value) for value in values]
    return BigintArray(_array("int8", items, values))


def booleans(values: Sequence[bool]) -> BooleanArray:
    return BooleanArray(_array("bool", [_TRUE if value else _FALSE for value in values], values))


def _dumper(element: str) -> type[Dumper]:
    class ArrayDumper(Dumper):
        format = Format.BINARY
        oid = types[element].array_oid

        def dump(self, obj: Any) -> Buffer:
            return bytes(obj)

    return ArrayDumper


def _array(element: str, items: Sequence[bytes], values: Sequence[object]) -> bytes:
    oid = types[element].oid
    if not items:
        return _EMPTY(0, 0, oid)
    return _HEAD(1, None in values, oid, len(items), 1) + b"".join(items)


@lru_cache(maxsize=4096)
def _text(value: str | None) -> bytes:
    if value is None:
        return _NULL
    written = value.encode()
    return _LENGTH(len(written)) + written


def _uuid(value: UUID | str | None) -> bytes:
    if value is None:
        return _NULL
    return _UUID + (value.bytes if isinstance(value, UUID) else bytes.fromhex(value.replace("-", "")))


_ELEMENTS = {UuidArray: "uuid", TextArray: "text", ByteaArray: "bytea", BigintArray: "int8", BooleanArray: "bool"}
# For every connection made from now on.
for _kind, _element in _ELEMENTS.items():
    psycopg.adapters.register_dumper(_kind, _dumper(_element))
