"""A Switchboard set up to be struck: on its own, behind proxies, or with small disks under its servers."""

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, Literal

from shared.process.clock import now
from tests.bench.machine import machine
from tests.cutting_proxy import CuttingProxy
from tests.faults.nemeses import Target, small_disks
from tests.faults.nemeses.bus_proxy import BusProxy
from tests.real_servers import RunningNats, RunningPostgres, RunningSwitchboard, new_folder

Setting = Literal["on its own", "behind proxies", "on small disks"]

# Often, so that the audit is killed at work on many.
CHECKPOINT_SECONDS: Final = "0.2"


def started(stack: ExitStack, folder: Path, environment: Mapping[str, str] | None = None) -> RunningSwitchboard:
    """A Switchboard whose failpoints may be armed in `folder/points`."""
    points = folder / "points"
    points.mkdir()
    settings = {"SWITCHBOARD_FAILPOINTS": str(points), "SWITCHBOARD_CHECKPOINT_SECONDS": CHECKPOINT_SECONDS}
    made = RunningSwitchboard(folder, {**settings, **(environment or {})})
    stack.callback(made.close)
    made.start()
    return made


@contextmanager
def on_its_own(chance: random.Random) -> Iterator[Target]:
    """`switchboard run`, with the servers that it starts."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        yield Target(started(stack, folder), chance, folder / "points")


@contextmanager
def behind_proxies(chance: random.Random) -> Iterator[Target]:
    """It reaches its servers by way of proxies."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        (folder / "proxy").mkdir()
        (folder / "servers").mkdir()
        postgres, nats = RunningPostgres(folder / "servers"), RunningNats(folder / "servers")
        stack.callback(postgres.stop)
        stack.callback(nats.kill)
        database, bus = CuttingProxy(postgres.url, folder / "proxy"), BusProxy(nats.url, chance)
        stack.callback(database.close)
        stack.callback(bus.close)
        settings = {"SWITCHBOARD_POSTGRES_URL": database.url, "SWITCHBOARD_NATS_URL": bus.url}
        yield Target(started(stack, folder, settings), chance, folder / "points", database, bus)


@contextmanager
def on_small_disks(chance: random.Random) -> Iterator[Target]:
    """Its servers have some megabytes each."""
    with ExitStack() as stack:
        folder = stack.enter_context(new_folder())
        disks = stack.enter_context(small_disks(folder / "data"))
        yield Target(started(stack, folder), chance, folder / "points", disks=disks)


SETTINGS: Final[Mapping[Setting, Callable[[random.Random], AbstractContextManager[Target]]]] = {
    "on its own": on_its_own,
    "behind proxies": behind_proxies,
    "on small disks": on_small_disks,
}


def circumstances(seed: int) -> dict[str, Any]:
    """What belongs to every figure: the day, the machine with what runs on it, the seed."""
    with new_folder() as folder:
        postgres = RunningPostgres(folder)
        try:
            return {"day": now()[:10], "machine": machine(postgres.url), "seed": seed}
        finally:
            postgres.stop()
