"""The pauses between attempts."""

from shared.wire.backoff import Backoff


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.05, longest=0.3)
    assert [backoff.next() for _ in range(5)] == [0.05, 0.1, 0.2, 0.3, 0.3]


def test_after_a_success_the_first_pause_comes_again() -> None:
    backoff = Backoff(first=0.05, longest=0.3)
    for _ in range(3):
        backoff.next()
    backoff.reset()
    assert backoff.next() == 0.05
