"""Every command is accounted for: what clients recorded against the log and the journal, as sets of command ids.

An unknown outcome is neither success nor failure: such a command may be in the log and in the journal, or in neither,
but never in one of them only.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import psycopg

from tests.faults import verdict
from tests.faults.history import Command
from tests.faults.verdict import Stored, Verdict, twice
from tests.faults.workload import Given
from tests.journeys.wire import Reply, Wire, body, command_subject


class Kept(NamedTuple):
    """A row of the journal that is answered again under its command's id; `reply` is the answer, word for word."""

    account: str
    command_id: str
    command: str
    actor: str
    outcome: str
    reason: str | None
    position: int | None
    reply: bytes


def kept_answers(postgres_url: str) -> list[Kept]:
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            """
            SELECT account, command_id::text, command, actor, outcome, reason, position, reply
            FROM connections.journal WHERE kept
            """
        ).fetchall()
    return [Kept._make((*row[:7], _with_position(row[7], row[6]))) for row in rows]


def _with_position(reply: bytes, position: int | None) -> bytes:
    """The journal keeps position 0 in place of the true one."""
    return reply if position is None else reply.replace(b'"position":0', b'"position":%d' % position, 1)


# ---- the log


def of_acknowledged(commands: Iterable[Command], log: Iterable[Stored], after: int = 0) -> Verdict:
    """Answers against the log; what was stored up to the position `after` was there before the first command."""
    given = {command.id: command for command in commands}
    stored: dict[str, list[Stored]] = defaultdict(list)
    for event in log:
        stored[event.command_id].append(event)
    accepted = [one for one in given.values() if one.outcome == "accepted"]
    no_effect = [one for one in given.values() if one.outcome in ("unchanged", "refused")]
    return {
        "acknowledged and not stored": [one.id for one in accepted if not events_of(one) <= ids(stored, one)],
        "stored otherwise than acknowledged": [one.id for one in accepted if not as_told(one, stored.get(one.id, []))],
        "stored and answered otherwise": [one.id for one in no_effect if one.id in stored],
        "stored and not attempted": sorted(
            id_ for id_ in stored.keys() - given.keys() if any(event.position > after for event in stored[id_])
        ),
        "taken effect twice": [id_ for id_, events in stored.items() if id_ in given and not in_one_piece(events)],
    }


def events_of(command: Command) -> set[str]:
    return {event["id"] for event in command.reply["events"]}


def ids(stored: Mapping[str, Sequence[Stored]], command: Command) -> set[str]:
    return {event.id for event in stored.get(command.id, ())}


def as_told(command: Command, events: Sequence[Stored]) -> bool:
    """Whether the answer names exactly these events, at this position."""
    told = [(event["id"], event["type"]) for event in command.reply["events"]]
    return (
        told == [(event.id, event.name) for event in events][: len(told)]
        and len(events) == command.reply["event_count"]
        and bool(events)
        and events[-1].position == command.position
        and {event.account for event in events} == {command.account}
        and {event.actor for event in events} == {command.actor}
    )


def in_one_piece(events: Sequence[Stored]) -> bool:
    """One command is one commit, so its positions follow one another."""
    first = events[0].position
    return [event.position for event in events] == list(range(first, first + len(events)))


# ---- the journal


def of_the_journal(
    commands: Iterable[Command], log: Iterable[Stored], journal: Sequence[Kept], after: int = 0
) -> Verdict:
    """Answers and log against the journal: each decided command has one row, with the same answer."""
    given = {command.id: command for command in commands}
    kept = {row.command_id: row for row in journal}
    decided = [one for one in given.values() if one.outcome != "unknown"]
    ends: dict[str, int] = {}
    for event in log:
        ends[event.command_id] = event.position
    return {
        "answered and not in the journal": [one.id for one in decided if one.id not in kept],
        "in the journal twice": twice(f"{row.account} {row.command_id}" for row in journal),
        "in the journal otherwise than answered": [
            one.id for one in decided if one.id in kept and not answers(kept[one.id], one)
        ],
        "in the journal and not attempted": sorted(
            row.command_id for row in journal if row.command_id not in given and (row.position or after + 1) > after
        ),
        "stored and not in the journal": sorted(id_ for id_ in ends if id_ not in kept),
        "accepted in the journal and not stored": sorted(
            row.command_id for row in journal if row.outcome == "accepted" and ends.get(row.command_id) != row.position
        ),
    }


def answers(row: Kept, command: Command) -> bool:
    assert command.answer is not None, "it was decided"
    return (
        row.reply == command.answer.raw
        and (row.account, row.command, row.actor) == (command.account, command.name, command.actor)
        and (row.outcome, row.reason) == (command.outcome, command.reason)
    )


# ---- the answers


def of_the_tries(commands: Sequence[Command]) -> Verdict:
    """A command is answered, and asked several times hears the same each time, in a form of the contract.

    That of a client that was killed (`ended` is None) need not have an answer.
    """
    heard = {one.id: {one_try.answer for one_try in one.tries if one_try.how == "reply"} for one in commands}
    return {
        "given up": [one.id for one in commands if one.ended is not None and one.outcome == "unknown"],
        "answered otherwise on another try": sorted(id_ for id_, told in heard.items() if len(told) > 1),
        "answered in no form of the contract": [one.id for one in commands if one.answer and not in_form(one)],
        "BUSY without a hint when to ask again": [
            one.id for one in commands for one_try in one.tries if one_try.how == "BUSY" and not hints(one_try.answer)
        ],
    }


async def of_asking_again(wire: Wire, commands: Iterable[Command]) -> Verdict:
    """Every decided command is given once more, and gets its answer word for word."""
    return await verdict.of_the_answers(wire, [as_given(one) for one in commands if one.outcome != "unknown"])


def as_given(command: Command) -> Given:
    """What was asked, and the answer that it got."""
    assert command.answer is not None, "it was decided"
    subject = command_subject(command.account, command.name)
    data = body(command.actor, {**command.fields, "command_id": command.id})
    reply = Reply({**command.reply}, command.answer.error, command.answer.raw)
    return Given(command.id, subject, data, len(command.tries), reply)


def in_form(command: Command) -> bool:
    assert command.answer is not None
    error, told = command.answer.error, command.reply
    match command.outcome:
        case "accepted":
            lists = all(isinstance(told.get(name), list) for name in ("events", "warnings", "next_steps"))
            return error is None and isinstance(told.get("position"), int) and lists and "event_count" in told
        case "unchanged":
            return error is None and isinstance(told.get("position"), int)
        case "refused":
            names = error is not None and error[1] == command.reason and 400 <= error[0] < 600
            return names and isinstance(told.get("message"), str)
    return False


def hints(answer: Any) -> bool:
    details = orjson.loads(answer.raw).get("details") if answer else None
    return isinstance(details, dict) and isinstance(details.get("retry_after_ms"), int)
