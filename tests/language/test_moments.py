"""Moments: positions, and times in RFC 3339 with an offset."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.language.moments import EXAMPLE, Moment, instant

MOMENT: TypeAdapter[Any] = TypeAdapter(Moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-03T09:00:00Z", datetime(2026, 3, 3, 9, tzinfo=UTC)),
        ("2026-03-03t09:00:00z", datetime(2026, 3, 3, 9, tzinfo=UTC)),
        ("2026-03-03T09:00:00+01:00", datetime(2026, 3, 3, 8, tzinfo=UTC)),
        ("2026-03-03T09:00:00-00:00", datetime(2026, 3, 3, 9, tzinfo=UTC)),
        ("2026-03-03T09:00:00.5+23:59", datetime(2026, 3, 2, 9, 1, 0, 500_000, tzinfo=UTC)),
        ("2026-03-03T09:00:00.123456789012Z", datetime(2026, 3, 3, 9, 0, 0, 123_456, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2017-01-01T01:59:60+02:00", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_instant(text: str, expected: datetime) -> None:
    assert MOMENT.validate_python(text, strict=True) == text
    assert instant(text) == expected


@pytest.mark.parametrize("position", [-1, 0, 1, 2**63 - 1])
def test_a_position_is_a_moment(position: int) -> None:
    assert MOMENT.validate_python(position, strict=True) == position


@pytest.mark.parametrize(
    "value",
    [
        "2026-03-03T09:00:00", "2026-03-03", "09:00:00Z", "2026-03-03 09:00:00Z", "2026-02-30T09:00:00Z",
        "2026-03-03T24:00:00Z", "2026-03-03T09:60:00Z", "2026-03-03T12:34:60Z", "2026-03-03T09:00:00+01:99",
        "2026-03-03T09:00:00+24:00", "2026-03-03T09:00:00+0100", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00", "٢026-03-03T09:00:00Z", "2026-03-03T09:00:00.Z", "yesterday", "", "5", 1.5, True,
        2**63, [1], "2026-03-03T09:00:00." + "0" * 80 + "Z",
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(value: Any) -> None:
    with pytest.raises(ValidationError) as refused:
        MOMENT.validate_python(value, strict=True)
    (error,) = refused.value.errors()
    assert EXAMPLE in error["msg"]
