"""The pacer says when the next message is due; a clock that ran back delays nothing."""

from datetime import UTC, datetime, timedelta

import pytest

from services.ops.replay.speed import Pacer, speed_of

BEGIN = datetime(2026, 3, 3, 9, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def due(speed: str, *times: datetime | None) -> list[float]:
    """When each event is due in a process that is never late."""
    pacer = Pacer(speed_of(speed))
    return [pacer.due(0.0, time) for time in times]


def test_so_many_a_second_are_evenly_spaced_whatever_their_times_are() -> None:
    assert due("4/s", at(0), at(60), None, at(2)) == [0.0, 0.25, 0.5, 0.75]
    assert due("0.5/s", at(0), at(0), at(0)) == [0.0, 2.0, 4.0]


def test_the_original_spacing_is_kept_or_divided() -> None:
    times = at(0), at(1.5), at(1.5), at(61.5)
    assert due("original", *times) == [0.0, 1.5, 1.5, 61.5]
    assert due("4x", *times) == [0.0, 0.375, 0.375, 15.375]
    assert due("0.5x", *times) == [0.0, 3.0, 3.0, 123.0]


def test_an_event_of_a_clock_that_ran_back_is_due_at_once_and_delays_none_after_it() -> None:
    assert due("original", at(10), at(4), at(9), at(12)) == [0.0, 0.0, 0.0, 2.0]


def test_a_time_that_cannot_be_read_is_due_with_the_one_before() -> None:
    assert due("original", None, at(5), None, at(7)) == [0.0, 0.0, 0.0, 2.0]


def test_a_short_delay_is_made_up_for() -> None:
    pacer = Pacer(speed_of("10/s"))
    assert pacer.due(0.0, None) == 0.0
    assert pacer.due(0.8, None) == pytest.approx(0.1)
    assert [pacer.due(0.8, None) for _ in range(8)][-1] == pytest.approx(0.9)


def test_a_long_delay_moves_everything_behind_it() -> None:
    pacer = Pacer(speed_of("10/s"))
    assert pacer.due(0.0, None) == 0.0
    assert pacer.due(60.0, None) == 60.0
    assert pacer.due(60.0, None) == pytest.approx(60.1)


@pytest.mark.parametrize("text", ["", "fast", "500", "0/s", "0x", "-1/s", "4 x", "1e9/s", "5000000/s", "nan/s", "4X"])
def test_what_is_no_speed_is_refused_with_examples(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a speed; write one such as 500/s"):
        speed_of(text)
