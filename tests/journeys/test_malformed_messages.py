"""What no client library would send: a few bytes on a socket never make a service deaf."""

import asyncio
from urllib.parse import urlsplit

import pytest

from tests.journeys.wire import Account
from tests.real_servers import RunningSwitchboard

NOT_UTF8 = (
    b"switchboard.command.v1.\xff\xfe.X",
    b"switchboard.query.v1.\xff.Address",
    b"switchboard.event.v1.\xff.a.B",
)
ANY = (b"switchboard.command.v1.a.X", b"switchboard.query.v1.a.X", b"switchboard.query.v1.a.Resolve")
# What NATS takes for a subject and others for a blank, and a place for the reply that grows when it is made readable.
ODD = (b"\x0b", b"\x0c", b"\xff" * 1_500)
MESSAGES = [
    *(b"PUB switchboard.%s.v1.a%s.X 2\r\n{}\r\n" % (kind, odd) for kind in (b"command", b"query") for odd in ODD),
    *(b"PUB switchboard.%s.v1.a.X r%s 2\r\n{}\r\n" % (kind, odd) for kind in (b"command", b"query") for odd in ODD),
    *(b"PUB %s 2\r\n{}\r\n" % subject for subject in NOT_UTF8),
    # Headers without their first line.
    *(b"HPUB %s answer.nobody 6 8\r\nXX\r\n\r\n{}\r\n" % subject for subject in (*ANY, b"switchboard.event.v1.a.b.C")),
]


async def say(url: str, *lines: bytes) -> None:
    """Over a plain socket; returns when the server has taken all of it."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(b'CONNECT {"verbose":false,"headers":true}\r\n' + b"".join(lines) + b"PING\r\n")
    async with asyncio.timeout(10):
        while b"PONG" not in await reader.readline():
            pass
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("message", MESSAGES)
async def test_after_a_message_that_cannot_be_read_everybody_is_served(
    running: RunningSwitchboard, account: Account, message: bytes
) -> None:
    services = {process.pid for process in running.processes()}
    for _ in range(3):
        await say(running.nats_url, message)
    await account.do("ConnectTeam", address="support@acme.example", inbox="support", visibility_acknowledged=True)
    await account.do("SetFromName", address="support@acme.example", from_name="Still here")
    assert (await account.ask("Address", address="support@acme.example")).result["from_name"] == "Still here"
    assert (await account.ask("Resolve", recipients=["support@acme.example"], sender="jo@client.example")).result
    assert services <= {process.pid for process in running.processes()}
