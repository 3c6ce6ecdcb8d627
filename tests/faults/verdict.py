"""The verdict after a fault, as sets: what was acknowledged, stored, told and seen, and where they differ.

Every difference is printed with its count and members; none may have any.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
import psycopg

from tests.faults.people import AWAY, STATUS
from tests.faults.workload import Given
from tests.journeys.directory import FREE, Entry, change, directory
from tests.journeys.wire import Account, Fact, Reply, Wire

# Whoever says these has not held the address before.
CLAIMS = ("PersonalConnected", "TeamConnected", "AliasAdded")


class Stored(NamedTuple):
    """One row of the log; `name` is the event's, without its version when that is 1."""

    position: int
    stream: str
    version: int
    id: str
    account: str
    command_id: str
    actor: str = ""
    name: str = ""
    data: Mapping[str, Any] = {}
    topic: str = ""
    state: bytes = b""


Verdict = Mapping[str, Sequence[Any]]


def stored_events(postgres_url: str) -> list[Stored]:
    """The log in the order of positions; what cannot be read of a row is empty."""
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute(
            """
            SELECT notification_id, originator_id, originator_version, topic, state
            FROM connections.events ORDER BY notification_id
            """
        ).fetchall()
    return [_stored(position, str(stream), *rest) for position, stream, *rest in rows]


def _stored(position: int, stream: str, version: int, topic: str, state: bytes) -> Stored:
    try:
        envelope = orjson.loads(state)
        data = envelope.get("data", {})
    except (orjson.JSONDecodeError, AttributeError):
        envelope, data = {}, {}
    id_, account, command_id, actor = (envelope.get(name, "") for name in ("id", "account", "command_id", "actor"))
    name = topic.removeprefix("switchboard.").removesuffix(".v1")
    data = data if isinstance(data, dict) else {}
    return Stored(position, stream, version, id_, account, command_id, actor, name, data, topic, state)


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
    return {
        "never answered": [one.id for one in given if one.reply is None],
        "acknowledged and not stored": sorted(acknowledged.keys() - kept.keys()),
        "stored and not acknowledged": sorted(kept.keys() - acknowledged.keys()),
        "stored under another command": sorted(id_ for id_ in acknowledged if kept.get(id_) != acknowledged[id_]),
        **of_the_log(stored),
    }


def of_the_log(stored: Sequence[Stored]) -> Verdict:
    """The log in itself."""
    positions = [event.position for event in stored]
    return {
        "stored twice": twice(event.id for event in stored),
        "holes in the log": sorted(set(range(1, len(positions) + 1)) ^ set(positions)),
        "versions twice or missing": wrong_versions((event.stream, event.version) for event in stored),
    }


def of_the_stream(stored: Sequence[Stored], facts: Sequence[Fact], tampered: Container[int] = ()) -> Verdict:
    """Stored against told; what is stored at the positions `tampered` was written anew after it had been told."""
    kept = {(event.position, event.id): event for event in stored}
    told = {(fact.position, fact.headers["ce-id"]): fact for fact in facts}
    positions = [fact.position for fact in facts]
    return {
        "stored and not told": sorted(kept.keys() - told.keys()),
        "told and not stored": sorted(told.keys() - kept.keys()),
        "told twice": twice(fact.headers["ce-id"] for fact in facts),
        "told out of order": [after for before, after in pairwise(positions) if after <= before],
        "told otherwise than stored": sorted(
            at for at in kept.keys() & told.keys() if at[0] not in tampered and not same(kept[at], told[at])
        ),
    }


def same(event: Stored, fact: Fact) -> bool:
    """Whether the message tells the event that was stored."""
    headers = {
        "ce-type": event.topic,
        "ce-account": event.account,
        "ce-actor": event.actor,
        "ce-causationid": event.command_id,
        "ce-streamversion": str(event.version),
    }
    return fact.body == event.data and all(fact.headers.get(name) == value for name, value in headers.items())


async def of_the_views(wire: Wire, accounts: Iterable[str], facts: Sequence[Fact]) -> Verdict:
    """Told against seen, in both views."""
    known = directories(facts, accounts)
    return of_what_is_shown(known, await shown(wire, known, facts[-1].position), absent(facts))


# By account: each address as the directory should show it.
Directories = Mapping[str, Mapping[str, Entry]]


class Shown(NamedTuple):
    """What the views answer: by account, the addresses by name, and where the mail of each goes."""

    addresses: Mapping[str, Mapping[str, Entry]]
    routes: Mapping[str, Sequence[Entry]]


def directories(facts: Iterable[Fact], accounts: Iterable[str]) -> Directories:
    told: dict[str, list[Fact]] = {name: [] for name in accounts}
    for fact in facts:
        if fact.headers["ce-account"] in told:
            told[fact.headers["ce-account"]].append(fact)
    return {name: directory(facts_) for name, facts_ in told.items()}


def absent(facts: Iterable[Fact]) -> set[tuple[str, str]]:
    """(account, user) of those who are away at the end: nobody's mail is led to them."""
    status = {
        (fact.headers["ce-account"], fact.body.get("user", "")): STATUS[fact.name]
        for fact in facts
        if fact.name in STATUS
    }
    return {who for who, is_so in status.items() if is_so in AWAY}


async def shown(wire: Wire, known: Directories, position: int) -> Shown:
    """Asks for every address, as of a position or later."""
    addresses, routes = dict[str, Mapping[str, Entry]](), dict[str, Sequence[Entry]]()
    for name in known:
        account = Account(wire, name)
        account.position = position
        addresses[name] = {one["address"]: one for one in await account.pages("Addresses", limit=200)}
        recipients, led = sorted(known[name]), list[Entry]()
        for start in range(0, len(recipients), 100):
            led += await account.see("Resolve", recipients=recipients[start : start + 100], sender="a@b.example")
        routes[name] = led
    return Shown(addresses, routes)


def of_what_is_shown(known: Directories, seen: Shown, away: Container[tuple[str, str]] = ()) -> Verdict:
    shown_wrong, led_wrong = [], []
    for name, expected in known.items():
        found = seen.addresses[name]
        for address in sorted(expected.keys() | found.keys()):
            entry = expected.get(address, {"address": "unknown"})
            told = {key: found.get(address, {}).get(key) for key in entry}
            if told != entry:
                shown_wrong.append((name, address, told, entry))
        routes = {led["recipient"]: (led["destination"], led["inbox"], led["owner"]) for led in seen.routes[name]}
        led_wrong += [
            (name, address, routes.get(address), entry)
            for address, entry in expected.items()
            if routes.get(address) != destination(entry, away=(name, entry["owner"]) in away)
        ]
    return {"shown otherwise than told": shown_wrong, "led elsewhere than told": led_wrong}


def destination(entry: Mapping[str, Any], *, away: bool) -> tuple[str, str | None, str | None]:
    """Where mail goes; `away`: the owner is not active."""
    if away or entry["state"] in ("free", "orphaned", "reauth_required") or not entry["receiving"]:
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
