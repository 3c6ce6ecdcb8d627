"""A log line is one JSON object, and shows no variables of the code."""

import json
import subprocess
import sys

from tests.real_servers import ROOT

PROGRAM = """
import logging
import structlog
from shared.runtime import logs

logs.configure("kitchen", "json")
log = structlog.get_logger()
log.debug("unheard")
log.bind(command_id="c1").info("command.accepted", position=7)
logging.getLogger("some.library").warning("careful: %s", "hot")
address = "ana@acme.example"
try:
    raise RuntimeError("no")
except RuntimeError:
    log.exception("failed")
"""


def test_every_line_is_one_object_with_its_service_time_and_level() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    first, second, third = (json.loads(line) for line in done.stderr.splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "service": "kitchen",
        "level": "info",
        "event": "command.accepted",
        "command_id": "c1",
        "position": 7,
    }
    assert (second["event"], second["level"], second["service"]) == ("careful: hot", "warning", "kitchen")
    assert "RuntimeError: no" in third["exception"]
    assert "ana@acme.example" not in third["exception"]
