"""A moment may be typed as a position or as a time, also in the forms that are printed."""

import pytest

from services.ops.moments import moment


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("12", 12),
        ("1,204", 1_204),
        ("2026-03-03T09:15:00+01:00", "2026-03-03T09:15:00+01:00"),
        ("2026-03-03 09:15:02.113456Z", "2026-03-03T09:15:02.113456Z"),
        ("yesterday", "yesterday"),
        ("-1", -1),
    ],
)
def test_a_moment_may_be_typed_as_it_is_shown(typed: str, sent: int | str) -> None:
    assert moment(typed) == sent
