"""Recovered is who stays well: a look between two failures is not enough, and waiting to be sure is not counted."""

import asyncio
import time

from tests.faults.nemeses.target import GOOD_LOOKS, Signal, Watch


def good(signal: Signal, looks: int) -> None:
    for _ in range(looks):
        signal.seen(holds=True, asked_ns=time.monotonic_ns())


async def test_a_recovery_that_breaks_off_is_none_and_the_lasting_one_counts_from_its_first_look() -> None:
    watch, over = Watch(), time.monotonic_ns()
    steady = (watch.ready, watch.told)
    waiting = asyncio.create_task(watch.well_again(over))
    # It reads the clock first.
    await asyncio.sleep(0.02)
    for signal in steady:
        good(signal, GOOD_LOOKS)
    good(watch.answered, GOOD_LOOKS - 1)
    watch.answered.seen(holds=False, asked_ns=time.monotonic_ns())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    good(watch.answered, 1)
    first = (time.monotonic_ns() - over) / 1e9
    await asyncio.sleep(0.1)
    assert not waiting.done()
    good(watch.answered, GOOD_LOOKS - 1)
    ready, answered, told = await waiting
    assert ready < 0.1
    assert told < 0.1
    assert 0.1 <= answered <= first + 0.001


async def test_a_look_that_was_held_up_begins_the_recovery_anew() -> None:
    signal, now = Signal(), time.monotonic_ns()
    good(signal, GOOD_LOOKS - 1)
    began = signal.since_ns
    signal.seen(holds=True, asked_ns=time.monotonic_ns(), held_up=True)
    assert not signal.for_good(now)
    assert signal.since_ns > began
    good(signal, GOOD_LOOKS - 1)
    assert signal.for_good(now)


def test_looks_that_began_before_do_not_count() -> None:
    signal = Signal()
    good(signal, GOOD_LOOKS)
    now = time.monotonic_ns()
    good(signal, GOOD_LOOKS - 1)
    assert not signal.for_good(now)
    good(signal, 1)
    assert signal.for_good(now)
