"""The load generator counts what it says it counts."""

import asyncio
from collections.abc import Awaitable, Callable

import nats as nats_py
import pytest
from nats.aio.msg import Msg

from shared.wire.connection import flush_confirmed
from tests.bench.load import Load, Plan, percentile, points
from tests.real_servers import RunningNats

ACCEPTED = b'{"outcome":"accepted","position":7}'

Answer = Callable[[Msg], Awaitable[None]]


async def loaded(nats: RunningNats, plan: Plan, answer: Answer) -> Load:
    """The load, run against a service that answers so."""
    client = await nats_py.connect(nats.url)
    await client.subscribe(plan.subject, cb=answer)
    await flush_confirmed(client)
    load = Load(plan)
    await asyncio.to_thread(load.run)
    await client.close()
    return load


async def test_every_command_of_a_closed_loop_is_answered_and_no_more_are_in_flight_than_asked_for(
    nats: RunningNats,
) -> None:
    waiting: list[Msg] = []
    most = 0

    async def in_tens(message: Msg) -> None:
        nonlocal most
        waiting.append(message)
        most = max(most, len(waiting))
        if len(waiting) == 10:
            for one in waiting:
                await one.respond(ACCEPTED)
            waiting.clear()

    load = await loaded(nats, Plan(nats.url, "bench.test.closed", "ana", commands=200, in_flight=10), in_tens)
    assert most == 10
    assert min(load.latencies) > 0
    assert not load.not_accepted
    assert load.position == 7


async def test_a_stall_counts_for_every_command_that_was_due_in_it(nats: RunningNats) -> None:
    waiting: list[Msg] = []

    async def only_when_all_are_there(message: Msg) -> None:
        waiting.append(message)
        if len(waiting) == 100:
            for one in waiting:
                await one.respond(ACCEPTED)

    plan = Plan(nats.url, "bench.test.open", "ana", commands=100, rate=1_000.0)
    load = await loaded(nats, plan, only_when_all_are_there)
    # The last one was sent when it was due, 99 ms after the first, and none was answered before.
    assert all(load.latencies[number] >= (99 - number) / 1_000 for number in range(100))


async def test_what_is_not_accepted_and_what_nobody_answers_is_told(nats: RunningNats) -> None:
    async def refuse(message: Msg) -> None:
        await message.respond(
            b'{"outcome":"refused"}',
        )

    refused = await loaded(nats, Plan(nats.url, "bench.test.refused", "ana", commands=3, in_flight=2), refuse)
    assert refused.not_accepted == ['{"outcome":"refused"}'] * 3
    nobody = Load(Plan(nats.url, "bench.test.nobody", "ana", commands=1, in_flight=1))
    await asyncio.to_thread(nobody.run)
    assert nobody.not_accepted == [""]


@pytest.mark.parametrize("size", [1, 100, 70_000, 900_000])
async def test_a_reply_of_any_size_is_read_whole(nats: RunningNats, size: int) -> None:
    async def at_length(message: Msg) -> None:
        padding = "x" * size
        await message.respond(f'{{"outcome":"accepted","position":{size},"padding":"{padding}"}}'.encode())

    plan = Plan(nats.url, f"bench.test.size.{size}", "ana", commands=4, in_flight=2)
    load = await loaded(nats, plan, at_length)
    assert not load.not_accepted
    assert load.position == size


def test_percentiles_are_those_of_the_sorted_times() -> None:
    times = [number / 1_000 for number in range(1, 101)]
    assert [percentile(times, point) for point in (0, 50, 99, 100)] == [1.0, 51.0, 100.0, 100.0]


def test_percentiles_are_told_as_far_as_the_samples_tell_them_apart() -> None:
    few, many = points(100), points(100_000)
    assert few == sorted(set(few))
    assert (few[0], few[-2], few[-1]) == (0.0, 99.0, 100.0)
    assert {50.0, 90.0, 99.0, 99.9, 99.99, 100.0} - set(many) == {50.0}
