"""One way through: the files and the shapes that one ConnectTeam passes on the write side."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final, get_type_hints

import orjson

from services.connections import app, decider, parsing
from services.connections.app import connections
from services.connections.envelope import CommandEnvelope
from services.connections.outcome import Outcome
from services.connections.store.recorder import GroupRecorder
from services.connections.store.rows import Rows
from shared.core.decider import Decision
from shared.language import subjects
from shared.messaging.endpoint import Reply
from tests.inbox_views.stories import eventually, is_ready, on_bus, service_open
from tests.real_servers import ROOT, RunningNats

MOST_FILES: Final = 20
STATIONS: Final = (
    "decider.py", "domain/address/connect.py", "store/unit_of_work.py", "store/recorder.py", "outcome.py"
)  # fmt: skip
WRITE_SIDE: Final = ROOT / "services/connections"


class Trace:
    """The files of the write side of which code runs while it is on, in the order of their first use."""

    def __init__(self) -> None:
        self.on = False
        self.files: list[str] = []

    def profile(self, frame: FrameType, event: str, _argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if self.on and event == "call" and path.is_relative_to(WRITE_SIDE):
            name = str(path.relative_to(WRITE_SIDE))
            if name not in self.files:
                self.files.append(name)


@contextmanager
def tracing() -> Iterator[Trace]:
    """Traces this thread and those that start from now on."""
    trace, before = Trace(), sys.getprofile()
    threading.setprofile(trace.profile)
    sys.setprofile(trace.profile)
    try:
        yield trace
    finally:
        sys.setprofile(before)
        threading.setprofile(None)


async def test_a_connect_team_passes_few_files(database: str, nats: RunningNats) -> None:
    async def asked(client: Any, name: str, **body: Any) -> str:
        reply = await client.request(subjects.command("acme", name), orjson.dumps(body), timeout=10)
        return str(orjson.loads(reply.data)["outcome"])

    def connect(number: int) -> dict[str, Any]:
        address = f"a{number}@acme.example"
        return {"actor": "ada", "address": address, "inbox": "inbox", "visibility_acknowledged": True}

    with tracing() as trace:
        async with service_open("connections", connections, nats.url, database) as service, on_bus(nats.url) as bus:
            await eventually(lambda: is_ready(service))
            assert (
                await asked(bus.client, "RegisterAccount", actor="service:x", plan="starter", admin="ada") == "accepted"
            )
            assert await asked(bus.client, "ConnectTeam", **connect(1)) == "accepted"
            await asyncio.sleep(0)
            trace.on = True
            assert await asked(bus.client, "ConnectTeam", **connect(2)) == "accepted"
            trace.on = False
    assert trace.files[:3] == ["app.py", "writer.py", "parsing.py"]
    assert {
        "decider.py",
        "domain/address/connect.py",
        "store/unit_of_work.py",
        "store/recorder.py",
        "outcome.py",
    } <= set(trace.files)
    assert len(trace.files) <= MOST_FILES, trace.files


def test_a_command_has_five_shapes() -> None:
    shapes = [
        get_type_hints(parsing.read)["return"],
        get_type_hints(decider.decide)["return"],
        get_type_hints(decider.outcome_of)["return"],
        get_type_hints(GroupRecorder.append)["rows"],
        get_type_hints(app.reply_of)["return"],
    ]
    assert shapes == [CommandEnvelope, Decision, Outcome, Rows, Reply]


def test_the_envelope_is_typed() -> None:
    assert Any not in get_type_hints(CommandEnvelope).values()
