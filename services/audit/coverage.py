"""The question `Coverage`: how far answers and proof reach, dead letters of the account, and clocks that ran back."""

from collections.abc import Mapping
from typing import Any, Final, LiteralString

from services.audit.index.clock_runs import ClockRun
from shared.language.audit import Coverage
from shared.language.audit_answers import (
    Clocks,
    ClockStep,
    CoverageShown,
    DeadLetters,
    IndexReach,
    LogReach,
    ProofReach,
    Reach,
    Witnessed,
)
from shared.process import clock
from shared.process.journal_reader import CommandJournal
from shared.process.lag import Lag, lag_of
from shared.process.log_reader import EventLog, Moment
from shared.projections.snapshot import Snapshot

# The last places at which clocks ran back.
PLACES: Final = 20

REACHED: Final[LiteralString] = "SELECT v.position, i.position, i.ordinal FROM view v, audit_index.checkpoint i"
CLOCKS: Final[LiteralString] = "SELECT coalesce(sum(events), 0)::bigint FROM audit_index.clock_runs"
CLOCK_RUNS: Final[LiteralString] = """
SELECT position, until, events, milliseconds, latest FROM audit_index.clock_runs ORDER BY position DESC LIMIT %(limit)s
"""
# They are made where the settings have a place for evidence.
HEADS_EXIST: Final[LiteralString] = "SELECT to_regclass('evidence.witnessed') IS NOT NULL"
HEADS: Final[LiteralString] = """
SELECT DISTINCT ON (tree) tree, origin, size, signed_at,
       greatest(round(extract(epoch FROM now() - signed_at), 1), 0)::float, error
FROM evidence.heads ORDER BY tree, began DESC, origin DESC
"""
WITNESSED: Final[LiteralString] = "SELECT tree, origin, name, size, witnessed_at FROM evidence.witnessed ORDER BY name"
# An event whose account cannot be read belongs to none.
DEAD_LETTERS: Final[LiteralString] = """
SELECT type, count(*) FILTER (WHERE waits), count(*) FILTER (WHERE NOT waits), min(position), max(position)
FROM (
    SELECT type, position, account, true AS waits FROM parked
    UNION ALL SELECT type, position, account, false FROM given_up
) AS dead
WHERE account IN (%(account)s, '')
GROUP BY type ORDER BY min(position)
"""


async def coverage(snapshot: Snapshot, _: Coverage) -> dict[str, Any]:
    """Return how far log, history, index and proof reach."""
    log, journal = EventLog(snapshot.rows), CommandJournal(snapshot.rows)
    ((history, index, ordinal),) = await snapshot.select(REACHED)
    ends = await log.first_and_last()
    of_history, of_index = await lag_of(log, history), await lag_of(log, index)
    position, last_ordinal = ends[1].position if ends else 0, await journal.end()
    shown = CoverageShown(
        log=LogReach(
            id=await log.identity(),
            position=position,
            ordinal=last_ordinal,
            first_time=_time_of(ends[0]) if ends else None,
            last_time=_time_of(ends[1]) if ends else None,
        ),
        history=Reach(position=history, behind=of_history.events, seconds=of_history.seconds),
        index=_index_reach(index, ordinal, of_index),
        proof=await _proof(snapshot, {"events": position, "journal": last_ordinal}),
        clocks=await _clocks(snapshot),
        dead_letters=await _dead_letters(snapshot),
    )
    return shown.model_dump(mode="json", by_alias=True)


def _index_reach(position: int, ordinal: int, lag: Lag) -> IndexReach:
    return IndexReach(position=position, ordinal=ordinal, behind=lag.events, seconds=lag.seconds)


def _time_of(moment: Moment) -> str | None:
    return clock.written(moment.time) if moment.time else None


async def _proof(snapshot: Snapshot, ends: Mapping[str, int]) -> tuple[ProofReach, ...]:
    ((exist,),) = await snapshot.select(HEADS_EXIST)
    if not exist:
        return ()
    witnessed: dict[tuple[str, str], list[Witnessed]] = {}
    for tree, origin, name, size, at in await snapshot.select(WITNESSED):
        witnessed.setdefault((tree, origin), []).append(Witnessed(name=name, size=size, time=clock.written(at)))
    return tuple(
        ProofReach(
            tree=tree,
            origin=origin,
            size=size,
            time=clock.written(signed_at) if signed_at else None,
            behind=max(ends[tree] - size, 0),
            seconds=seconds,
            error=error,
            witnessed=tuple(witnessed.get((tree, origin), ())),
        )
        for tree, origin, size, signed_at, seconds, error in await snapshot.select(HEADS)
    )


async def _clocks(snapshot: Snapshot) -> Clocks:
    ((events,),) = await snapshot.select(CLOCKS)
    runs = [ClockRun(*row) for row in await snapshot.select(CLOCK_RUNS, {"limit": PLACES})]
    places = [
        ClockStep(
            from_=run.position,
            to=run.until,
            events=run.events,
            milliseconds=run.milliseconds,
            time=clock.written(run.latest),
        )
        for run in reversed(runs)
    ]
    return Clocks(events=events, places=tuple(places))


async def _dead_letters(snapshot: Snapshot) -> tuple[DeadLetters, ...]:
    return tuple(
        DeadLetters(type=type_, parked=parked, given_up=given_up, first=first, last=last)
        for type_, parked, given_up, first, last in await snapshot.select(DEAD_LETTERS)
    )
