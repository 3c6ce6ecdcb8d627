"""A log line is one JSON object, and shows no variables of the code."""

import json
import subprocess
import sys

import pytest

from shared.process import logs
from tests.real_servers import ROOT

PROGRAM = """
import logging
import structlog
from shared.process import logs

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


SEVERAL_LINES = """
import structlog
from shared.process import logs

logs.configure("kitchen", "console")
structlog.get_logger().warning("away", error=OSError("refused\\n\\tIs it there?"), why="one\\ntwo")
"""


def test_what_a_library_says_in_several_lines_stays_in_one() -> None:
    done = subprocess.run([sys.executable, "-c", SEVERAL_LINES], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert "refused Is it there?" in line
    assert "one two" in line


LEAKY = """
import logging
import structlog
from shared.process import logs

logs.configure("kitchen", FORMAT)
log = structlog.get_logger()
ana = "Ana.O'Hara+x@acme.example"
log.warning(f"of {ana}", why=f"<{ana}>", several=[ana, {"of": (ana, 7), ana: 1}], error=ValueError(f"no {ana}"))
logging.getLogger("some.library").warning("of %s", ana)
log.warning("link", url="nats://user:secret@127.0.0.1:4222", plain="a @ b", note="said \\"bob@acme.example\\"")
try:
    try:
        raise KeyError(ana)
    except KeyError as error:
        raise RuntimeError(f"with {ana!r}") from error
except RuntimeError:
    log.exception("failed")
    logging.getLogger("some.library").exception("failed")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_address_is_masked_wherever_it_stands(log_format: str) -> None:
    program = LEAKY.replace("FORMAT", repr(log_format))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    for told in ("acme.example", "Hara", "secret"):
        assert told not in done.stderr
    assert done.stderr.count("…@…") >= 11
    for kept in ("a @ b", "of …@…", "RuntimeError: with", "KeyError", "link"):
        assert kept in done.stderr
    if log_format == "json":
        assert [json.loads(line)["event"] for line in done.stderr.splitlines()] == [
            "of …@…", "of …@…", "link", "failed", "failed",
        ]  # fmt: skip


ODD = """
import structlog
from shared.process import logs

logs.configure("kitchen", FORMAT)
structlog.get_logger().warning("odd", large=10**30, torn="\\ud800", bell="a\\x1b[2Jb\\rc")
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_whatever_is_said_makes_one_line_of_text(log_format: str) -> None:
    program = ODD.replace("FORMAT", repr(log_format))
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    (line,) = done.stderr.splitlines()
    assert str(10**30).encode() in line
    assert b"\x1b[2J" not in line
    assert b"x1b[2Jb c" in line


def told_of(lines: str, log_format: str) -> str:
    """What is logged by these lines of code."""
    program = f"import structlog\nfrom shared.process import logs\nlogs.configure('kitchen', {log_format!r})\n{lines}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stderr


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_address_is_masked_as_a_key_too_and_none_is_lost(log_format: str) -> None:
    told = told_of(
        "structlog.get_logger().warning('counted', of={'bob@acme.example': 11, 'eve@acme.example': 22},"
        " **{'ana@acme.example': 33})",
        log_format,
    )
    assert "acme.example" not in told
    assert all(number in told for number in ("11", "22", "33"))


def test_what_json_has_no_words_for_is_told_all_the_same() -> None:
    told = told_of(
        "structlog.get_logger().warning('odd', big=2**64, half='a\\ud800b', none=float('nan'), of={'x': [-(2**70)]})",
        "json",
    )
    line = json.loads(told, parse_constant=pytest.fail)
    assert (line["big"], line["half"], line["none"]) == (2**64, r"a\xd800b", "nan")
    assert line["of"] == {"x": [-(2**70)]}


def test_a_terminal_obeys_nothing_that_is_logged() -> None:
    told = told_of(
        "log = structlog.get_logger()\n"
        "log.warning('ev\\x1b[2Jent', why='ab\\x9bc\\u202ed', of=['e\\rf'], **{'k\\x1by': 'Größe\\tok'})\n"
        "try:\n    raise ValueError('g\\r\\x1b[1A\\n\\th')\n"
        "except ValueError:\n    log.exception('failed')\n",
        "console",
    )
    assert not set(told) & set("\r\x1b\x9b\u202e")
    for spelled in (r"ev\x1b[2Jent", r"ab\x9bc\x202ed", r"e\rf", r"k\x1by='Größe ok'", "\\r\\x1b[1A\n\th"):
        assert spelled in told


def test_the_text_around_an_address_stays() -> None:
    assert logs.masked("Key (address)=(bob@acme.example) is there twice") == "Key …@… is there twice"
    assert logs.masked("    @wraps(function)\n    def f(): ...") == "    @wraps(function)\n    def f(): ..."
    assert logs.masked("x" * 1_000_000 + "@") == logs.MASK
