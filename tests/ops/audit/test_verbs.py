"""Each verb of `switchboard audit` asks one question as it was typed, page by page, and says what to do in trouble."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import nats as nats_py
import pytest
from nats.aio.msg import Msg

from services.ops.audit.request import default_actor
from services.ops.terminal import DONE, INTERRUPTED, NO_ANSWER, PIPE_CLOSED, REFUSED, USAGE
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.text import AUDITOR
from shared.wire.connection import flush_confirmed
from tests import command_line
from tests.ops.audit import answers
from tests.real_servers import ROOT, RunningNats, free_port

ZOE = "service:audit.zoe"
QUESTIONS = {question.__name__: question for question in AUDIT_RESULTS}


class Auditing:
    """In place of the audit service: it answers with the pages given, and keeps the questions."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: list[Any] = []
        self.questions: list[tuple[str, dict[str, Any]]] = []

    async def answer(self, message: Msg) -> None:
        body = json.loads(message.data)
        self.questions.append((message.subject, body))
        if not self.pages:
            return
        number = int(body.get("after", 0))
        page = self.pages[number]
        following = str(number + 1) if number + 1 < len(self.pages) else None
        if isinstance(page, list):
            page = {"position": 1_300, "result": page, "next": following}
        await message.respond(json.dumps(page).encode())

    async def ask(self, *words: str, **settings: str) -> tuple[int, str]:
        environment = {"SWITCHBOARD_NATS_URL": self.url, "COLUMNS": "80", **settings}
        ended = await command_line.run("audit", *words, environment=environment, merged=True)
        return ended.code, ended.output


@pytest.fixture
async def auditing(private_nats: RunningNats) -> AsyncIterator[Auditing]:
    here = Auditing(private_nats.url)
    connection = await nats_py.connect(private_nats.url)
    await connection.subscribe("switchboard.query.v1.*.*", cb=here.answer)
    await flush_confirmed(connection)
    yield here
    await connection.close()


@pytest.mark.parametrize(
    ("words", "question", "fields"),
    [
        (
            ("timeline", "acme", "--address", "a@b.example", "--from", "12", "--to", "2026-03-03T00:00:00Z"),
            "Timeline",
            {"address": "a@b.example", "from": 12, "to": "2026-03-03T00:00:00Z"},
        ),
        (("timeline", "acme", "--team", "x", "--given-by", "ana", "--unchanged"), "Timeline",
         {"team": "x", "given_by": "ana", "unchanged": True}),
        (("trace", "acme", "--command-id", answers.ID + "1"), "Trace", {"command_id": answers.ID + "1"}),
        (("trace", "acme", "--correlation-id", "x"), "Trace", {"correlation_id": "x"}),
        (("trace", "acme", "--event-id", answers.ID + "1"), "Trace", {"event_id": answers.ID + "1"}),
        (("refusals", "acme", "--reason", "BUSY", "--command", "AddAlias", "--today"), "Refusals",
         {"reason": "BUSY", "command": "AddAlias", "today": True}),
        (("access", "acme", "--inbox", "support", "--at", "1,204"), "Access", {"inbox": "support", "at": 1_204}),
        (("access-of", "acme", "--user", "bob", "--from", "2026-01-01 00:00:00Z"), "AccessOf",
         {"user": "bob", "from": "2026-01-01T00:00:00Z"}),
        (("changes", "acme", "--from", "1", "--to", "9", "--user", "bob"), "Changes",
         {"from": 1, "to": 9, "user": "bob"}),
        (("leavers", "acme", "--hours", "8"), "Leavers", {"hours": 8}),
        (("about", "acme", "--user", "bob"), "About", {"user": "bob"}),
    ],
)  # fmt: skip
async def test_a_list_is_asked_for_as_it_was_typed(
    words: tuple[str, ...], question: str, fields: dict[str, Any], auditing: Auditing
) -> None:
    auditing.pages = [[]]
    code, output = await auditing.ask(*words, "--actor", ZOE)
    assert (code, output) == (DONE, "nothing found, as of position 1,300\n")
    expected = {"actor": ZOE, "limit": 1_000, **fields}
    assert auditing.questions == [(f"switchboard.query.v1.acme.{question}", expected)]
    QUESTIONS[question].model_validate_json(json.dumps(expected))


@pytest.mark.parametrize(
    ("words", "question", "fields", "result"),
    [
        (("coverage",), "Coverage", {}, answers.COVERAGE),
        (
            ("bisect", "Address", "address=a@b.example", "--path", "/state", "--value", "orphaned"),
            "Bisect",
            {"question": "Address", "fields": {"address": "a@b.example"}, "path": "/state", "value": "orphaned"},
            answers.BISECT,
        ),
        (
            ("bisect", "Account", "--path", "/limits/inboxes", "--value-json", "5"),
            "Bisect",
            {"question": "Account", "fields": {}, "path": "/limits/inboxes", "value": 5},
            answers.BISECT,
        ),
        (
            ("bisect", "Address", "address=a@b.example", "--path", "/owner", "--value-json", "null"),
            "Bisect",
            {"question": "Address", "fields": {"address": "a@b.example"}, "path": "/owner"},
            answers.BISECT,
        ),
    ],
)
async def test_a_question_with_one_result_is_asked_as_it_was_typed(
    words: tuple[str, ...], question: str, fields: dict[str, Any], result: dict[str, Any], auditing: Auditing
) -> None:
    auditing.pages = [{"position": 7, "result": result}]
    verb, *rest = words
    code, output = await auditing.ask(verb, "acme", *rest, "--actor", ZOE)
    assert (code, output.splitlines()[-1]) == (DONE, "as of position 7")
    assert auditing.questions == [(f"switchboard.query.v1.acme.{question}", {"actor": ZOE, **fields})]
    QUESTIONS[question].model_validate_json(json.dumps(auditing.questions[0][1]))
    code, output = await auditing.ask(verb, "acme", *rest, "--json")
    assert (code, json.loads(output)) == (DONE, auditing.pages[0])


async def test_every_question_of_the_audit_has_a_verb(auditing: Auditing) -> None:
    _, output = await auditing.ask("--help")
    names = {word.replace("-", "").lower() for word in output.split()}
    assert {name.lower() for name in QUESTIONS} <= names


async def test_all_pages_are_shown_or_as_many_entries_as_wanted(auditing: Auditing) -> None:
    auditing.pages = [answers.TIMELINE[:2], answers.TIMELINE[2:4], answers.TIMELINE[4:]]
    code, output = await auditing.ask("timeline", "acme")
    assert (code, output.splitlines()[-1]) == (DONE, "5 in all, as of position 1,300")
    assert [body.get("after") for _, body in auditing.questions] == [None, "1", "2"]
    assert auditing.questions[0][1]["actor"] == default_actor()
    auditing.questions.clear()
    code, output = await auditing.ask("timeline", "acme", "--limit", "3")
    assert output.endswith("the first 4 (more with a larger --limit), as of position 1,300\n")
    assert [body["limit"] for _, body in auditing.questions] == [3, 1]


async def test_groups_of_refusals_are_not_counted_as_entries(auditing: Auditing) -> None:
    auditing.pages = [answers.REFUSALS]
    _, output = await auditing.ask("refusals", "acme")
    assert output.endswith("4 in all, as of position 1,300\n")


async def test_as_json_each_entry_of_a_list_is_a_line(auditing: Auditing) -> None:
    auditing.pages = [answers.TIMELINE[:2], [{**answers.REFUSED, "message": answers.HOSTILE}]]
    code, output = await auditing.ask("timeline", "acme", "--json")
    lines = [json.loads(line) for line in output.splitlines()]
    assert code == DONE
    assert lines == [*answers.TIMELINE[:2], {**answers.REFUSED, "message": answers.HOSTILE}]
    assert output.replace("\n", "").isprintable()


async def test_an_answer_that_lacks_something_says_so(auditing: Auditing) -> None:
    auditing.pages = [{"position": 9, "result": answers.ACCESS, "next": None, "incomplete_since": 4}]
    code, output = await auditing.ask("access", "acme", "--address", "support@acme.example")
    assert code == DONE
    assert "incomplete since position 4" in " ".join(output.split())


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ({"error": "PERMISSION_MISSING", "message": "bob may not ask this."}, "--actor service:audit.NAME"),
        (
            {
                "error": "QUERY_INVALID",
                "message": "The question is invalid.",
                "details": {"errors": [{"field": "from", "message": "a time needs an offset: 2026-03-03T09:15:00Z"}]},
            },
            "a time needs an offset: 2026-03-03T09:15:00Z",
        ),
        (
            {
                "error": "HISTORY_BEHIND",
                "message": "The history is at position 3 of 9.",
                "details": {"position": 3, "as_of": 7, "log_end": 9, "retry_after_ms": 500},
            },
            "or give --from a moment up to position 3",
        ),
        (
            {
                "error": "AS_OF_TOO_LATE",
                "message": "Not answered: the log ends at position 9. Ask as of a moment between details.first and …",
                "details": {
                    "first": {"position": 1, "time": "2026-03-01T00:00:00.000Z"},
                    "last": {"position": 9, "time": "2026-03-02T00:00:00.000Z"},
                },
            },
            "position 9. Give --from a moment between position 1 (2026-03-01T00:00:00.000Z) and position 9",
        ),
    ],
)
async def test_a_question_that_is_refused_says_what_to_do(
    answer: dict[str, Any], advice: str, auditing: Auditing
) -> None:
    auditing.pages = [answer]
    code, output = await auditing.ask("timeline", "acme", "--from", "2026-03-03T09:15:00")
    shown = " ".join(output.split())
    assert (code, answer["error"] in shown, advice in shown) == (REFUSED, True, True), output
    assert "details." not in shown
    code, output = await auditing.ask("timeline", "acme", "--json")
    assert (code, json.loads(output)) == (REFUSED, answer)


async def test_no_service_and_no_nats_are_told_apart(auditing: Auditing) -> None:
    code, output = await auditing.ask("timeline", "acme", "--timeout", "0.3")
    assert (code, "switchboard run audit" in output) == (NO_ANSWER, True), output
    nowhere = f"nats://127.0.0.1:{free_port()}"
    code, output = await auditing.ask("timeline", "acme", SWITCHBOARD_NATS_URL=nowhere)
    assert (code, "Is Switchboard running (`switchboard run`)" in output) == (NO_ANSWER, True), output


async def test_it_says_at_once_that_nobody_answers_and_goes_on_asking(private_nats: RunningNats) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", "audit", "timeline", "--url", private_nats.url, "acme",
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    said = (await process.stderr.readline()).decode()
    # Nobody has answered until now; the service is started then.
    auditing = Auditing(private_nats.url)
    auditing.pages = [[]]
    connection = await nats_py.connect(private_nats.url)
    await connection.subscribe("switchboard.query.v1.*.*", cb=auditing.answer)
    output, errors = await process.communicate()
    await connection.close()
    assert (process.returncode, output.decode()) == (DONE, "nothing found, as of position 1,300\n")
    said = " ".join((said + errors.decode()).split())
    assert "No reply to switchboard.query.v1.acme.Timeline yet" in said
    assert "asking again for up to 35 s. Is the audit service running (`switchboard run audit`)?" in said


@pytest.mark.parametrize("words", [(), ("--json",)])
async def test_a_reader_that_goes_away_ends_it_quietly(words: tuple[str, ...], auditing: Auditing) -> None:
    auditing.pages = [answers.TIMELINE * 200] * 5
    process = subprocess.Popen(
        (sys.executable, "-m", "services.ops.cli", "audit", "timeline", "--url", auditing.url, "acme", *words),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip

    def read_one_line() -> tuple[bytes, bytes]:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        with process.stderr:
            return first, process.stderr.read()

    first, errors = await asyncio.to_thread(read_one_line)
    assert (bool(first.strip()), errors, await asyncio.to_thread(process.wait)) == (True, b"", PIPE_CLOSED)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("timeline", "a.b"), "'a.b' cannot be part of a subject"),
        (("access-of", "acme"), "Missing option '--user'"),
        (("bisect", "acme", "Address", "address=a@b.example", "--path", "/state"), "--value TEXT or --value-json JSON"),
        (("bisect", "acme", "Account", "--path", "/x", "--value-json", "{"), "{ is not JSON"),
        (("timeline", "acme", "--limit", "0"), "greater than or equal to 1"),
        (("gossip", "acme"), "No such command 'gossip'"),
    ],
)
async def test_wrong_usage_is_not_sent(words: tuple[str, ...], message: str, auditing: Auditing) -> None:
    code, output = await auditing.ask(*words, COLUMNS="200")
    assert (code, message in output, auditing.questions) == (USAGE, True, []), output


async def test_names_are_completed() -> None:
    async def completed(*words: str) -> list[str]:
        line = " ".join(("switchboard", "audit", *words))
        settings = {"_SWITCHBOARD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) + 1)}
        return (await command_line.run(environment=settings)).output.split()

    assert await completed("acc") == ["access", "access-of"]
    assert await completed("bisect", "acme", "Ad") == ["Address", "Addresses"]
    assert "ADDRESS_ORPHANED" in await completed("refusals", "acme", "--reason", "ADDRESS_O")
    assert await completed("refusals", "acme", "--command", "ConnectT") == ["ConnectTeam"]


async def test_ctrl_c_ends_a_question_without_a_traceback(auditing: Auditing) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", "audit", "timeline", "--url", auditing.url, "acme",
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(20):
        while not auditing.questions:
            await asyncio.sleep(0.02)
    process.send_signal(signal.SIGINT)
    output = (await process.communicate())[0].decode()
    assert (process.returncode, "Traceback" in output) == (INTERRUPTED, False), output


def test_the_default_asker_is_an_auditor_called_like_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ACME\\Zoë Smith")
    assert default_actor() == f"{AUDITOR}ACME_Zo__Smith"
