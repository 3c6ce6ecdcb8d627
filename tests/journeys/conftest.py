"""Journeys share one Switchboard; each test takes an account of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.journeys import cast
from tests.journeys.wire import Account, Wire, connected
from tests.real_servers import RunningSwitchboard


@pytest.fixture
async def wire(running: RunningSwitchboard) -> AsyncIterator[Wire]:
    async with connected(running.nats_url) as wire:
        yield wire


@pytest.fixture
async def account(wire: Wire) -> Account:
    """A furnished account (`cast.py`)."""
    return await cast.furnished(wire)
