"""A signed log, of random commands in two accounts."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.audit.evidence.making import Evidence
from tests.audit.past import past_in
from tests.ops.evidence.bundles import LogToExport


@pytest.fixture
def unsigned(database: str, folder: Path) -> Iterator[LogToExport]:
    with past_in(database) as past:
        past.begin()
        past.begin("zenith")
        past.live(7, 250)
        yield LogToExport(past, Evidence(folder), folder)


@pytest.fixture
async def small_log(database: str, folder: Path) -> AsyncIterator[LogToExport]:
    """One account that has just begun."""
    with past_in(database) as past:
        past.begin()
        log = LogToExport(past, Evidence(folder), folder)
        await log.sign()
        yield log


@pytest.fixture
async def log(unsigned: LogToExport) -> LogToExport:
    await unsigned.sign()
    return unsigned
