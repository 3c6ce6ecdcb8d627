"""The verdict after a fault, as sets: what was acknowledged, stored, told and seen, and where they differ.

Every difference is printed with its count and members; none may have any.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import psycopg

from tests.faults.workload import Given
from tests.journeys.directory import FREE, change, directory
from tests.journeys.wire import Account, Fact, Reply, Wire

# Whoever says these has not held the address before.
CLAIMS = ("PersonalConnected", "TeamConnected", "AliasAdded")


class Stored(NamedTuple):
    """One row of the log."""

    position: int
    stream: str
    version: int
    id: str
    account: str
    command_id: str


Verdict = Mapping[str, Sequence[Any]]


def stored_events(postgres_url: str) -> list[Stored]:
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            """
            SELECT notification_id, originator_id, originator_version, state
            FROM connections.events ORDER BY notification_id
            """
        ).fetchall()
    events = []
    for position, stream, version, state in rows:
        envelope = json.loads(state)
        ids = envelope["id"], envelope["account"], envelope["command_id"]
        events.append(Stored(position, str(stream), version, *ids))
    return events


def of_commands(given: Iterable[Given], stored: Sequence[Stored]) -> Verdict:
    """Acknowledged against stored."""
    acknowledged = {
        event["id"]: one.id
        for one in given
        if one.reply is not None and one.reply.outcome == "accepted"
        for event in one.reply.body["events"]
    }
    ours = {one.id for one in given}
    kept = {event.id: event.command_id for event in stored if event.command_id in ours}
    positions = [event.position for event in stored]
    return {
        "never answered": [one.id for one in given if one.reply is None],
        "acknowledged and not stored": sorted(acknowledged.keys() - kept.keys()),
        "stored and not acknowledged": sorted(kept.keys() - acknowledged.keys()),
        "stored under another command": sorted(id_ for id_ in acknowledged if kept.get(id_) != acknowledged[id_]),
        "stored twice": twice(event.id for event in stored),
        "holes in the log": sorted(set(range(1, len(positions) + 1)) ^ set(positions)),
        "versions twice or missing": wrong_versions((event.stream, event.version) for event in stored),
    }


def of_the_stream(stored: Sequence[Stored], facts: Sequence[Fact]) -> Verdict:
    """Stored against told."""
    kept = {(event.position, event.id) for event in stored}
    told = {(fact.position, fact.headers["ce-id"]) for fact in facts}
    positions = [fact.position for fact in facts]
    return {
        "stored and not told": sorted(kept - told),
        "told and not stored": sorted(told - kept),
        "told twice": twice(fact.headers["ce-id"] for fact in facts),
        "told out of order": [after for before, after in pairwise(positions) if after <= before],
    }


async def of_the_views(wire: Wire, accounts: Iterable[str], facts: Sequence[Fact]) -> Verdict:
    """Told against seen, in both views."""
    shown_wrong, led_wrong = [], []
    for name in accounts:
        account = Account(wire, name)
        account.position = facts[-1].position
        expected = directory(fact for fact in facts if fact.headers["ce-account"] == name)
        shown = {one["address"]: one for one in await account.pages("Addresses", limit=200)}
        for address in expected.keys() | shown.keys():
            entry = expected.get(address, {"address": "unknown"})
            seen = {key: shown.get(address, {}).get(key) for key in entry}
            if seen != entry:
                shown_wrong.append((name, address, seen, entry))
        addresses = sorted(expected)
        for start in range(0, len(addresses), 100):
            recipients = addresses[start : start + 100]
            led_wrong += [
                (name, led, expected[led["recipient"]])
                for led in await account.see("Resolve", recipients=recipients, sender="a@b.example")
                if (led["destination"], led["inbox"], led["owner"]) != destination(expected[led["recipient"]])
            ]
    return {"shown otherwise than told": shown_wrong, "led elsewhere than told": led_wrong}


def destination(entry: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    if entry["state"] in ("free", "orphaned", "reauth_required") or not entry["receiving"]:
        return "none", None, None
    if entry["kind"] == "team":
        return "inbox", entry["inbox"], None
    return "personal", None, entry["owner"]


def of_many_writers(given: Iterable[Given], facts: Sequence[Fact]) -> Verdict:
    """What several writers were told at the same time, and whether one of them gave away what was another's."""
    known: dict[tuple[str, str], dict[str, Any]] = {}
    taken = []
    for fact in facts:
        if not fact.headers["ce-subject"].startswith("address/"):
            continue
        key = fact.headers["ce-account"], fact.body["address"]
        before = known.get(key, FREE)
        if fact.name in CLAIMS and (before["kind"] or before["primary"]):
            taken.append((fact.position, *key))
        known[key] = before | change(fact.name, fact.body, before)
    return {
        "claimed while it was another's": taken,
        "answered otherwise by another writer": [
            (one.id, one.reply.raw, other.raw)
            for one in given
            for other in one.elsewhere
            if one.reply is not None and (other.raw, other.error) != (one.reply.raw, one.reply.error)
        ],
    }


def of_the_races(races: Mapping[str, Sequence[Reply]]) -> Verdict:
    """Claims on one address by several people at the same time, by address: one is accepted, the others hear why."""
    outcomes = {name: sorted(reply.reason or reply.outcome or "" for reply in told) for name, told in races.items()}
    return {
        "races without exactly one winner": [
            (name, told)
            for name, told in outcomes.items()
            if told != ["ADDRESS_ALREADY_PERSONAL"] * (len(told) - 1) + ["accepted"]
        ]
    }


async def of_the_answers(wire: Wire, given: Iterable[Given]) -> Verdict:
    """Every command asked once more gets the answer that it got, word for word."""
    answered = [one for one in given if one.reply is not None]
    again = await wire.flood((one.subject, one.body) for one in answered)
    different = [
        (one.id, one.reply.raw, reply.raw)
        for one, reply in zip(answered, again, strict=True)
        if one.reply is not None and (reply.raw, reply.error) != (one.reply.raw, one.reply.error)
    ]
    return {"answered otherwise when asked again": different}


def passed(counts: Mapping[str, int], *verdicts: Verdict) -> bool:
    """Prints all of it; whether no set has a member."""
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    wrong = 0
    for verdict in verdicts:
        for name, members in verdict.items():
            wrong += len(members)
            print(f"  {name}: {len(members)}", *map(str, members[:5]))
    return wrong == 0


def twice(values: Iterable[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def wrong_versions(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Each stream counts from 1, in the order of the log."""
    last: Counter[str] = Counter()
    wrong = []
    for stream, version in pairs:
        last[stream] += 1
        if last[stream] != version:
            wrong.append((stream, version))
    return wrong
