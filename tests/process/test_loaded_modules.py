"""Each process loads the modules that it needs, and no others."""

from collections.abc import Mapping
from typing import Final

import pytest

from tests.process.loaded_modules import PROCESSES, expected_modules, loaded_modules

# Beginnings of names, for each process.
FORBIDDEN: Final[Mapping[str, tuple[str, ...]]] = {
    "client": (
        "cryptography", "eventsourcing", "faststream", "psycopg", "services.", "shared.core", "shared.projections",
        "shared.transparency", "typer",
    ),
    "connections": ("cryptography", "services.ops", "services.relay", "shared.client", "shared.projections", "typer"),
    "inbox-views": (
        "cryptography",
        "eventsourcing",
        "services.connections",
        "services.ops",
        "services.relay",
        "shared.client",
        "typer",
    ),
    "relay": (
        "cryptography", "eventsourcing", "services.connections", "shared.client", "shared.core", "shared.projections",
        "typer",
    ),
    "version": (
        "cryptography", "faststream", "nats", "orjson", "psycopg", "pydantic", "rich", "shared.", "structlog", "typer",
    ),
}  # fmt: skip


@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_loads_exactly_the_modules_on_its_list(process: str) -> None:
    assert loaded_modules(process) == expected_modules(process), (
        "If this is intended, write the lists again: python -m tests.process.loaded_modules"
    )


@pytest.mark.parametrize("process", PROCESSES)
def test_a_list_has_no_module_that_its_process_must_not_load(process: str) -> None:
    assert [name for name in expected_modules(process) if name.startswith(FORBIDDEN[process])] == []
