"""An error that nobody expected: counted each time, logged once per kind, and nothing of what it says gets out."""

import asyncio
from typing import Any

import pytest
from nats.aio.msg import Msg
from structlog.testing import capture_logs

from shared.messaging.endpoint import Endpoint, Reply, Request
from shared.process import unexpected_errors
from shared.process.metrics import page
from shared.process.unexpected_errors import UnexpectedErrors, traceback_of
from tests.inbox_views.stories import on_bus
from tests.metrics_page import Page
from tests.real_servers import RunningNats


def fail(by: type[Exception], about: str) -> Exception:
    try:
        raise by(about)
    except by as error:
        return error


async def test_each_kind_is_logged_once_and_every_error_counted() -> None:
    errors = UnexpectedErrors()
    with capture_logs() as logs:
        for number in range(3):
            for by in (KeyError, ValueError):
                errors.record(fail(by, f"bob{number}@acme.example"), "deciding", command="SetFromName")
        errors.record(fail(KeyError, "x"), "answering")
    assert [(line["step"], line["error"]) for line in logs] == [
        ("deciding", "KeyError"), ("deciding", "ValueError"), ("answering", "KeyError"),
    ]  # fmt: skip
    assert logs[0]["command"] == "SetFromName"
    found = Page((await page("connections", [errors.collect_metrics])).decode())
    counted = {
        step: found.value("switchboard_unexpected_errors_total", step=step)
        for step in ("reading", "deciding", "answering")
    }
    assert counted == {"reading": 0, "deciding": 6, "answering": 1}


def test_a_traceback_has_places_and_causes_and_nothing_that_an_error_says() -> None:
    def read(name: str) -> None:
        try:
            raise KeyError(name)
        except KeyError as error:
            raise ValueError(f"no {name}") from error

    name = "Bob Baker".replace(" ", "-")
    with pytest.raises(ValueError, match=f"no {name}") as caught:
        read(name)
    told = traceback_of(caught.value)
    assert told.index("KeyError") < told.index("ValueError")
    assert told.count(__file__) >= 2
    assert name not in told


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> UnexpectedErrors:
    """Those that are recorded during the test."""
    made = UnexpectedErrors()
    monkeypatch.setattr(unexpected_errors, "record", made.record)
    return made


@pytest.mark.parametrize("broken", ["handle", "refuse"])
async def test_a_request_at_which_an_endpoint_fails_is_answered_and_so_are_those_after_it(
    nats: RunningNats, errors: UnexpectedErrors, broken: str
) -> None:
    def stumble(data: bytes) -> None:
        if data == b"stumble":
            raise AttributeError("codepoint")

    def handle(request: Request) -> bool:
        stumble(request.data if broken == "handle" else b"")
        answering.append(asyncio.create_task(endpoint.reply([Reply(request, b"well")])))
        return True

    def refuse(_subject: bytes, data: bytes) -> None:
        stumble(data if broken == "refuse" else b"")

    def told(message: Msg) -> tuple[Any, bytes]:
        return (message.headers or {}).get("Nats-Service-Error"), message.data

    answering: list[asyncio.Task[None]] = []
    endpoint = Endpoint("t", f"unexpected.{broken}", "q", handle, refuse, lambda data: b"failed at " + data)
    async with on_bus(nats.url) as bus:
        await endpoint.open(bus.client)
        with capture_logs():
            replies = [
                await bus.client.request(endpoint.subject, data, timeout=5) for data in (b"stumble", b"go", b"stumble")
            ]
        await asyncio.gather(*answering)
        await endpoint.drain()
    failed = ("INTERNAL_ERROR", b"failed at stumble")
    assert [told(reply) for reply in replies] == [failed, (None, b"well"), failed]
    stats = endpoint.stats()
    assert (stats["num_requests"], stats["num_errors"], stats["last_error"]) == (3, 2, "500:INTERNAL_ERROR")
    assert stats["data"] == {"busy": 0}
