"""The library's unsafe switch loses events for whoever follows the log: the checker names them, and nothing starts with it.

With `POSTGRES_ENABLE_DB_FUNCTIONS` the library inserts without its lock, so an event that got the lower position may be
committed after one with a higher; a reader that has passed it by never comes back.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid5

import orjson
import psycopg
import pytest
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import LockNotAvailable

from shared.language.recorded import STREAMS
from tests.faults.verdict import Stored, of_the_stream
from tests.journeys.wire import Fact
from tests.real_servers import ROOT, RunningPostgres

SWITCH = "POSTGRES_ENABLE_DB_FUNCTIONS"


def test_the_write_side_refuses_to_start_with_it(private_postgres: RunningPostgres) -> None:
    environment = {
        SWITCH: "y",
        "SWITCHBOARD_POSTGRES_URL": private_postgres.url,
        "SWITCHBOARD_NATS_URL": "nats://127.0.0.1:1",
        "SWITCHBOARD_HTTP_PORT": "0",
        "PYTHONPATH": str(ROOT),
    }
    argv = [sys.executable, "-m", "services.connections.app"]
    ended = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, timeout=20, text=True, check=False)
    assert ended.returncode != 0
    assert SWITCH in ended.stdout + ended.stderr
