"""One follower of the event stream as a process of its own: a reader of everything, as another team would write it.

    python -m tests.faults.follower --url nats://… --out follower.jsonl

It knows the contract and nothing else: it reads in order from the first position, and keeps which one it had last. When
the bus goes away, its consumer vanishes or a message is missing on the way, it begins to read anew: a little before
where it was if the stream still bears that event there, else from the stream's start. What it hears is on record as it
comes, repeats too (`heard.py`). On SIGTERM it ends.
"""

import argparse
import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import nats
import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from tests.faults.heard import Recorder, digest
from tests.journeys.wire import STREAM

BATCH: Final = 256
FETCH_SECONDS: Final = 0.2
ASK_SECONDS: Final = 2.0
AGAIN_SECONDS: Final = 0.1
# Quiet for so long: is the consumer still there?
QUIET_SECONDS: Final = 1.0
# So many messages before the latest are read again, to hear whether they are the same.
OVERLAP: Final = 200
NAME: Final = "follower"


class Latest(NamedTuple):
    """The last new message, and where the stream had it."""

    id: str
    sequence: int


class Follower:
    """Reads until `end`; every reading that ends before is followed by another."""

    def __init__(self, client: Client, record: Recorder) -> None:
        self._client = client
        self._js: JetStreamContext = client.jetstream(timeout=ASK_SECONDS)
        self._record = record
        self._ending = asyncio.Event()
        self._latest: Latest | None = None

    def end(self) -> None:
        self._ending.set()

    async def run(self) -> None:
        while not self._ending.is_set():
            if self._client.is_connected:
                # The bus or the stream is away: that is what this is about.
                with suppress(nats.errors.Error, TimeoutError, OSError):
                    await self._read()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), AGAIN_SECONDS)
        self._record.ended()

    async def _read(self) -> None:
        """Returns when it can no longer be relied on that every message comes."""
        connection = self._client.stats["reconnects"]
        name = f"{NAME}-{time.monotonic_ns()}"
        await self._js.add_consumer(STREAM, _from(await self._start(), name))
        subscription = await self._js.pull_subscribe_bind(consumer=name, stream=STREAM)
        self._record.reading()
        last = 0
        try:
            while not self._ending.is_set() and self._client.stats["reconnects"] == connection:
                for message in await _next(subscription):
                    number = message.metadata.sequence.consumer
                    if number > last + 1:
                        return  # one was lost on its way, not in the stream
                    last = number
                    self._hear(message)
                self._record.flush()
        finally:
            self._record.flush()
            with suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    async def _start(self) -> int:
        """The sequence to read from."""
        if self._latest is None:
            return 1
        try:
            message = await self._js.get_msg(STREAM, self._latest.sequence)
        except nats.js.errors.NotFoundError:
            return 1
        if (message.headers or {}).get("ce-id") != self._latest.id:
            return 1
        return max(1, self._latest.sequence - OVERLAP)

    def _hear(self, message: Msg) -> None:
        headers = message.headers or {}
        position, id_ = headers.get("ce-position", ""), headers.get("ce-id", "")
        self._record.heard(
            int(position) if position.isdecimal() else 0, id_, digest(headers.get("ce-type", ""), _body(message.data))
        )
        self._latest = Latest(id_, message.metadata.sequence.stream)


def _from(start: int, name: str) -> ConsumerConfig:
    return ConsumerConfig(
        name=name, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=start, ack_policy=AckPolicy.NONE,
        inactive_threshold=30.0, mem_storage=True,
    )  # fmt: skip


async def _next(subscription: JetStreamContext.PullSubscription) -> Sequence[Msg]:
    """What comes next; nothing when it is quiet and the consumer is still there."""
    until = time.monotonic() + QUIET_SECONDS
    while time.monotonic() < until:
        with suppress(nats.errors.TimeoutError):
            return await subscription.fetch(BATCH, timeout=FETCH_SECONDS)
    await subscription.consumer_info()
    return ()


def _body(data: bytes) -> object:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return data


async def run(url: str, out: Path) -> None:
    """Returns after SIGTERM, with the record closed."""
    with Recorder(out) as record:
        client = await nats.connect(
            url.split(","), name=NAME, error_cb=_noticed, max_reconnect_attempts=-1, reconnect_time_wait=0.1,
            ping_interval=2, max_outstanding_pings=2,
        )  # fmt: skip
        follower = Follower(client, record)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, follower.end)
        try:
            await follower.run()
        finally:
            await client.close()


async def _noticed(_error: Exception) -> None:
    """The bus goes away: a reading ends with it."""


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--url", required=True, help="NATS; several with commas between")
    parse.add_argument("--out", required=True, type=Path, help="what it heard; must not be there yet")
    given = parse.parse_args()
    asyncio.run(run(given.url, given.out))


if __name__ == "__main__":
    main()
