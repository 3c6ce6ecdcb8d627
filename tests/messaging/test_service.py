"""A service waits for NATS, says whether it is ready, answers what it took, and ends with a code that tells why."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest
from nats.aio.client import Client
from nats.errors import NoRespondersError

from shared.language import subjects
from tests.messaging.echo_service import SUBJECT
from tests.real_servers import ROOT, RunningNats, free_port, wait_until

ECHO = Path(__file__).with_name("echo_service.py")


class RunningEcho:
    """The echo service as a process."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._log = folder / "echo.log"
        self.http_port = free_port()
        settings = {
            "PYTHONPATH": str(ROOT),
            "SWITCHBOARD_HTTP_PORT": str(self.http_port),
            "SWITCHBOARD_POSTGRES_URL": "postgresql://nowhere",
        }
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, ECHO, "echo"],
                env={**os.environ, **settings, **environment},
                stdout=output,
                stderr=output,
            )

    def output(self) -> str:
        return self._log.read_text()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def echo(private_nats: RunningNats, folder: Path) -> Iterator[RunningEcho]:
    made = RunningEcho({"SWITCHBOARD_NATS_URL": private_nats.url}, folder)
    yield made
    made.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    connection = await nats_py.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def health(connection: Client) -> dict[str, Any]:
    """The service's own answer, as soon as it listens."""
    while True:
        try:
            reply = await connection.request(subjects.health("echo"), timeout=5)
        except NoRespondersError:
            await asyncio.sleep(0.02)
        else:
            answer: dict[str, Any] = json.loads(reply.data)
            return answer


async def ready(connection: Client) -> dict[str, Any]:
    while not (answer := await health(connection))["ready"]:
        await asyncio.sleep(0.02)
    return answer


async def http_status(port: int, path: str, host: str = "127.0.0.1") -> int:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split()[1])


async def test_it_tells_its_readiness_part_by_part(private_nats: RunningNats, echo: RunningEcho) -> None:
    async with connected(private_nats.url) as connection, asyncio.timeout(20):
        assert await ready(connection) == {
            "service": "echo",
            "ready": True,
            "parts": {"process": "ok", "nats": "ok"},
        }
        assert await http_status(echo.http_port, "/health/ready") == 200


async def test_its_health_is_told_on_loopback_unless_another_address_is_set(folder: Path) -> None:
    nowhere = {"SWITCHBOARD_NATS_URL": f"nats://127.0.0.1:{free_port()}"}
    usual, told = "127.0.0.1", "127.0.0.2"
    for settings, host, other in ((nowhere, usual, told), ({**nowhere, "SWITCHBOARD_HTTP_HOST": told}, told, usual)):
        echo = RunningEcho(settings, folder)
        try:
            wait_until(lambda echo=echo: "nats.trouble" in echo.output(), what="the first attempt")  # type: ignore[misc]
            assert await http_status(echo.http_port, "/health/live", host) == 200
            with pytest.raises(ConnectionRefusedError):
                await http_status(echo.http_port, "/health/live", other)
        finally:
            echo.close()


async def test_every_request_it_took_is_answered_before_it_ends(private_nats: RunningNats, echo: RunningEcho) -> None:
    async with connected(private_nats.url) as connection, asyncio.timeout(20):
        await ready(connection)
        asked = [asyncio.create_task(connection.request(SUBJECT, b"%d" % n, timeout=15)) for n in range(50)]
        await asked[0]
        echo.process.terminate()
        answers = [json.loads(reply.data)["echo"] for reply in await asyncio.gather(*asked)]
        assert answers == list(range(50))
        assert await asyncio.to_thread(echo.process.wait, 20) == 0


async def test_it_waits_for_a_nats_that_comes_later(private_nats: RunningNats, folder: Path) -> None:
    private_nats.stop()
    echo = RunningEcho({"SWITCHBOARD_NATS_URL": private_nats.url}, folder)
    try:
        wait_until(lambda: "nats.trouble" in echo.output(), what="the first attempt")
        assert await http_status(echo.http_port, "/health/live") == 200
        assert await http_status(echo.http_port, "/health/ready") == 503
        private_nats.start()
        async with connected(private_nats.url) as connection, asyncio.timeout(20):
            await ready(connection)
    finally:
        echo.close()


async def test_it_serves_on_after_nats_was_killed(private_nats: RunningNats, echo: RunningEcho) -> None:
    async with connected(private_nats.url) as connection, asyncio.timeout(20):
        await ready(connection)
    private_nats.kill()
    wait_until(lambda: "nats.lost" in echo.output(), what="the loss to be noticed")
    private_nats.start()
    async with connected(private_nats.url) as connection, asyncio.timeout(20):
        await ready(connection)
        assert json.loads((await connection.request(SUBJECT, b"1")).data)["pid"] == echo.process.pid


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_can_be_stopped_while_nats_is_away(number: int, private_nats: RunningNats, echo: RunningEcho) -> None:
    async with connected(private_nats.url) as connection, asyncio.timeout(20):
        await ready(connection)
    private_nats.kill()
    wait_until(lambda: "nats.lost" in echo.output(), what="the loss to be noticed")
    echo.process.send_signal(number)
    assert echo.process.wait(20) == 0


def test_it_can_be_stopped_while_it_waits_for_nats(folder: Path) -> None:
    echo = RunningEcho({"SWITCHBOARD_NATS_URL": f"nats://127.0.0.1:{free_port()}"}, folder)
    wait_until(lambda: "nats.trouble" in echo.output(), what="the first attempt")
    echo.process.terminate()
    assert echo.process.wait(20) == 0


async def test_a_task_that_nothing_ends_does_not_keep_it(private_nats: RunningNats, echo: RunningEcho) -> None:
    async with connected(private_nats.url) as connection, asyncio.timeout(40):
        await ready(connection)
        await connection.request(SUBJECT, b'"cling"', timeout=10)
        echo.process.terminate()
        assert await asyncio.to_thread(echo.process.wait, 30) == 0
    assert "service.left_hard" in echo.output()


async def test_a_failure_of_its_own_tasks_ends_it_with_a_code(private_nats: RunningNats, echo: RunningEcho) -> None:
    async with connected(private_nats.url) as connection, asyncio.timeout(20):
        await ready(connection)
        await connection.publish(SUBJECT, b'"crash"')
        await connection.flush()
        assert await asyncio.to_thread(echo.process.wait, 20) == 1
    assert "asked to crash" in echo.output()


def test_without_urls_it_says_what_is_missing(folder: Path) -> None:
    echo = RunningEcho({"SWITCHBOARD_NATS_URL": "", "SWITCHBOARD_POSTGRES_URL": ""}, folder)
    assert echo.process.wait(20) == 2
    assert "SWITCHBOARD_NATS_URL and SWITCHBOARD_POSTGRES_URL" in echo.output()
