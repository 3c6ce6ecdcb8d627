"""Each verb of `switchboard audit` against a whole Switchboard: an auditor is shown what happened in a small story."""

import asyncio
import json
import re
from typing import Any, NamedTuple

import pytest

from services.ops.terminal import DONE, REFUSED
from shared.client import connect
from shared.process.clock import new_id
from tests import command_line
from tests.ops.audit.picture import FILE, LINES
from tests.ops.audit.story import AUDITOR, SUPPORT, play
from tests.real_servers import RunningSwitchboard


class Audited(NamedTuple):
    """An account whose story is over, as an auditor asks about it."""

    account: str
    url: str
    first: int

    async def ask(self, verb: str, *words: str, actor: str = AUDITOR, width: int = 120) -> str:
        """The output, without the line breaks of wrapped cells."""
        code, output = await self.tried(verb, *words, "--actor", actor, width=width)
        assert code == DONE, output
        return " ".join(output.split())

    async def items(self, verb: str, *words: str) -> list[dict[str, Any]]:
        _, output = await self.tried(verb, *words, "--actor", AUDITOR, "--json")
        return [json.loads(line) for line in output.splitlines()]

    async def tried(self, verb: str, *words: str, width: int = 120) -> tuple[int, str]:
        environment = {"SWITCHBOARD_NATS_URL": self.url, "COLUMNS": str(width)}
        ended = await command_line.run("audit", verb, self.account, *words, environment=environment, merged=True)
        return ended.code, ended.output


@pytest.fixture
async def audited(running: RunningSwitchboard) -> Audited:
    name = f"audit-{new_id()[-12:]}"
    async with connect(running.nats_url) as switchboard:
        account = switchboard.account(name, "service:tests")
        await play(account)
    first = Audited(name, running.nats_url, 0)
    (registered, *_) = await first.items("timeline", "--limit", "1")
    return first._replace(first=registered["position"])


async def test_a_timeline_is_the_story_of_an_address(audited: Audited) -> None:
    for width in (80, 120):
        text = await audited.ask("timeline", "--address", SUPPORT, width=width)
        sentences = [
            f"ana connected {SUPPORT} to the inbox support.",
            f"cleo tried to connect {SUPPORT} as their own personal address; refused:",
            "✗ Refused ADDRESS_ALREADY_TEAM",
            f"ana set the From name of {SUPPORT} to “Acme Support”.",
            "3 in all",
        ]
        assert [text.find(one) for one in sentences] == sorted(text.index(one) for one in sentences)


async def test_a_command_is_traced_by_its_id_and_by_that_of_its_event(audited: Audited) -> None:
    connected, refused, _ = await audited.items("timeline", "--address", SUPPORT)
    async with asyncio.timeout(20):
        # A view that is busy may leave its time open.
        while "not known" in (text := await audited.ask("trace", "--command-id", connected["command_id"])):
            await asyncio.sleep(0.05)
    assert '"visibility_acknowledged": true' in text
    assert [word for word in ("published", "inbox_views", "routing") if word not in text] == []
    assert await audited.ask("trace", "--event-id", connected["event"]["id"]) == text
    text = await audited.ask("trace", "--command-id", refused["command_id"])
    assert "ConnectPersonal refused" in text


async def test_refusals_are_counted_and_tried_again_today(audited: Audited) -> None:
    text = await audited.ask("refusals", "--address", SUPPORT, "--today")
    assert "ADDRESS_ALREADY_TEAM ConnectPersonal 1 20" in text
    assert "Today: refused ADDRESS_ALREADY_TEAM" in text


async def test_access_is_who_could_read_and_send_and_until_when(audited: Audited) -> None:
    text = await audited.ask("access", "--address", SUPPORT, "--from", str(audited.first), width=200)
    assert "bob read and send member of the inbox support" in text
    assert "UserDeactivated by ana" in text
    present = await audited.ask("access", "--address", SUPPORT, width=80)
    assert ("bob" in present, "cleo read and send: member of the inbox support" in present) == (False, True)
    text = await audited.ask("access-of", "--user", "bob", "--from", f"{audited.first:,}", width=80)
    assert f"{SUPPORT} read and send: member of the inbox support" in text


async def test_changes_bisect_and_leavers_find_the_same_event(audited: Audited) -> None:
    text = await audited.ask("changes", "--from", str(audited.first), "--user", "bob")
    assert "ana deactivated the user bob." in text
    text = await audited.ask("bisect", "User", "user=bob", "--path", "/status", "--value", "deactivated")
    assert "ana deactivated the user bob. before active after deactivated" in text
    assert "UserDeactivated by ana" in await audited.ask("leavers")


async def test_everything_about_a_person_includes_who_asked_about_them(audited: Audited) -> None:
    await audited.ask("timeline", "--user", "bob")
    text = await audited.ask("about", "--user", "bob", actor="ana")
    assert "ana deactivated the user bob." in text
    assert f"{AUDITOR} as of position" in text


def test_the_picture_shows_both_verbs_and_fetches_nothing() -> None:
    svg = FILE.read_text().replace("&#160;", " ")
    for text in ("ADDRESS_ALREADY_TEAM", "member of the inbox support", "UserDeactivated by ana", *LINES):
        assert text in svg
    assert not re.search(r"(?:url\(|href=|src:)\s*['\"]?https?:", svg)


async def test_coverage_is_complete_when_nothing_waits(audited: Audited) -> None:
    text = await audited.ask("coverage")
    assert "history complete" in text
    assert "index complete" in text


async def test_others_than_auditors_and_super_admins_are_refused(audited: Audited) -> None:
    code, output = await audited.tried("timeline", "--actor", "cleo")
    assert (code, "--actor service:audit.NAME" in " ".join(output.split())) == (REFUSED, True), output


@pytest.mark.parametrize(
    ("words", "error", "advice"),
    [
        (("access", "--address", SUPPORT, "--at", "2026-03-03T09:15:00"), "QUERY_INVALID", "2026-03-03T09:00:00+01:00"),
        (("access", "--address", SUPPORT, "--at", "2001-03-03T09:15:00Z"), "AS_OF_TOO_EARLY", "position 1"),
        (("access", "--address", SUPPORT, "--at", "999999999"), "AS_OF_TOO_LATE", "Give --at a moment between"),
        (("timeline", "--team", "nowhere"), "TEAM_NOT_FOUND", "nowhere"),
        (("timeline", "--user", "bob", "--team", "x"), "QUERY_INVALID", "give at most one of --address, --inbox"),
        (("trace",), "QUERY_INVALID", "give one of --command-id, --correlation-id and --event-id"),
    ],
)
async def test_a_question_without_an_answer_says_why(
    words: tuple[str, ...], error: str, advice: str, audited: Audited
) -> None:
    code, output = await audited.tried(*words)
    shown = " ".join(output.split())
    assert (code, error in shown, advice in shown, "details." in shown) == (REFUSED, True, True, False), output
