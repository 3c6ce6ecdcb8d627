"""All that a run leaves, gathered when it is over, and judged as a whole: counts, and sets of what is wrong.

    found = await gathered(postgres_url, wire, histories, heard, after)
    assert judged(found).passed()

What a nemesis itself puts in is not the system's doing: events that it writes into the log stand in accounts of its
own, and are judged in everything but whether somebody has given the command.

Nothing here changes anything, so that the same evidence can be judged again, with a defect planted in it or not.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults import (
    accounted,
    answered,
    claims,
    heard,
    history,
    indexed,
    left_behind,
    linearizable,
    ordered,
    past,
    replayed,
    signed,
    verdict,
)
from tests.faults.accounted import Kept
from tests.faults.client import RACED
from tests.faults.heard import Hearing
from tests.faults.history import Command, Question
from tests.faults.indexed import Index
from tests.faults.ordered import Order
from tests.faults.past import PastQuestion
from tests.faults.replayed import Rows
from tests.faults.signed import Notes, Signed
from tests.faults.verdict import Shown, Stored, Verdict
from tests.journeys.wire import Fact, Wire


@dataclass(frozen=True)
class Evidence:
    """What clients and a follower recorded, what is stored, told, kept in views and shown.

    `after` is the position at which the log ended before the first command of the clients. `strangers` are accounts of
    which no client knows, `tampered` positions of the log that were written anew after they had been told: both are the
    work of nemeses.
    """

    after: int
    commands: Sequence[Command]
    questions: Sequence[Question]
    log: Sequence[Stored]
    journal: Sequence[Kept]
    facts: Sequence[Fact]
    rows: Mapping[str, Rows]
    shown: Shown
    hearing: Hearing
    order: Order
    index: Index
    asked: Sequence[PastQuestion]
    signed: Signed
    strangers: frozenset[str] = frozenset()
    tampered: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Judgement:
    counts: Mapping[str, int]
    verdict: Verdict

    @property
    def wrong(self) -> Verdict:
        """The sets that have members."""
        return {name: members for name, members in self.verdict.items() if members}

    def passed(self) -> bool:
        """Prints all counts and sets; whether no set has a member."""
        return verdict.passed(self.counts, self.verdict)


async def gathered(
    postgres_url: str,
    wire: Wire,
    histories: Iterable[Path],
    follower: Path,
    after: int,
    checkpoints: tuple[Path, Notes],
    strangers: Iterable[str] = (),
    tampered: Iterable[int] = (),
    seconds: float = 60.0,
) -> Evidence:
    """Waits until stream, views and checkpoints have come to the log's end.

    No command may be under way, and the follower has ended. `checkpoints` are the folder of the audit's evidence, and
    what was published.

    Raises:
        AssertionError: they do not get there in time.
        BrokenHistoryError: a history cannot be read.
    """
    histories = list(histories)
    commands, questions = history.read(histories), history.questions(histories)
    log = await asyncio.to_thread(verdict.stored_events, postgres_url)
    end = log[-1].position if log else 0
    journal = await asyncio.to_thread(accounted.kept_answers, postgres_url)
    facts = await wire.facts(end, seconds=seconds)
    rows = {view: await asyncio.to_thread(replayed.live, postgres_url, view, end, seconds) for view in replayed.VIEWS}
    shown = await verdict.shown(wire, known_addresses(commands, facts), end)
    hearing = await asyncio.to_thread(heard.read, follower)
    order = await asyncio.to_thread(ordered.kept_order, postgres_url)
    index = await asyncio.to_thread(indexed.reached, postgres_url, seconds)
    asked = await past.asked(wire, log, {command.account for command in commands}, after)
    trees = await signed.gathered(postgres_url, *checkpoints, seconds)
    return Evidence(
        after, commands, questions, log, journal, facts, rows, shown, hearing, order, index, asked, trees,
        frozenset(strangers), frozenset(tampered),
    )  # fmt: skip


def known_addresses(commands: Iterable[Command], facts: Iterable[Fact]) -> verdict.Directories:
    """The directory that follows from the facts alone, of every account that clients gave commands to."""
    readable = (fact for fact in facts if fact.name in claims.OF_ADDRESSES)
    return verdict.directories(readable, sorted({command.account for command in commands}))


def judged(found: Evidence) -> Judgement:
    """All verdicts over the evidence."""
    order = linearizable.of_the_order(found.commands, found.log)
    races = linearizable.of_raced_addresses(found.commands, found.log, RACED)
    known = known_addresses(found.commands, found.facts)
    log = [event for event in found.log if event.account not in found.strangers]
    changed = found.tampered | {event.position for event in found.log if event.account in found.strangers}
    journal = [row for row in found.journal if row.account not in found.strangers]
    return Judgement(
        {**counted(found), **races.counts, **order.counts},
        {
            **accounted.of_acknowledged(found.commands, log, found.after),
            **verdict.of_the_log(found.log),
            **accounted.of_the_tries(found.commands),
            **accounted.of_the_journal(found.commands, log, journal, found.after),
            **ordered.of_the_order(found.order),
            **order.verdict,
            **races.verdict,
            **left_behind.of_who_left(found.log),
            **verdict.of_the_stream(found.log, found.facts, found.tampered),
            **heard.of_what_was_heard(found.hearing, found.commands, found.log, found.tampered),
            **answered.of_the_questions(found.questions, found.log),
            **past.of_the_past(found.asked, found.log),
            **indexed.of_the_index(found.index, found.strangers),
            **signed.of_the_checkpoints(found.signed, changed),
            **replayed.of_the_rows(found.log, found.rows, found.strangers),
            **verdict.of_what_is_shown(known, found.shown, verdict.absent(found.facts)),
        },
    )


def counted(found: Evidence) -> dict[str, int]:
    outcomes = Counter(command.outcome for command in found.commands)
    tries = Counter(one.how for command in found.commands for one in command.tries)
    return {
        "clients": len({command.client for command in found.commands}),
        "commands": len(found.commands),
        **{outcome: outcomes[outcome] for outcome in (*history.OUTCOMES, "unknown")},
        "tries": tries.total(),
        **{f"tries that ended in {how}": tries[how] for how in ("BUSY", "timeout", "bus error")},
        "stored": len(found.log),
        "stored by a nemesis": sum(event.account in found.strangers for event in found.log),
        "in the journal": len(found.journal),
        "told": len(found.facts),
        **left_behind.counted(found.log),
        **heard.counted(found.hearing),
        **answered.counted(found.questions),
        "commits": len(found.order.commits),
        "journal entries": len(found.order.entries),
        **past.counted(found.asked),
        "entries of the audit's index": len(found.index.seen),
        **signed.counted(found.signed),
        **{f"rows of {view}": len(rows.rows) for view, rows in found.rows.items()},
        "addresses shown": sum(map(len, found.shown.addresses.values())),
    }
