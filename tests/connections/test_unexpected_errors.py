"""A command at which our code fails is answered so, alone; asked again once the fault is mended, it is decided."""

import asyncio
import json
from typing import Any, Final

import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from services.connections import decider, parsing
from services.connections.app import connections
from shared.core.address import CanonicalAddress, canonical
from shared.language import commands as c
from shared.language import subjects
from shared.language.reasons import Reason
from shared.process import unexpected_errors
from shared.process.clock import new_id
from shared.process.unexpected_errors import UnexpectedErrors
from tests.connections.conftest import OpenDecider, Store, settle, verbatim
from tests.connections.given_when_then import ACCOUNT, BOB, COMPANY, read
from tests.connections.test_writer import at_work
from tests.inbox_views.stories import eventually, is_ready, on_bus, service_open
from tests.real_servers import RunningNats

STUMBLING: Final = "stumble@acme.example"
INTERNAL_ERROR: Final = ("500", "INTERNAL_ERROR")


@pytest.fixture
def company(open_decider: OpenDecider, database: str) -> str:
    """The URL of a database with the company in it."""
    assert {answer.kind for answer in settle(open_decider(), *map(read, COMPANY))} == {"accepted"}
    return database


@pytest.fixture(autouse=True)
def errors(monkeypatch: pytest.MonkeyPatch) -> UnexpectedErrors:
    made = UnexpectedErrors()
    monkeypatch.setattr(unexpected_errors, "record", made.record)
    return made


def connect(address: str = STUMBLING) -> c.ConnectPersonal:
    return c.ConnectPersonal(actor=BOB, address=address, owner=BOB)


async def asked(client: Client, command: c.Command, **more: Any) -> tuple[Any, dict[str, Any]]:
    body = json.dumps(command.model_dump(mode="json", exclude_none=True) | more).encode()
    reply = await client.request(subjects.command(ACCOUNT, type(command).__name__), body, timeout=10)
    headers = reply.headers or {}
    error = headers.get("Nats-Service-Error-Code"), headers.get("Nats-Service-Error")
    return error if error[0] else None, json.loads(reply.data)


def canonical_of_another_idna(address: str) -> CanonicalAddress:
    """As with idna 3.18, whose errors have no code."""
    if address == STUMBLING:
        raise AttributeError("'InvalidCodepoint' object has no attribute 'code'")
    return canonical(address)


def stumbling_decide(command: c.Command, context: Any) -> Any:
    if isinstance(command, c.ConnectPersonal) and command.address == STUMBLING:
        raise KeyError(STUMBLING)
    return _decide(command, context)


_decide: Final = decider.decide


@pytest.mark.parametrize("step", ["reading", "deciding"])
async def test_a_command_at_which_reading_or_deciding_fails_is_answered_and_recorded(
    company: str, nats: RunningNats, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    given, free = new_id(), new_id()
    async with service_open("connections", connections, nats.url, company) as service, on_bus(nats.url) as bus:
        await eventually(lambda: is_ready(service))
        with monkeypatch.context() as fault, capture_logs() as logs:
            if step == "reading":
                fault.setattr(parsing, "canonical", canonical_of_another_idna)
            else:
                fault.setattr(decider, "decide", stumbling_decide)
            for _ in range(2):
                error, reply = await asked(bus.client, connect(), command_id=given)
                assert error == INTERNAL_ERROR
                assert (reply["outcome"], reply["reason"], reply["command_id"]) == ("refused", "INTERNAL_ERROR", given)
            error, reply = await asked(bus.client, connect(), dry_run=True)
            assert (error, reply["dry_run"]) == (INTERNAL_ERROR, True)
            assert (await asked(bus.client, connect("bob@acme.example"), command_id=free))[1]["outcome"] == "accepted"
            assert await is_ready(service)
        (line,) = [line for line in logs if line["event"] == "error.unexpected"]
        assert (line["step"], line["account"], line["command"]) == (step, ACCOUNT, "ConnectPersonal")
        assert line.get("command_id") == (given if step == "deciding" else None)
        assert "Traceback" in line["exception"]
        assert STUMBLING not in line["exception"]
        assert (await asked(bus.client, connect(), command_id=given))[1]["outcome"] == "accepted"
    recorded = Store(company).rows(
        f"SELECT kept, outcome, reason FROM connections.journal WHERE command_id = '{given}' ORDER BY recorded_at"
    )
    failed = (False, "refused", "INTERNAL_ERROR")
    assert recorded == [failed, failed, (True, "accepted", None)]


async def test_a_command_that_was_decided_before_gets_its_answer_although_deciding_fails_now(
    company: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command_id = new_id()
    async with at_work(company) as caller:
        before = await caller.ask(connect(), command_id)
        monkeypatch.setattr(decider, "decide", stumbling_decide)
        with capture_logs():
            again = await caller.ask(connect(), command_id)
            other = await caller.ask(connect(), new_id())
    assert before.kind == "accepted"
    assert verbatim([again]) == verbatim([before])
    assert other.reason == Reason.INTERNAL_ERROR


async def test_one_command_of_a_group_at_which_deciding_fails_fails_alone(
    company: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decider, "decide", stumbling_decide)
    async with at_work(company) as caller:
        with capture_logs():
            addresses = [STUMBLING, *(f"b{number}@acme.example" for number in range(50)), STUMBLING]
            answers = await asyncio.gather(*(caller.ask(connect(address), new_id()) for address in addresses))
    told = [answer.reason or answer.kind for answer in answers]
    assert told == [Reason.INTERNAL_ERROR, *["accepted"] * 50, Reason.INTERNAL_ERROR]
