"""A NATS without space: what it stores once there is space again, and what the relay says of it."""

from pathlib import Path

import pytest

from services.relay.errors import StreamStuck
from services.relay.stream_publisher import StreamPublisher, Tail
from shared.language import subjects
from shared.language.subjects import Ce
from shared.process.clock import new_id
from tests.faults.nemeses.disks import FILLER, fill_up, small_disks
from tests.real_servers import RunningNats

BODY = b"x" * 100_000


async def appended(end: StreamPublisher, tail: Tail) -> Tail:
    told = new_id()
    headers = {Ce.ID: told, subjects.MESSAGE_ID: told, Ce.POSITION: str(tail.position + 1)}
    return await end.append([(subjects.event("acme", "address", "PersonalConnected"), headers, BODY)], tail)


async def filled(end: StreamPublisher) -> None:
    """Appends more than a megabyte or two."""
    tail = Tail(0, None, 0)
    for _ in range(30):
        tail = await appended(end, tail)


async def test_a_nats_that_was_started_on_a_full_disk_stores_as_soon_as_there_is_space(folder: Path) -> None:
    with small_disks(folder) as disks:
        if "nats" not in disks:
            pytest.skip("no file system can be mounted here")
        nats = RunningNats(folder)
        end = StreamPublisher(nats.url)
        try:
            await end.open()
            await end.declare()
            tail = await appended(end, Tail(0, None, 0))
            nats.stop()
            fill_up(disks["nats"] / FILLER)
            nats.start()
            (disks["nats"] / FILLER).unlink()
            await end.close()
            end = StreamPublisher(nats.url)
            await end.open()
            assert (await appended(end, tail)).sequence == tail.sequence + 1
        finally:
            await end.close()
            nats.kill()


async def test_a_store_without_space_within_its_limits_is_told_as_that(folder: Path) -> None:
    limited = f'jetstream {{ store_dir: "{folder}/nats", max_file_store: 1000000 }}'
    nats = RunningNats(folder, more=limited)
    end = StreamPublisher(nats.url)
    try:
        await end.open()
        await end.declare()
        with pytest.raises(StreamStuck, match="no space within the limits"):
            await filled(end)
    finally:
        await end.close()
        nats.kill()
