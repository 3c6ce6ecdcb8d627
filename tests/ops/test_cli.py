"""The command line sends what was typed, prints the reply, and tells the outcome by its exit code."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import nats as nats_py
import pytest
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig

from shared.messaging import event_stream
from shared.process.clock import new_id
from shared.wire.connection import connect_to_nats, flush_confirmed
from tests import command_line
from tests.journeys.wire import Account, connected
from tests.real_servers import ROOT, RunningNats, RunningSwitchboard, free_port

DONE, REFUSED, USAGE, NO_ANSWER = range(4)
PIPE_CLOSED = 141
# Python without a buffer does not notice that a write was cut short.
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}


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
    await flush_confirmed(connection)
    yield here
    await connection.close()


async def switchboard(*arguments: str, **settings: str) -> tuple[int, str]:
    """Exit code and what was printed, errors too."""
    ended = await command_line.run(*arguments, environment=settings, merged=True)
    return ended.code, ended.output


async def test_a_command_is_sent_as_typed_with_an_id_of_its_own(answering: Answering) -> None:
    fields = ("address=a=b@acme.example", "visibility_acknowledged:=true", 'members:=["ana"]', "inbox=7")
    code, output = await switchboard(
        "command", "--json", "--url", answering.url, "acme", "ConnectTeam", "--actor", "ana", *fields
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
    words = ("query", "--json", "acme", "Address", "actor=ana")
    code, output = await switchboard(*words, SWITCHBOARD_NATS_URL=answering.url)
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
    code, output = await switchboard(verb, "--json", "--url", answering.url, "acme", "Any")
    assert (code, json.loads(output)) == (expected, reply)
    code, output = await switchboard(verb, "--url", answering.url, "acme", "Any")
    assert code == expected
    assert "Traceback" not in output


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


@pytest.mark.parametrize(
    "fields",
    [
        ("owner=bob", "owner=cleo"),
        ("owner=bob", 'owner:="cleo"'),
        ("--actor", "ana", "actor=bob"),
        ('rule:={"kind":"unassigned","kind":"contact_owner"}',),
        ('rule:={"fallback":{"users":[],"\\u0075sers":[]}}',),
    ],
)
async def test_a_field_that_is_named_twice_is_not_sent(fields: tuple[str, ...]) -> None:
    code, output = await switchboard("command", "acme", "SetRouting", *fields)
    assert (code, "twice" in output, "is not JSON" in output) == (USAGE, True, False), output


async def test_a_single_service_needs_both_urls() -> None:
    code, output = await switchboard("run", "relay", SWITCHBOARD_NATS_URL="nats://x", SWITCHBOARD_POSTGRES_URL="")
    assert code == USAGE
    assert "SWITCHBOARD_POSTGRES_URL" in output


async def test_a_wrong_setting_is_named() -> None:
    code, output = await switchboard("run", SWITCHBOARD_HTTP_PORT="many")
    assert code == USAGE
    assert "SWITCHBOARD_HTTP_PORT" in output


async def test_an_address_that_this_machine_has_not_is_told_as_such(nats: RunningNats) -> None:
    urls = {"SWITCHBOARD_NATS_URL": nats.url, "SWITCHBOARD_POSTGRES_URL": "postgresql://nowhere"}
    for words in (("run",), ("run", "relay")):
        code, output = await switchboard(*words, SWITCHBOARD_HTTP_HOST="192.0.2.1", **urls)
        assert (code, "SWITCHBOARD_HTTP_HOST" in output, "Traceback" in output) == (REFUSED, True, False), output


async def test_a_wrong_setting_is_named_by_what_only_asks_too() -> None:
    code, output = await switchboard("query", "acme", "Usage", "--url", "nats://x", SWITCHBOARD_HTTP_PORT="many")
    assert (code, "SWITCHBOARD_HTTP_PORT" in output, "never awaited" in output) == (USAGE, True, False), output


@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_a_reader_that_goes_away_ends_an_answer_quietly(words: tuple[str, ...], answering: Answering) -> None:
    answering.reply = {"position": 1, "result": [{"name": "x" * 900}] * 900}
    line = "{} -m services.ops.cli query --url {} acme Users {} | head -n 1; exit ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line.format(sys.executable, answering.url, " ".join(words)),
        cwd=ROOT, env=BUFFERED, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    output, errors = await process.communicate()
    assert (process.returncode, bool(output), errors) == (PIPE_CLOSED, True, b"")


async def test_an_error_about_a_moment_names_the_option(answering: Answering) -> None:
    ends = {"first": {"position": 1, "time": "2026-03-01T00:00:00.000Z"}, "last": {"position": 1_204, "time": None}}
    answering.reply = {"error": "AS_OF_TOO_EARLY", "message": "Not answered: x. Ask details.first.", "details": ends}
    words = ("query", "--url", answering.url, "acme", "Usage", "--as-of", "0")
    code, output = await switchboard(*words)
    advice = "x. Give --as-of a moment between position 1 (2026-03-01T00:00:00.000Z) and position 1,204, or a time"
    assert (code, advice in output, "details" in output) == (REFUSED, True, False), output
    code, output = await switchboard(*words, "--json")
    assert (code, json.loads(output)) == (REFUSED, answering.reply)


@pytest.mark.parametrize("result", [{"name": "x" * 300}, [{"name": "x" * 300}]])
async def test_a_long_value_is_wrapped_and_never_cut(result: Any, answering: Answering) -> None:
    answering.reply = {"position": 1, "result": result}
    _, output = await switchboard("query", "--url", answering.url, "acme", "User", COLUMNS="60")
    assert (output.count("x"), "…" in output) == (300, False)


async def test_brackets_are_text(answering: Answering) -> None:
    answering.reply = {"outcome": "refused", "reason": "COMMAND_INVALID", "details": {"errors": [{"field": "[/x]"}]}}
    code, output = await switchboard("command", "--url", answering.url, "acme", "AssignSeat", "[/x]=1")
    assert (code, "[/x]: Known names" in output) == (REFUSED, True), output
    code, output = await switchboard("command", "--url", answering.url, "--timeout", "0.2", "acme", "[/x]")
    assert (code, "Traceback" in output) == (REFUSED, False), output


async def test_who_interrupts_a_command_learns_under_which_id_it_can_be_given_again(nats: RunningNats) -> None:
    connection = await nats_py.connect(nats.url)
    arrived = await connection.subscribe("switchboard.command.v1.acme.Slow")
    await flush_confirmed(connection)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", "command", "--url", nats.url, "acme", "Slow",
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    command_id = json.loads((await arrived.next_msg(timeout=20)).data)["command_id"]
    process.send_signal(signal.SIGINT)
    output = (await process.communicate())[0].decode()
    await connection.close()
    assert (process.returncode, f"command_id={command_id}" in output) == (130, True), output


async def test_no_nats_no_service_and_no_answer_are_one_code(nats: RunningNats) -> None:
    code, output = await switchboard("query", "--url", f"nats://127.0.0.1:{free_port()}", "acme", "Users")
    assert (code, "Is Switchboard running" in output) == (NO_ANSWER, True)
    code, output = await switchboard("command", "--url", nats.url, "--timeout", "0.2", "acme", "X", "command_id=mine")
    assert (code, "no responders" in output, "command_id mine" in output) == (NO_ANSWER, True, True)
    assert output.startswith("No reply to switchboard.command.v1.acme.X yet (nats: no responders"), output
    connection = await nats_py.connect(nats.url)
    await connection.subscribe("switchboard.query.v1.acme.Slow")
    await flush_confirmed(connection)
    code, output = await switchboard("query", "--url", nats.url, "--timeout", "0.2", "acme", "Slow")
    await connection.close()
    assert (code, "within 0.2 s" in output) == (NO_ANSWER, True)


# ---- as a person reads it, against a whole Switchboard


@pytest.fixture
async def acme(running: RunningSwitchboard) -> Account:
    """A registered account of its own."""
    async with connected(running.nats_url) as wire:
        account = Account(wire, f"cli-{new_id()[-12:]}")
        await account.do("RegisterAccount", plan="starter", admin="ana")
        await account.do("AddUser", user="bob", name="Bob", permissions=["personal_email_access"])
        await account.do("ConnectPersonal", "bob", address="bob@acme.example", owner="bob")
        return account


async def test_a_refusal_reads_like_advice(running: RunningSwitchboard, acme: Account) -> None:
    words = ("command", acme.name, "ConnectTeam", "actor=ana", "address=Bob@acme.example", "inbox=inbox")
    code, output = await switchboard(*words, "visibility_acknowledged:=true", SWITCHBOARD_NATS_URL=running.nats_url)
    assert code == REFUSED
    for told in (
        "ADDRESS_ALREADY_PERSONAL",
        "held by",
        "bob",
        "since",
        "You can",
        "Disconnect",
        "super_admin",
    ):
        assert told in output
    assert "{" not in output


async def test_an_accepted_command_says_where_it_stands_and_what_comes_next(
    running: RunningSwitchboard, acme: Account
) -> None:
    words = ("command", acme.name, "ConnectTeam", "--actor", "ana", "address=help@acme.example", "inbox=inbox")
    code, output = await switchboard(*words, "visibility_acknowledged:=true", SWITCHBOARD_NATS_URL=running.nats_url)
    assert code == DONE
    assert "TeamConnected" in output
    assert "SetRouting" in output
    assert "position " in output


async def test_a_question_is_asked_as_of_a_position_or_a_time(running: RunningSwitchboard, acme: Account) -> None:
    words = ("query", "--json", acme.name, "Usage", "--actor", "ana", "--as-of")
    # Other accounts may have had the first positions.
    code, output = await switchboard(*words, str(acme.position), SWITCHBOARD_NATS_URL=running.nats_url)
    assert (code, json.loads(output)["position"]) == (DONE, acme.position)
    code, output = await switchboard(*words, "2026-03-03T09:00:00", SWITCHBOARD_NATS_URL=running.nats_url)
    assert code == REFUSED
    assert "2026-03-03T09:00:00+01:00" in output


async def test_a_list_is_a_table_or_stands_below_one_another(running: RunningSwitchboard, acme: Account) -> None:
    words = ("query", acme.name, "Addresses", "--actor", "ana", f"at_least:={acme.position}")
    _, wide = await switchboard(*words, SWITCHBOARD_NATS_URL=running.nats_url)
    head, row, *_ = wide.splitlines()
    assert head.split()[:2] == ["address", "display"]
    assert row.split()[0] == "bob@acme.example"
    _, narrow = await switchboard(*words, SWITCHBOARD_NATS_URL=running.nats_url, COLUMNS="60")
    assert "bob@acme.example" in narrow
    assert "…" not in narrow


async def test_a_name_that_is_nearly_right_is_suggested(running: RunningSwitchboard, acme: Account) -> None:
    code, output = await switchboard(
        "command", acme.name, "ConectTeam", "--actor", "ana", SWITCHBOARD_NATS_URL=running.nats_url
    )
    assert (code, "Did you mean ConnectTeam" in output) == (REFUSED, True)
    code, output = await switchboard("query", acme.name, "adress", SWITCHBOARD_NATS_URL=running.nats_url)
    assert (code, "Did you mean Address" in output) == (REFUSED, True)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["command", "acme", "ConnectTeam", "visibility_acknowledged=true"], "Write visibility_acknowledged:=true"),
        (["command", "acme", "ConnectTeam", "adress=a@b.example"], "adress: Did you mean address?"),
        (["query", "acme", "Resolve", "recipients=a@b.example"], "Write 'recipients:=[\"a@b.example\"]'"),
        (["query", "acme", "Addresses", "limit=3"], "Write limit:=3"),
        (["query", "acme", "Usage", "as_of=5"], "Write as_of:=5"),
    ],
)
async def test_a_field_that_cannot_be_read_is_told_as_it_should_be_typed(
    running: RunningSwitchboard, words: list[str], hint: str
) -> None:
    code, output = await switchboard(*words, "actor=ana", SWITCHBOARD_NATS_URL=running.nats_url)
    assert code == REFUSED
    assert hint in output


async def test_the_stream_is_shown_as_declared_and_its_readers(running: RunningSwitchboard) -> None:
    code, output = await switchboard("streams", SWITCHBOARD_NATS_URL=running.nats_url)
    assert code == DONE
    assert "as declared" in output
    assert "inbox_views" in output


async def test_all_readers_of_the_stream_are_shown_however_many(private_nats: RunningNats) -> None:
    client = await connect_to_nats(private_nats.url, "tests")
    js = client.jetstream()
    await js.add_stream(event_stream.EVENT_STREAM)
    configs = [
        ConsumerConfig(name=f"reader-{number}", ack_policy=AckPolicy.NONE, inactive_threshold=300)
        for number in range(260)
    ]
    await asyncio.gather(*(js.add_consumer(event_stream.EVENT_STREAM.name or "", one) for one in configs))
    await client.close()
    code, output = await switchboard("streams", "--json", SWITCHBOARD_NATS_URL=private_nats.url)
    assert (code, len(json.loads(output)["consumers"])) == (DONE, 260)


async def test_a_stream_that_is_otherwise_or_missing_is_told(private_nats: RunningNats) -> None:
    settings = {"SWITCHBOARD_NATS_URL": private_nats.url}
    code, output = await switchboard("streams", **settings)
    assert (code, "no stream" in output) == (REFUSED, True)
    client = await connect_to_nats(private_nats.url, "tests")
    await client.jetstream().add_stream(event_stream.EVENT_STREAM.evolve(max_age=600.0))
    await client.close()
    code, output = await switchboard("streams", **settings)
    assert (code, "Differs from the declaration" in output, "max_age" in output) == (REFUSED, True, True)
    code, output = await switchboard("streams", "--json", **settings)
    assert json.loads(output)["drift"]["max_age"][1] == 600.0
    code, output = await switchboard("streams", "--delete", "--yes", "--json", **settings)
    assert (code, json.loads(output)) == (DONE, {"deleted": True})
    code, output = await switchboard("streams", "--delete", "--yes", **settings)
    assert (code, "no stream" in output) == (REFUSED, True)
    code, output = await switchboard("streams", "--json", **settings)
    assert (code, json.loads(output.rpartition("}")[0] + "}").keys()) == (REFUSED, {"refused"})
    code, output = await switchboard("streams", "--url", f"nats://127.0.0.1:{free_port()}")
    assert (code, "Is Switchboard running" in output) == (NO_ANSWER, True)


async def test_settings_are_shown_without_their_secrets() -> None:
    url = "postgresql://sw:hush@db/x?password=hush&sslmode=prefer"
    secret = {"SWITCHBOARD_POSTGRES_URL": url, "SWITCHBOARD_HTTP_PORT": "0"}
    code, output = await switchboard("config", "show", **secret)
    assert code == DONE
    assert "hush" not in output
    code, output = await switchboard("config", "show", "--json", **secret)
    found = {row["setting"]: row for row in json.loads(output)}
    assert found["SWITCHBOARD_POSTGRES_URL"]["value"] == "postgresql://sw:***@db/x?password=***&sslmode=prefer"
    assert (found["SWITCHBOARD_HTTP_PORT"]["value"], found["SWITCHBOARD_HTTP_PORT"]["from"]) == (0, "environment")
    assert all(row["meaning"] for row in found.values())


async def test_what_looks_like_a_setting_and_is_none_is_told() -> None:
    _, output = await switchboard("config", "show", SWITCHBOARD_NATS_PROT="4333")
    assert "SWITCHBOARD_NATS_PROT is set, but is not a setting; did you mean SWITCHBOARD_NATS_PORT?" in output


async def test_names_and_fields_are_completed() -> None:
    async def completed(*words: str) -> list[str]:
        line = " ".join(("switchboard", *words))
        settings = {"_SWITCHBOARD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        _, output = await switchboard(**settings)
        return output.split()

    assert await completed("command", "acme", "Connect") == ["ConnectPersonal", "ConnectTeam"]
    assert await completed("query", "acme", "Ad") == ["Address", "Addresses"]
    assert "inbox=" in await completed("command", "acme", "ConnectTeam", "address=a", "i")


async def test_ctrl_c_pressed_again_and_again_ends_with_its_exit_code() -> None:
    """The later ones come while the loop is closed and while Python shuts down."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "from services.ops.cli import main; print('begun', flush=True); main()",
        "query", "acme", "Inboxes", "actor=ana", "--url", f"nats://127.0.0.1:{free_port()}",
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    # It tries for three seconds to reach a NATS that is not there.
    await asyncio.sleep(1)
    while process.returncode is None:
        # `send_signal` would collect the exit code of a process that has just ended, and asyncio would not learn it.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGINT)
        await asyncio.sleep(0.05)
    assert (process.returncode, b"Traceback" in await process.stdout.read()) == (130, False)
