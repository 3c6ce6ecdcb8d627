"""Servers of one test: a NATS of its own, and a log in a database of its own."""

import pytest

from tests.ops.replay.replaying import Log, Servers
from tests.real_servers import RunningNats


@pytest.fixture
def servers(private_nats: RunningNats, database: str) -> Servers:
    return Servers(private_nats.url, Log(database))
