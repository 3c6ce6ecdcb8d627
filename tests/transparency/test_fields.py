"""Base64, hashes and numbers are read in one spelling only."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transparency.fields import InvalidFieldError, from_base64, is_line, to_base64, to_hash, to_number


@given(st.binary(max_size=100))
def test_base64_comes_back(value: bytes) -> None:
    assert from_base64(to_base64(value)) == value


@pytest.mark.parametrize("text", ["A", "AA", "AAA", "AA=", "AB==", "AA===", "AA==AA==", " AA==", "AA==\n", "A-==", "è"])
def test_another_spelling_of_base64_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError):
        from_base64(text)


def test_a_hash_has_32_bytes() -> None:
    assert to_hash(to_base64(bytes(32))) == bytes(32)
    for count in (0, 31, 33):
        with pytest.raises(InvalidFieldError, match=f"a hash has 32 bytes, not {count}"):
            to_hash(to_base64(bytes(count)))


@pytest.mark.parametrize("number", [0, 1, 10, 2**63 - 1])
def test_a_number_comes_back(number: int) -> None:
    assert to_number(str(number)) == number


@pytest.mark.parametrize(
    "text", ["", "00", "01", "+1", "-1", "1.0", " 1", "1\n", "1_0", "\u0661", str(2**63), "9" * 5_000]
)
def test_another_spelling_of_a_number_is_refused(text: str) -> None:
    with pytest.raises(InvalidFieldError, match="not a decimal number"):
        to_number(text)


def test_a_line_is_text_without_control_characters() -> None:
    assert all(map(is_line, ("a", " ", "è", "\u2028", "\x7f")))
    assert not any(map(is_line, ("", "\n", "a\n", "\t", "\x00", "\x1f", "\ud800", "\udfff")))
