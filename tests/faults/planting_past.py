"""Defects to plant in the order beside the log, in the audit's index, and in answers as of a moment of the past."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson

from tests.faults.evidence import Evidence
from tests.faults.history import Answer
from tests.faults.ordered import Commit, Entry
from tests.faults.planting import defect
from tests.faults.planting_people import DEFECTS

__all__ = ["DEFECTS"]

# ---- entries


def with_entries(found: Evidence, change: Callable[[list[Entry]], None]) -> Evidence:
    entries = list(found.order.entries)
    change(entries)
    return replace(found, order=found.order._replace(entries=entries))


def of_outcome(found: Evidence, outcome: str) -> int:
    """The index of such an entry in the middle of the run."""
    entries = found.order.entries
    return next(n for n in range(len(entries) // 2, len(entries)) if entries[n].outcome == outcome)


@defect("the ordinals have a gap", "ordinals missing or beyond the last")
def _(found: Evidence) -> Evidence:
    return with_entries(found, lambda entries: entries.__delitem__(of_outcome(found, "refused")))


@defect("two entries have the same ordinal", "ordinals given twice")
def _(found: Evidence) -> Evidence:
    place = of_outcome(found, "refused")
    before = found.order.entries[place - 1].ordinal
    return with_entries(found, lambda entries: entries.__setitem__(place, entries[place]._replace(ordinal=before)))


@defect("an entry was never numbered", "journal entries without an ordinal")
def _(found: Evidence) -> Evidence:
    return with_entries(found, lambda entries: entries.append(entries.pop()._replace(ordinal=None)))


@defect(
    "an accepted command has the ordinal of a later one",
    "positions not in the order of ordinals",
    "entries at another place of the log",
)
def _(found: Evidence) -> Evidence:
    def swap(entries: list[Entry]) -> None:
        one = of_outcome(found, "accepted")
        other = next(n for n in range(one + 1, len(entries)) if entries[n].outcome == "accepted")
        first, second = entries[one], entries[other]
        entries[one], entries[other] = second._replace(ordinal=first.ordinal), first._replace(ordinal=second.ordinal)

    return with_entries(found, swap)


@defect("a refusal stands behind an event that came after it", "entries at another place of the log")
def _(found: Evidence) -> Evidence:
    def late(entries: list[Entry]) -> None:
        place = of_outcome(found, "accepted") - 1
        while entries[place].outcome == "accepted":
            place -= 1
        entries[place] = entries[place]._replace(log_position=(entries[place].log_position or 0) + 1)

    return with_entries(found, late)


# ---- commits


def with_commits(found: Evidence, change: Callable[[list[Commit]], None]) -> Evidence:
    commits = list(found.order.commits)
    change(commits)
    return replace(found, order=found.order._replace(commits=commits))


@defect("a commit has no row", "commits without their row")
def _(found: Evidence) -> Evidence:
    return with_commits(found, lambda commits: commits.__delitem__(len(commits) // 2))


@defect("the row of a commit is too late", "commits without their row", "rows of no commit")
def _(found: Evidence) -> Evidence:
    late = found.order.commits[-1].latest + timedelta(milliseconds=1)
    return with_commits(found, lambda commits: commits.append(commits.pop()._replace(latest=late)))


@defect("the row of a commit names a later position", "commits without their row", "rows of no commit")
def _(found: Evidence) -> Evidence:
    def further(commits: list[Commit]) -> None:
        place = len(commits) // 2
        commits[place] = commits[place]._replace(position=commits[place].position + 1)

    return with_commits(found, further)


# ---- the audit's index


@defect("the index lacks what concerns somebody", "not in the index")
def _(found: Evidence) -> Evidence:
    return replace(found, index=found.index._replace(seen=found.index.seen[1:]))


@defect("the index has what concerns nobody", "in the index for nothing")
def _(found: Evidence) -> Evidence:
    foreign = (*found.index.seen[0][:2], "nobody", *found.index.seen[0][3:])
    return replace(found, index=found.index._replace(seen=[*found.index.seen, foreign]))


@defect("a batch of the index was written twice", "in the index twice")
def _(found: Evidence) -> Evidence:
    return replace(found, index=found.index._replace(seen=[*found.index.seen, *found.index.seen[:5]]))


# ---- answers as of a moment


def with_told(found: Evidence, told: Mapping[str, Any], error: tuple[int, str] | None = None) -> Evidence:
    first, *others = found.asked
    answer = Answer(orjson.dumps({**first.question.reply, **told}), error)
    other = replace(first.question, asked=first.question.asked._replace(answer=answer))
    return replace(found, asked=[first._replace(question=other), *others])


@defect("a history does not know a moment that it has", "questions as of a moment without an answer")
def _(found: Evidence) -> Evidence:
    return with_told(found, {"error": "HISTORY_BEHIND"}, (503, "HISTORY_BEHIND"))


@defect("a time is taken for another position", "answers as of another position than the moment's")
def _(found: Evidence) -> Evidence:
    return with_told(found, {"position": found.asked[0].position + 1})


@defect("an answer as of a moment is of another one", "answers unlike the log as of the moment")
def _(found: Evidence) -> Evidence:
    one = found.asked[0].question
    if one.name == "Address":
        return with_told(found, {"result": {**one.reply["result"], "tools": ["planted"]}})
    return with_told(found, {"result": [{**one.reply["result"][0], "owner": "planted"}]})
