"""The command line sends what was typed, prints the reply, and tells the outcome by its exit code."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import nats as nats_py
import pytest
from nats.aio.msg import Msg

from shared.runtime import bus
from tests.real_servers import ROOT, RunningNats, free_port

DONE, REFUSED, USAGE, NO_ANSWER = range(4)


class Answering:
    """Stands where the services listen, keeps what arrives and answers what the test says."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.subject = ""
        self.body: dict[str, Any] = {}
        self.reply: Any = {"outcome": "accepted"}


@pytest.fixture
async def answering(private_nats: RunningNats) -> AsyncIterator[Answering]:
    here = Answering(private_nats.url)

    async def answer(message: Msg) -> None:
        here.subject, here.body = message.subject, json.loads(message.data)
        await message.respond(json.dumps(here.reply).encode())

    connection = await nats_py.connect(private_nats.url)
    await connection.subscribe("switchboard.>", cb=answer)
    await bus.settled(connection)
    yield here
    await connection.close()


async def switchboard(*arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code and what was printed, errors too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.ops.cli",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_a_command_is_sent_as_typed_with_an_id_of_its_own(answering: Answering) -> None:
    fields = ("address=a=b@acme.example", "visibility_acknowledged:=true", 'members:=["ana"]', "inbox=7")
    code, output = await switchboard(
        "command", "--url", answering.url, "acme", "ConnectTeam", "--actor", "ana", *fields
    )
    assert code == DONE
    assert json.loads(output) == {"outcome": "accepted"}
    assert answering.subject == "switchboard.command.v1.acme.ConnectTeam"
    assert answering.body.pop("command_id")
    assert answering.body == {
        "actor": "ana",
        "address": "a=b@acme.example",
        "visibility_acknowledged": True,
        "members": ["ana"],
        "inbox": "7",
    }


async def test_a_given_command_id_is_kept(answering: Answering) -> None:
    await switchboard("command", "--url", answering.url, "acme", "X", "actor=ana", "command_id=mine")
    assert answering.body == {"actor": "ana", "command_id": "mine"}


async def test_a_question_is_sent_without_one(answering: Answering) -> None:
    answering.reply = {"position": 1, "result": "é"}
    code, output = await switchboard("query", "acme", "Address", "actor=ana", SWITCHBOARD_NATS_URL=answering.url)
    assert code == DONE
    assert '"result": "é"' in output
    assert (answering.subject, answering.body) == ("switchboard.query.v1.acme.Address", {"actor": "ana"})


@pytest.mark.parametrize(
    ("verb", "reply", "expected"),
    [
        ("command", {"outcome": "accepted"}, DONE),
        ("command", {"outcome": "unchanged"}, DONE),
        ("command", {"outcome": "refused", "reason": "NOT_CONNECTED"}, REFUSED),
        ("query", {"position": 3, "result": None}, DONE),
        ("query", {"error": "VIEW_BEHIND", "message": "later"}, REFUSED),
    ],
)
async def test_the_exit_code_tells_the_outcome(
    verb: str, reply: dict[str, Any], expected: int, answering: Answering
) -> None:
    answering.reply = reply
    code, output = await switchboard(verb, "--url", answering.url, "acme", "Any")
    assert (code, json.loads(output)) == (expected, reply)


@pytest.mark.parametrize(
    "arguments",
    [
        ("command", "acme"),
        ("command", "acme", "X", "no-equals"),
        ("command", "acme", "X", "=value"),
        ("command", "acme", "X", "n:=not json"),
        ("command", "a.b", "X"),
        ("run", "kitchen"),
        ("nonsense",),
    ],
)
async def test_wrong_usage_is_told_as_such(arguments: tuple[str, ...]) -> None:
    code, output = await switchboard(*arguments)
    assert code == USAGE
    assert "Traceback" not in output


async def test_a_single_service_needs_both_urls() -> None:
    code, output = await switchboard("run", "relay", SWITCHBOARD_NATS_URL="nats://x", SWITCHBOARD_POSTGRES_URL="")
    assert code == USAGE
    assert "SWITCHBOARD_POSTGRES_URL" in output


async def test_a_wrong_setting_is_named() -> None:
    code, output = await switchboard("run", SWITCHBOARD_HTTP_PORT="many")
    assert code == USAGE
    assert "SWITCHBOARD_HTTP_PORT" in output


async def test_no_nats_no_service_and_no_answer_are_one_code(nats: RunningNats) -> None:
    code, output = await switchboard("query", "--url", f"nats://127.0.0.1:{free_port()}", "acme", "Users")
    assert (code, "Is Switchboard running" in output) == (NO_ANSWER, True)
    code, output = await switchboard("command", "--url", nats.url, "acme", "X", "command_id=again")
    assert (code, "not running" in output, "again" in output) == (NO_ANSWER, True, True)
    connection = await nats_py.connect(nats.url)
    await connection.subscribe("switchboard.query.v1.acme.Slow")
    await bus.settled(connection)
    code, output = await switchboard("query", "--url", nats.url, "--timeout", "0.2", "acme", "Slow")
    await connection.close()
    assert (code, "within 0.2 s" in output) == (NO_ANSWER, True)
