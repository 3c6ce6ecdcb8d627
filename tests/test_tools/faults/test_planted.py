"""The checker is itself tested: in what one real run left, a defect is planted, and the checker names it.

The run has three clients that race, one of which is killed in the middle of its work, so that unknown outcomes are
among the evidence. As it stands, nothing is wrong with it.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from services.ops.evidence.findings import Finding, Kind
from services.ops.local.children import Child
from tests.faults import accounted, heard, history, signed, verdict
from tests.faults.campaign import client, follower
from tests.faults.client import RACED
from tests.faults.evidence import Evidence, gathered, judged
from tests.faults.history import Command
from tests.faults.planting import retold
from tests.faults.planting_signed import DEFECTS
from tests.faults.scene import CHECKPOINT_SECONDS
from tests.faults.workload import PACE_SECONDS
from tests.journeys import cast
from tests.journeys.wire import Wire, connected
from tests.real_servers import RunningSwitchboard, new_folder, wait_until

CLIENTS = 3
KILLED = 0
SEED = 4
RACES = 30


@pytest.fixture(scope="module")
def evidence() -> Iterator[Evidence]:
    with new_folder() as folder:
        running = RunningSwitchboard(folder, {"SWITCHBOARD_CHECKPOINT_SECONDS": CHECKPOINT_SECONDS})
        try:
            running.start()
            yield asyncio.run(recorded(running, folder))
        finally:
            running.close()


async def recorded(running: RunningSwitchboard, folder: Path) -> Evidence:
    async with connected(running.nats_url) as wire, signed.collected(running.nats_url) as notes:
        accounts = [(await cast.furnished(wire)).name for _ in range(2)]
        after = verdict.stored_events(running.postgres_url)[-1].position
        listening = folder / "follower.heard"
        ear = Child(follower(running.nats_url, listening))
        histories = [folder / f"{number}.jsonl" for number in range(CLIENTS)]
        clients = [
            Child(client(running.nats_url, accounts, SEED, number, PACE_SECONDS, path))
            for number, path in enumerate(histories)
        ]
        try:
            await asyncio.to_thread(work_and_end, clients, folder)
            end = verdict.stored_events(running.postgres_url)[-1].position
            await asyncio.to_thread(hear_and_end, ear, listening, end)
        finally:
            for one in (*clients, ear):
                one.kill()
        found = await gathered(
            running.postgres_url, wire, histories, listening, after, (folder / "data" / "evidence", notes)
        )
        await asking_again_changes_nothing(running, wire, found)
        return found


def work_and_end(clients: Sequence[Child], folder: Path) -> None:
    """One is killed while commands of it are under way, the others end when there were races enough."""
    wait_until(lambda: races(folder) > RACES // 2, 30, "half of the races")
    wait_until(lambda: killed_at_work(clients[KILLED], folder / f"{KILLED}.jsonl"), 10, "a command to be under way")
    wait_until(lambda: races(folder) > RACES, 30, "all the races")
    for one in clients[KILLED + 1 :]:
        one.stop(20)
        assert one.poll() == 0


def hear_and_end(ear: Child, listening: Path, end: int) -> None:
    wait_until(lambda: heard.latest(listening) >= end, 20, "the follower to hear all")
    ear.stop(20)
    assert ear.poll() == 0


def races(folder: Path) -> int:
    """How many addresses were raced for."""
    commands = history.read(folder.glob("*.jsonl"))
    return len({one.address for one in commands if (one.address or "").startswith(RACED)})


def killed_at_work(one: Child, path: Path) -> bool:
    """Kills it if commands are under way, at a moment when it stands still."""
    process = psutil.Process(one.pid)
    process.suspend()
    wait_until(lambda: bool(process.status() == psutil.STATUS_STOPPED), 5, "it to stand still")
    at_work = any(command.ended is None for command in history.read([path]))
    process.send_signal(signal.SIGKILL if at_work else signal.SIGCONT)
    return at_work


async def asking_again_changes_nothing(running: RunningSwitchboard, wire: Wire, found: Evidence) -> None:
    assert (await accounted.of_asking_again(wire, found.commands))["answered otherwise when asked again"] == []
    assert verdict.stored_events(running.postgres_url) == found.log


# ---- as it is


def test_nothing_is_found_where_nothing_is_wrong(evidence: Evidence) -> None:
    found = judged(evidence)
    assert found.passed(), found.wrong
    assert found.counts["judged by the model"] > 100
    assert found.counts["races at the same time"] > RACES // 4
    assert found.counts["heard"] - found.counts["heard again"] == found.counts["stored"]
    assert found.counts["questions"] > 5
    assert found.counts["questions as of a position"] > 100
    assert found.counts["questions as of a time"] > 50
    assert found.counts["commits"] > 50
    assert found.counts["unknown"] > 0
    assert found.counts["checkpoints"] > 4
    assert min(found.counts[outcome] for outcome in history.OUTCOMES) > 100


def test_unknown_outcomes_may_have_happened_or_not(evidence: Evidence) -> None:
    unknown = with_unknown(evidence, lambda one: one.outcome == "accepted")
    assert judged(unknown).wrong == {}
    refused = {one.id for one in evidence.commands if one.outcome == "refused"}
    unknown = with_unknown(evidence, lambda one: one.id in refused)
    assert judged(unknown).wrong == {}
    assert (
        judged(replace(unknown, journal=[row for row in unknown.journal if row.command_id not in refused])).wrong == {}
    )


def with_unknown(found: Evidence, which: Callable[[Command], bool]) -> Evidence:
    return replace(found, commands=[unanswered(one) if which(one) else one for one in found.commands])


def unanswered(one: Command) -> Command:
    """As of a client that was killed meanwhile."""
    return retold(one, tries=[], ended=None)


def test_what_a_nemesis_has_put_in_is_nobodys_command(evidence: Evidence) -> None:
    poison = evidence.log[-1]._replace(
        position=len(evidence.log) + 1, id="p", command_id="poison", account="theirs", stream="p", version=1
    )
    given = replace(evidence, log=[*evidence.log, poison])
    nobodys = {"stored and not attempted", "stored and not in the journal"}
    assert nobodys <= judged(given).wrong.keys()
    assert nobodys.isdisjoint(judged(replace(given, strangers=frozenset({"theirs"}))).wrong)


def test_an_event_that_a_nemesis_has_changed_is_not_held_against_the_audit(evidence: Evidence) -> None:
    position = evidence.log[-1].position
    leaves = [*evidence.signed.leaves["events"][:-1], b"changed", b"not signed"]
    named = [("events", Finding(Kind.CHANGED, position, position))]
    refused = evidence.signed._replace(
        leaves={**evidence.signed.leaves, "events": leaves}, findings=named, refused={"events": "a row was changed"}
    )
    given = replace(evidence, signed=refused)
    assert judged(given).wrong.keys() == {
        "last checkpoints that are not of the log", "not signed to the end", "found by a verification of the log",
    }  # fmt: skip
    assert judged(replace(given, tampered=frozenset({position}))).wrong == {}


# ---- with a defect


@pytest.mark.parametrize("what", DEFECTS)
def test_it_is_caught_by_name_that(what: str, evidence: Evidence) -> None:
    plant, sets = DEFECTS[what]
    planted = judged(plant(evidence))
    assert sets <= planted.wrong.keys(), planted.wrong.keys()
    assert not planted.passed()
    assert judged(evidence).wrong == {}, "planting changes no evidence but its own"


def test_every_set_of_the_checker_has_a_defect_that_fills_it(evidence: Evidence) -> None:
    assert judged(evidence).verdict.keys() == set().union(*(sets for _, sets in DEFECTS.values()))
