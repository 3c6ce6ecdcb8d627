"""Which NATS is tried beside which PostgreSQL: ends beside ends, and nobody is left out."""

from pathlib import Path

import pytest

from tests.neighbours.servers import Version, pairs


@pytest.mark.parametrize(
    ("nats", "postgres", "together"),
    [
        ("a c", "16 18", "a+16 c+18"),
        ("a c", "16 17 18", "a+16 a+17 c+18"),
        ("a c", "18", "a+18 c+18"),
        ("a", "16 17", "a+16 a+17"),
        ("a", "18", "a+18"),
    ],
)
def test_the_ends_are_tried_together_and_every_version_once(nats: str, postgres: str, together: str) -> None:
    made = pairs(
        [Version("NATS", name, Path()) for name in nats.split()],
        [Version("PostgreSQL", name, Path()) for name in postgres.split()],
    )
    assert " ".join(f"{one.number}+{other.number}" for one, other in made) == together
