"""What is kept stays bounded, and the latest stays."""

from shared.process.bounded import evict_oldest


def test_the_oldest_goes_and_the_latest_stays() -> None:
    kept: dict[int, str] = {}
    for number in range(1_000):
        kept[number] = str(number)
        evict_oldest(kept, 100)
        assert len(kept) <= 100
        assert list(kept) == list(range(number + 1 - len(kept), number + 1))
    assert len(kept) >= 90
