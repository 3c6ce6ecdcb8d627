"""A follower hears everything once it is there, and goes on through the loss of the stream; what it hears is judged."""

import asyncio
from pathlib import Path

import pytest

from services.ops.local.children import Child
from tests.faults.campaign import follower
from tests.faults.heard import (
    Heard,
    Hearing,
    Recorder,
    as_stored,
    digest,
    latest,
    of_the_readings,
    of_what_was_heard,
    read,
)
from tests.faults.history import Answer, Command, Try
from tests.faults.verdict import Stored
from tests.journeys.wire import EVENTS, STREAM, Wire, connected
from tests.real_servers import RunningNats, wait_until

LOG = [
    Stored(n, "s", n, f"e{n}", "acme", f"c{n}", "", "FromNameChanged", {"from_name": str(n)}, "t", b"")
    for n in range(1, 6)
]
ACCEPTED = Answer(b'{"outcome":"accepted","position":5}')
LAST = Command(1, "c5", "acme", "SetFromName", "bob", {}, 1, 9, [Try(1, 9, "reply", ACCEPTED)])


def heard(*positions: int, reading: int = 1) -> list[Heard]:
    return [Heard(reading, n, f"e{n}", as_stored(LOG[n - 1]), 5) for n in positions]


def found(messages: list[Heard], ended: int | None = 10, tampered: tuple[int, ...] = ()) -> set[str]:
    wrong = of_what_was_heard(Hearing(messages, messages[-1].reading, ended), [LAST], LOG, tampered)
    return {name for name, members in wrong.items() if members}


@pytest.mark.parametrize(
    "messages",
    [
        heard(1, 2, 3, 4, 5),
        heard(1, 2, 2, 3, 1, 4, 5),  # at least once
        [*heard(1, 2, 3), *heard(1, 2, 3, 4, 5, reading=2)],  # the stream was lost
        [*heard(1, 2, 3), *heard(3, 4, 5, reading=2)],
        [*heard(1, 2, 3, 4, 5), *heard(1, 2, reading=2)],
    ],
)
def test_repeats_are_right_and_so_is_beginning_anew(messages: list[Heard]) -> None:
    assert found(messages) == set()


@pytest.mark.parametrize(
    ("messages", "names"),
    [
        (heard(1, 2, 3, 4), {"acknowledged and not heard"}),
        (heard(1, 2, 4, 5), {"acknowledged and not heard", "passed over in a reading"}),
        (heard(1, 2, 4, 3, 5), {"heard out of order", "passed over in a reading"}),
        (heard(2, 3, 4, 5), {"acknowledged and not heard", "passed over in a reading"}),
        ([*heard(1, 2), *heard(4, 5, reading=2), *heard(3, reading=3)], {"passed over in a reading"}),
        ([*heard(1, 2, 3, 4, 5), Heard(1, 6, "x", "", 5)], {"heard and never stored"}),
        ([*heard(1, 2, 3, 4, 5), Heard(1, 5, "x", "", 5)],
         {"heard and never stored", "heard in two ways", "heard otherwise than stored"}),
        ([*heard(1, 2, 3, 4), heard(5)[0]._replace(digest="x")], {"heard otherwise than stored"}),
    ],
)  # fmt: skip
def test_what_is_not_as_promised_is_named(messages: list[Heard], names: set[str]) -> None:
    assert found(messages) == names


def test_what_was_acknowledged_after_the_follower_ended_need_not_be_heard() -> None:
    assert found(heard(1, 2), ended=9) == set()


def test_what_a_nemesis_wrote_anew_may_be_heard_as_it_was_and_as_it_is() -> None:
    before = heard(3)[0]._replace(digest="x")
    told = [*heard(1, 2), before, *heard(1, 2, 3, 4, 5, reading=2)]
    assert found(told) == {"heard in two ways", "heard otherwise than stored"}
    assert found(told, tampered=(3,)) == set()


def test_what_was_heard_is_read_as_it_was_recorded(folder: Path) -> None:
    path = folder / "heard"
    assert latest(path) == 0
    with Recorder(path) as record:
        record.reading()
        record.heard(1, "a", "x")
        record.reading()
        record.heard(2, "b", "y")
        record.ended()
    path.write_bytes(path.read_bytes() + b'{"line":"hea')
    hearing = read(path)
    assert [one[:4] for one in hearing.messages] == [(1, 1, "a", "x"), (2, 2, "b", "y")]
    assert hearing.readings == 2
    assert hearing.ended is not None
    assert latest(path) == 2


# ---- the process


def until_heard(out: Path, position: int) -> None:
    wait_until(lambda: latest(out) >= position, 20, f"{position} to be heard")


async def told(wire: Wire, *positions: int) -> None:
    for n in positions:
        headers = {"ce-position": str(n), "ce-id": f"e{n}", "ce-type": "t"}
        await wire.client.jetstream().publish("switchboard.event.v1.acme.address.X", b'{"n":%d}' % n, headers=headers)


async def test_a_follower_goes_on_through_the_loss_of_the_stream(private_nats: RunningNats, folder: Path) -> None:
    out = folder / "heard"
    ear = Child(follower(private_nats.url, out))
    try:
        async with connected(private_nats.url) as wire:
            stream = wire.client.jetstream()
            for last in (3, 5):
                await stream.add_stream(name=STREAM, subjects=[EVENTS])
                await told(wire, *range(1, last + 1))
                await asyncio.to_thread(until_heard, out, last)
                await stream.delete_stream(STREAM)
            await asyncio.to_thread(ear.stop)
        assert ear.poll() == 0
    finally:
        ear.kill()
    hearing = read(out)
    assert [one.position for one in hearing.messages if one.reading == 1] == [1, 2, 3]
    assert [one.position for one in hearing.messages if one.reading > 1][-5:] == [1, 2, 3, 4, 5]
    assert hearing.readings > 1
    assert {one.digest for one in hearing.messages if one.position == 3} == {digest("t", {"n": 3})}
    assert not any(of_the_readings(hearing.messages).values())


def test_a_digest_is_of_type_and_body_and_not_of_the_spelling() -> None:
    assert digest("t", {"a": 1, "b": 2}) == digest("t", {"b": 2, "a": 1})
    assert len({digest("t", {"a": 1}), digest("u", {"a": 1}), digest("t", {"a": 2}), digest("t", b"no JSON")}) == 4
