"""What answers at once and stores nothing: the most that a service over NATS in Python can do, as a process.

By default a FastStream subscriber with one pydantic model, as FastStream's documents have it. With `--plain` a bare
nats-py subscription that sends the same bytes back: the round trip alone.
"""

import argparse
import asyncio
import os
from typing import Final
from uuid import UUID

import nats
import uvloop
from faststream import FastStream
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from pydantic import BaseModel

SUBJECT: Final = "bench.echo.ConnectPersonal"
PLAIN: Final = "bench.plain.ConnectPersonal"


class ConnectPersonal(BaseModel):
    command_id: UUID
    actor: str
    address: str
    owner: str


class Reply(BaseModel):
    outcome: str
    command_id: UUID


async def echo(url: str) -> None:
    broker = NatsBroker(url, logger=None)

    @broker.subscriber(SUBJECT, queue="echo")
    async def on_connect(command: ConnectPersonal) -> Reply:
        return Reply(outcome="accepted", command_id=command.command_id)

    await FastStream(broker, logger=None).run()


async def plain(url: str) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b'{"outcome":"accepted"}')

    client = await nats.connect(url)
    await client.subscribe(PLAIN, queue="plain", cb=answer)
    await asyncio.Event().wait()


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--plain", action="store_true")
    serve = plain if parse.parse_args().plain else echo
    uvloop.run(serve(os.environ["SWITCHBOARD_NATS_URL"]))


if __name__ == "__main__":
    main()
