"""NATS dies, forgets everything, is put back to an old state; what passes to and from a view is swallowed or mixed."""

import asyncio
import re
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from tests.faults.nemeses.bus_proxy import BusProxy
from tests.faults.nemeses.processes import part, struck
from tests.faults.nemeses.target import Fired, Nemesis, Target, bus, last_sequence, the_stream_grows, until
from tests.journeys.wire import STREAM, Wire

RESTORED: Final = re.compile(r"Restored ([0-9,]+) messages for stream '\$G > " + STREAM)
MADE_AGAIN_SECONDS: Final = 60.0
# While acknowledgements are swallowed, NATS waits so long for one of this view.
ACK_WAIT_SECONDS: Final = 1.0
GIVEN_AGAIN_SECONDS: Final = 30.0
VIEW: Final = "routing"
CONSUMER: Final = "routing"


def store(target: Target) -> Path:
    return target.running.data_dir / "data/nats/jetstream"


async def created(wire: Wire) -> str:
    return str((await wire.client.jetstream().stream_info(STREAM)).created)


class StreamWiped(Nemesis):
    """NATS comes back and has never heard of any stream."""

    name = "JetStream is wiped"

    async def act(self, target: Target) -> Fired:
        folder = store(target)
        assert list((folder / "$G/streams" / STREAM / "msgs").iterdir())
        lost = folder.with_name(f"lost-{time.monotonic_ns()}")

        def strike(process: psutil.Process) -> None:
            folder.rename(lost)
            process.kill()

        async with bus(target) as wire:
            before, ended = await created(wire), await last_sequence(wire)
            over = await asyncio.to_thread(struck, target.running, "nats", strike, -signal.SIGKILL)
            await _made_again(wire, before, ended)
        shutil.rmtree(lost)
        return Fired(f"a stream of {ended} messages was lost, and told again", over, {"wipes": 1, "kill -9": 1})


async def _made_again(wire: Wire, before: str, ended: int) -> None:
    async with asyncio.timeout(MADE_AGAIN_SECONDS):
        await wire.stream_is_there()
        assert await created(wire) != before
        while await last_sequence(wire) < ended:
            await asyncio.sleep(0.02)


class OldCopyPutBack(Nemesis):
    """As from a backup: NATS comes back with a stream that ends where it ended a while ago."""

    name = "an old copy of JetStream is put back"

    async def act(self, target: Target) -> Fired:
        folder = store(target)
        copy, lost = folder.with_name(f"copy-{time.monotonic_ns()}"), folder.with_name(f"lost-{time.monotonic_ns()}")
        async with bus(target) as wire:
            await asyncio.to_thread(_copied, part(target.running, "nats"), folder, copy)
            old = await last_sequence(wire)
            await the_stream_grows(wire, 50 + target.chance.randrange(50))
            ended, told = await last_sequence(wire), len(RESTORED.findall(target.log("nats")))

            def strike(process: psutil.Process) -> None:
                folder.rename(lost)
                copy.rename(folder)
                process.kill()

            over = await asyncio.to_thread(struck, target.running, "nats", strike, -signal.SIGKILL)
            await until(lambda: len(RESTORED.findall(target.log("nats"))) > told, 20, "NATS to restore the stream")
        restored = int(RESTORED.findall(target.log("nats"))[-1].replace(",", ""))
        assert restored <= old < ended, f"restored {restored} messages of {ended}, {old} at the time of the copy"
        shutil.rmtree(lost)
        return Fired(
            f"the stream ended at {restored} again, and had ended at {ended}", over, {"old copies": 1, "kill -9": 1}
        )


def _copied(process: psutil.Process, folder: Path, copy: Path) -> None:
    """A copy of one moment: the server stands still meanwhile."""
    process.suspend()
    try:
        shutil.copytree(folder, copy)
    finally:
        process.resume()


# ---- on the way to a view


class AcksSwallowed(Nemesis):
    """Nothing that a view acknowledges arrives, until NATS gives it again what it had; and one view is killed then.

    The next acknowledgement that arrives makes up for all before it, so that nothing would come of this within the time
    that NATS usually waits: it is told to wait for less, until the killed view makes its consumer again.
    """

    name = "acknowledgements are swallowed"

    def __init__(self, acks: int = 20) -> None:
        self._acks = acks

    async def act(self, target: Target) -> Fired:
        proxy = _proxy(target)
        before = proxy.acks
        async with bus(target) as wire:
            proxy.swallows = True
            try:
                await until(lambda: proxy.acks - before >= self._acks, 60, f"{self._acks} acknowledgements")
                again = await _given_again(wire)
                await asyncio.to_thread(struck, target.running, VIEW, psutil.Process.kill, -signal.SIGKILL)
            finally:
                proxy.swallows = False
            over, swallowed = time.monotonic_ns(), proxy.acks - before
            await _consumer_made_again(wire)
        told = f"{swallowed} were swallowed, {again} messages given again, {VIEW} killed"
        return Fired(told, over, {"acks swallowed": swallowed, "given again": again, "kill -9": 1})


async def _given_again(wire: Wire) -> int:
    """How many messages NATS has given to the view again, as soon as there are any."""
    stream = wire.client.jetstream()
    config = (await stream.consumer_info(STREAM, CONSUMER)).config
    await stream.add_consumer(STREAM, replace(config, ack_wait=ACK_WAIT_SECONDS))
    async with asyncio.timeout(GIVEN_AGAIN_SECONDS):
        while not (again := int((await stream.consumer_info(STREAM, CONSUMER)).num_redelivered or 0)):
            await asyncio.sleep(0.02)
    return again


async def _consumer_made_again(wire: Wire) -> None:
    """As the view itself wants it."""
    stream = wire.client.jetstream()
    async with asyncio.timeout(MADE_AGAIN_SECONDS):
        while await _waits_less(stream):
            await asyncio.sleep(0.02)


async def _waits_less(stream: JetStreamContext) -> bool:
    try:
        return bool((await stream.consumer_info(STREAM, CONSUMER)).config.ack_wait == ACK_WAIT_SECONDS)
    except NotFoundError:  # it is being made
        return True


class EventsMixed(Nemesis):
    """Every third event comes to a view twice, or after the one that follows it."""

    name = "events are doubled and swapped"

    def __init__(self, events: int = 20) -> None:
        self._events = events

    async def act(self, target: Target) -> Fired:
        proxy = _proxy(target)
        doubled, swapped, proxy.tampering = proxy.doubled, proxy.swapped, 0.3
        try:
            await until(
                lambda: proxy.doubled - doubled >= self._events and proxy.swapped - swapped >= self._events, 60,
                f"{self._events} of each",
            )  # fmt: skip
        finally:
            proxy.tampering = 0.0
        over, counts = time.monotonic_ns(), (proxy.doubled - doubled, proxy.swapped - swapped)
        return Fired(
            f"{counts[0]} came twice, {counts[1]} out of order",
            over,
            dict(zip(("doubled", "swapped"), counts, strict=True)),
        )


def _proxy(target: Target) -> BusProxy:
    assert target.bus_proxy is not None, "this Switchboard reaches NATS without a proxy"
    return target.bus_proxy
