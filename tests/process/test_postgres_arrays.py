"""Arrays written in one step are read by PostgreSQL as what they were."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.process import postgres_arrays as arrays

KINDS: dict[str, tuple[Callable[[Any], arrays.Array], st.SearchStrategy[Any]]] = {
    "uuid": (arrays.uuids, st.none() | st.uuids()),
    "text": (
        arrays.texts,
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    ),
    "bytea": (arrays.byteas, st.none() | st.binary()),
    "bigint": (arrays.bigints, st.none() | st.integers(-(2**63), 2**63 - 1)),
    "boolean": (arrays.booleans, st.booleans()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_comes_back(database: str, kind: str) -> None:
    array_of, values = KINDS[kind]
    with psycopg.connect(database, autocommit=True) as connection:

        @given(st.lists(values, max_size=20))
        def comes_back(written: Sequence[object]) -> None:
            read = connection.execute(f"SELECT %b::{kind}[]", [array_of(written)], binary=True).fetchall()
            assert read == [(written,)]

        comes_back()


def test_the_text_of_a_uuid_is_taken_for_the_uuid(database: str) -> None:
    text = "0198C0DE-0000-7000-8000-00000000000A"
    with psycopg.connect(database, autocommit=True) as connection:
        read = connection.execute("SELECT %b::uuid[]", [arrays.uuids([text, None])], binary=True).fetchall()
    assert read == [([UUID(text), None],)]
