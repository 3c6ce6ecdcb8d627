"""Hashing and reading tiles load no cryptographic library; trees need the standard library alone."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("merkle, tiles, checkpoints", ("cryptography", "orjson", "psycopg", "shared.process")),
        ("leaves", ("cryptography", "nats")),
    ],
)
def test_a_module_loads_what_it_needs(modules: str, absent: tuple[str, ...]) -> None:
    program = f"import sys; from shared.transparency import {modules}; print(*sys.modules)"
    loaded = subprocess.run((sys.executable, "-c", program), capture_output=True, text=True, check=True).stdout.split()
    assert "shared.transparency" in loaded
    assert not set(absent) & set(loaded)
