"""Defects to plant in the evidence of a run: each changes a copy, and says which sets of the checker must name it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import orjson

from tests.faults.client import RACED
from tests.faults.evidence import Evidence
from tests.faults.history import Answer, Command, Try
from tests.faults.verdict import Stored

# ---- tools for planting


def retold(one: Command, **changes: Any) -> Command:
    """The command as if it had been recorded otherwise."""
    told = {"account": one.account, "name": one.name, "actor": one.actor, "fields": one.fields, "ended": one.ended}
    given = {"client": one.client, "id": one.id, "invoked": one.invoked, "tries": one.tries}
    return Command(**{**told, **given, **changes})


def answered(one: Command, told: dict[str, Any]) -> Command:
    """The command with another answer at the same time."""
    error = (409, told["reason"]) if told["outcome"] == "refused" else None
    answer = Answer(orjson.dumps(told), error)
    return retold(one, tries=[one_try._replace(answer=answer) for one_try in one.tries])


def with_command(found: Evidence, changed: Command) -> Evidence:
    return replace(found, commands=[changed if one.id == changed.id else one for one in found.commands])


def with_log(found: Evidence, change: Callable[[list[Stored]], None]) -> Evidence:
    log = list(found.log)
    change(log)
    return replace(found, log=log)


def without_event(found: Evidence, command: Command) -> Evidence:
    """The command's first event is gone."""
    place = place_of(found, command)
    return replace(found, log=[*found.log[:place], *found.log[place + 1 :]])


def some(found: Evidence, **wanted: Any) -> Command:
    """A command of the middle of the run with these values, such as `outcome="refused"`."""
    commands = found.commands[len(found.commands) // 3 :]
    return next(one for one in commands if all(getattr(one, name) == value for name, value in wanted.items()))


def contest(found: Evidence) -> tuple[Command, Command]:
    """Winner and loser of one race, different people."""
    claims = [one for one in found.commands if (one.address or "").startswith(RACED) and one.outcome != "unknown"]
    for won in claims:
        for lost in claims:
            if won.outcome == "accepted" and lost.outcome == "refused" and same_race(won, lost):
                return won, lost
    raise AssertionError("nobody lost a race")


def same_race(one: Command, other: Command) -> bool:
    return (one.account, one.address) == (other.account, other.address)


def place_of(found: Evidence, command: Command) -> int:
    """The index of its first event in the log."""
    return next(index for index, event in enumerate(found.log) if event.command_id == command.id)


Plant = Callable[[Evidence], Evidence]
# By what it is: how it is planted, and the sets that have to name it.
DEFECTS: dict[str, tuple[Plant, set[str]]] = {}


def defect(what: str, *sets: str) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        assert what not in DEFECTS
        DEFECTS[what] = plant, set(sets)
        return plant

    return add


# ---- the log


@defect("an event is dropped from the log", "acknowledged and not stored", "holes in the log")
def _(found: Evidence) -> Evidence:
    return without_event(found, some(found, outcome="accepted"))


@defect("an event is twice in the log", "stored twice", "taken effect twice", "versions twice or missing")
def _(found: Evidence) -> Evidence:
    event = found.log[place_of(found, some(found, outcome="accepted"))]
    return with_log(found, lambda log: log.append(event._replace(position=len(log) + 1)))


@defect("two events are swapped", "stored otherwise than acknowledged", "accepted in the journal and not stored")
def _(found: Evidence) -> Evidence:
    def swap(log: list[Stored]) -> None:
        one = place_of(found, some(found, outcome="accepted"))
        other = next(n for n in range(one + 1, len(log)) if log[n].command_id != log[one].command_id)
        first, second = log[one], log[other]
        log[one], log[other] = second._replace(position=first.position), first._replace(position=second.position)

    return with_log(found, swap)


@defect("positions have a hole", "holes in the log")
def _(found: Evidence) -> Evidence:
    def shift(log: list[Stored]) -> None:
        log[-5:] = [event._replace(position=event.position + 1) for event in log[-5:]]

    return with_log(found, shift)


@defect("an acknowledged command is nowhere", "acknowledged and not stored", "answered and not in the journal")
def _(found: Evidence) -> Evidence:
    lost = some(found, outcome="accepted").id
    return replace(
        found,
        log=[event for event in found.log if event.command_id != lost],
        journal=[row for row in found.journal if row.command_id != lost],
    )


@defect("a command has effect that nobody gave", "stored and not attempted", "in the journal and not attempted")
def _(found: Evidence) -> Evidence:
    given = some(found, outcome="accepted")
    return replace(found, commands=[one for one in found.commands if one.id != given.id])


@defect("a refused command has an effect", "stored and answered otherwise")
def _(found: Evidence) -> Evidence:
    event, refused = found.log[-1], some(found, outcome="refused")
    return with_log(found, lambda log: log.append(event._replace(position=len(log) + 1, id="x", command_id=refused.id)))


@defect("an event says otherwise than was asked", "stored otherwise than asked")
def _(found: Evidence) -> Evidence:
    place = place_of(found, contest(found)[0])
    data = {**found.log[place].data, "owner": "ana"}
    return with_log(found, lambda log: log.__setitem__(place, log[place]._replace(data=data)))


# ---- the journal and the answers


@defect("a row of the journal is lost", "answered and not in the journal")
def _(found: Evidence) -> Evidence:
    lost = some(found, outcome="refused").id
    return replace(found, journal=[row for row in found.journal if row.command_id != lost])


@defect("what is stored is not in the journal", "stored and not in the journal")
def _(found: Evidence) -> Evidence:
    lost = some(found, outcome="accepted").id
    return replace(found, journal=[row for row in found.journal if row.command_id != lost])


@defect("the journal keeps another answer", "in the journal otherwise than answered")
def _(found: Evidence) -> Evidence:
    other = some(found, outcome="unchanged").id
    return replace(
        found, journal=[row._replace(reply=b"{}") if row.command_id == other else row for row in found.journal]
    )


@defect("the journal has a command twice", "in the journal twice")
def _(found: Evidence) -> Evidence:
    return replace(found, journal=[*found.journal, found.journal[-1]])


@defect("an answer differs when asked again", "answered otherwise on another try")
def _(found: Evidence) -> Evidence:
    one = some(found, outcome="refused")
    again = Try(one.tries[-1].end, one.tries[-1].end + 1, "reply", Answer(b'{"outcome":"unchanged","position":9}'))
    return with_command(found, retold(one, tries=[*one.tries, again]))


@defect("a refusal bears no headers", "answered in no form of the contract")
def _(found: Evidence) -> Evidence:
    one = some(found, outcome="refused")
    assert one.answer is not None
    bare = Answer(one.answer.raw)
    return with_command(found, retold(one, tries=[one_try._replace(answer=bare) for one_try in one.tries]))


@defect("BUSY bears no hint", "BUSY without a hint when to ask again")
def _(found: Evidence) -> Evidence:
    one = some(found, outcome="refused")
    busy = Try(one.invoked, one.invoked, "BUSY", Answer(b'{"outcome":"refused","reason":"BUSY"}', (503, "BUSY")))
    return with_command(found, retold(one, tries=[busy, *one.tries]))


@defect("a command is never answered", "given up")
def _(found: Evidence) -> Evidence:
    one = some(found, outcome="refused")
    return with_command(
        found, retold(one, tries=[one_try._replace(how="timeout", answer=None) for one_try in one.tries])
    )


# ---- verdicts


@defect("a race has two winners", "races without exactly one winner", "accepted what was not possible")
def _(found: Evidence) -> Evidence:
    won, lost = contest(found)
    event = found.log[place_of(found, won)]
    end = len(found.log) + 1
    second = event._replace(
        position=end, version=2, id="x", command_id=lost.id, data={**event.data, "owner": lost.actor}
    )
    told = {"outcome": "accepted", "position": end, "events": [{"id": "x", "type": event.name}], "event_count": 1}
    found = with_command(found, answered(lost, {**told, "warnings": [], "next_steps": []}))
    return with_log(found, lambda log: log.append(second))


@defect("a race has no winner", "races without exactly one winner", "refused for what was never true")
def _(found: Evidence) -> Evidence:
    won, lost = contest(found)
    found = with_command(found, answered(won, {**lost.reply, "command_id": won.id}))
    return without_event(found, won)


@defect("somebody is refused for what was never true", "refused for what was never true")
def _(found: Evidence) -> Evidence:
    _, lost = contest(found)
    told = {"reason": "ADDRESS_ALREADY_TEAM", "details": {"kind": "team", "advice": "ask an administrator"}}
    return with_command(found, answered(lost, {**lost.reply, **told}))


@defect("a refusal names another holder", "refused for what was never true")
def _(found: Evidence) -> Evidence:
    lost = contest(found)[1]
    return with_command(found, answered(lost, {**lost.reply, "details": {"kind": "personal", "holder": "eve"}}))


@defect("a refusal was true only before it was asked for", "refused for what was never true")
def _(found: Evidence) -> Evidence:
    """As a stale cache says it: of an address that had been connected when the command was begun."""
    won, lost = contest(found)
    later = (one for one in found.commands if one.name == "Pause" and one.invoked > (won.completed or 0))
    stale = retold(next(later), fields={"address": won.address}, account=won.account)
    told = {**lost.reply, "reason": "NOT_CONNECTED", "details": {"address": won.address}, "command_id": stale.id}
    return with_command(found, answered(stale, told))


@defect("a claim of somebody else's is said to be unchanged", "unchanged and it was not so")
def _(found: Evidence) -> Evidence:
    won, lost = contest(found)
    told = {"outcome": "unchanged", "command_id": lost.id, "position": won.position}
    return with_command(found, answered(lost, told))


@defect("a later command comes before an earlier one", "against the order of real time")
def _(found: Evidence) -> Evidence:
    one = some(found, outcome="accepted")
    until = found.commands[-1].invoked + 10**9
    tries = [one_try._replace(begin=until, end=until + 1) for one_try in one.tries]
    return with_command(found, retold(one, invoked=until, tries=tries))


@defect("a command is one that the model does not know", "not judged")
def _(found: Evidence) -> Evidence:
    # Of somebody who has left, whatever they ask, the model knows the answer.
    refused = next(one for one in found.commands if one.outcome == "refused" and one.reason != "PERMISSION_MISSING")
    return with_command(found, retold(refused, name="SetDefaultFont"))


# ---- the stream


@defect("an event is dropped from the stream", "stored and not told")
def _(found: Evidence) -> Evidence:
    return replace(found, facts=[*found.facts[:-3], *found.facts[-2:]])


@defect("an event is told twice", "told twice", "told out of order")
def _(found: Evidence) -> Evidence:
    return replace(found, facts=[*found.facts[:-3], found.facts[-3], *found.facts[-3:]])


@defect("two events are told in the wrong order", "told out of order")
def _(found: Evidence) -> Evidence:
    return replace(found, facts=[*found.facts[:-2], found.facts[-1], found.facts[-2]])


@defect("an event is told with another body", "told otherwise than stored")
def _(found: Evidence) -> Evidence:
    last = found.facts[-1]
    return replace(found, facts=[*found.facts[:-1], replace(last, body={**last.body, "note": "foreign"})])


@defect("something is told that is not in the log", "told and not stored")
def _(found: Evidence) -> Evidence:
    last = found.facts[-1]
    foreign = replace(last, headers={**last.headers, "ce-id": "x", "ce-position": str(last.position + 1)})
    return replace(found, facts=[*found.facts, foreign])
