"""A release of nats-py that lacks an internal is named, and everything goes on by nats-py's own path."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.client import connect, require
from shared.language.answers import AddressEntry
from shared.wire.nats_internals import MISSING
from tests.conftest import MakeSwitchboard
from tests.real_servers import ROOT

INTERNALS = (
    ("_ps", "Client._ps"),
    ("_send_command", "Client._send_command"),
    ("_flush_pending", "Client._flush_pending"),
    ("_process_msg", "Client._process_msg"),
    ("_max_pending_size", "Client._max_pending_size"),
    ("_error_cb", "Client._error_cb"),
    ("AWAITING_CONTROL_LINE", "module.AWAITING_CONTROL_LINE"),
    ("_id", "Subscription._id"),
    ("_nc", "JetStreamContext._nc"),
    ("_server_version", "ServerVersion._server_version"),
)


def release_without(internal: str, folder: Path) -> str:
    """A PYTHONPATH with a copy of nats-py in which the internal has another name."""
    spec = importlib.util.find_spec("nats")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, folder / "nats")
    for path in (folder / "nats").rglob("*.py"):
        path.write_text(re.sub(rf"\b{internal}\b", f"{internal}_renamed", path.read_text()))
    return f"{folder}{os.pathsep}{ROOT}"


def test_the_installed_release_has_every_internal() -> None:
    assert MISSING == ()


@pytest.mark.parametrize(("internal", "name"), INTERNALS)
def test_a_missing_internal_is_named(internal: str, name: str, folder: Path) -> None:
    program = "from shared.wire import frames, nats_internals; nats_internals.warn(); print(*nats_internals.MISSING)"
    environment = {**os.environ, "PYTHONPATH": release_without(internal, folder)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [name]


async def test_everything_goes_on_without_an_internal(make_switchboard: MakeSwitchboard, folder: Path) -> None:
    """Commands, the relay, a view and the answer, with requests that are refused, too."""
    switchboard = make_switchboard({"PYTHONPATH": release_without("_flush_pending", folder)})
    switchboard.start()
    async with connect(switchboard.nats_url) as client:
        acme = client.account("acme", "service:tests")
        require(await acme.register_account("professional", "ana"))
        require(await acme.connect_team("support@acme.example", "inbox", visibility_acknowledged=True))
        answer = require(await acme.address("support@acme.example"))
        assert isinstance(answer.result, AddressEntry)
        assert answer.result.inbox == "inbox"
        assert (await acme.connect_team("", "inbox")).outcome == "refused"
    lines = [json.loads(line) for line in switchboard.output().splitlines() if line.startswith("{")]
    named = [line for line in lines if line["event"] == "nats.plain_path"]
    assert {line["missing"] for line in named} == {"Client._flush_pending"}
    assert {line["service"] for line in named} >= {"connections", "relay", "inbox-views", "routing"}
