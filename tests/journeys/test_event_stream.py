"""The event stream is what other teams' tools rely on: complete headers, bodies as agreed, one order without holes."""

import re
from collections import defaultdict
from typing import Any
from uuid import UUID

import nats.js.api as js

from shared.language.commands import COMMANDS
from shared.language.events import EVENTS
from shared.process.clock import new_id
from tests.journeys import cast
from tests.journeys.story import A_TIME, STORY, TIMES
from tests.journeys.wire import STREAM, Account, Fact, Reply, Wire, body, command_subject, is_time

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SUBJECT = re.compile(r"switchboard\.event\.v1\.[A-Za-z0-9_-]{1,32}\.(account|user|inbox|address)\.[A-Z][A-Za-z]+")


async def play(wire: Wire) -> tuple[Account, list[Reply], list[Fact]]:
    """Plays the whole story; every command's reply, and every fact it made."""
    account = cast.new_account(wire)
    replies = []
    for number, step in enumerate(STORY):
        fields = {"command_id": new_id(), "correlation_id": f"story:{number}", **step.fields}
        subject = command_subject(account.name, step.command)
        reply = await wire.ask(subject, body(step.actor, fields), {"traceparent": TRACE})
        assert reply.outcome == "accepted", (step, reply.body)
        replies.append(reply)
    account.position = replies[-1].position
    return account, replies, await account.facts()


async def test_every_command_and_every_event_is_in_the_story() -> None:
    assert {step.command for step in STORY} == set(COMMANDS)
    assert {name for step in STORY for name, _, _ in step.events} == {event.__name__ for event in EVENTS.values()}


async def test_every_fact_has_the_body_and_the_headers_that_were_agreed(wire: Wire) -> None:
    account, replies, facts = await play(wire)
    expected = [(number, event) for number, step in enumerate(STORY) for event in step.events]
    assert [fact.name for fact in facts] == [name for _, (name, _, _) in expected]
    for fact, (number, (name, subject, fields)) in zip(facts, expected, strict=True):
        step, reply = STORY[number], replies[number]
        kind = subject.partition("/")[0]
        told = dict(fact.headers)
        assert fact.subject == f"switchboard.event.v1.{account.name}.{kind}.{name}"
        assert without_times(fact.body) == fields, step
        assert told["ce-specversion"] == "1.0"
        assert told["ce-source"] == "/switchboard/connections"
        assert told["ce-type"] == f"switchboard.{name}.v1"
        assert told["ce-datacontenttype"] == "application/json"
        assert told["ce-dataschema"] == f"urn:switchboard:v1:events:{name}.v1"
        assert told["ce-id"] == told["Nats-Msg-Id"] == str(UUID(told["ce-id"]))
        assert is_time(told["ce-time"])
        assert told["ce-account"] == account.name
        assert told["ce-actor"] == step.actor
        assert told["ce-causationid"] == reply.body["command_id"]
        assert told["ce-correlationid"] == f"story:{number}"
        assert told["traceparent"] == TRACE
        if kind == "address":
            assert UUID(told["ce-subject"].removeprefix("address/"))
        else:
            assert told["ce-subject"] == subject.format(account=account.name)


def without_times(told: dict[str, Any]) -> dict[str, Any]:
    """The body with `A_TIME` for each time in it."""
    assert all(is_time(told[name]) for name in TIMES if name in told)
    return {name: A_TIME if name in TIMES else value for name, value in told.items()}


async def test_a_reply_names_its_events_and_the_position_of_the_last(wire: Wire) -> None:
    _, replies, facts = await play(wire)
    by_command = defaultdict(list)
    for fact in facts:
        by_command[fact.headers["ce-causationid"]].append(fact)
    for reply in replies:
        made = by_command[reply.body["command_id"]]
        assert reply.body["events"] == [{"id": fact.headers["ce-id"], "type": fact.name} for fact in made]
        assert reply.body["event_count"] == len(made)
        assert reply.position == made[-1].position
        assert [fact.position for fact in made] == list(range(reply.position - len(made) + 1, reply.position + 1))


async def test_one_address_keeps_its_stream_through_all_its_lives(wire: Wire) -> None:
    _, _, facts = await play(wire)
    subjects = defaultdict(set)
    for fact in facts:
        if "address" in fact.body and fact.name != "DefaultSenderChanged":
            subjects[fact.body["address"]].add(fact.headers["ce-subject"])
    assert all(len(found) == 1 for found in subjects.values()), subjects
    assert len({subject for found in subjects.values() for subject in found}) == len(subjects)


async def test_the_whole_stream_is_one_order_without_holes_and_each_aggregate_counts_from_one(wire: Wire) -> None:
    account, _, _ = await play(wire)
    facts = await wire.facts(account.position)
    assert [fact.position for fact in facts] == list(range(1, len(facts) + 1))
    assert len({fact.headers["ce-id"] for fact in facts}) == len(facts)
    versions: dict[tuple[str, str], int] = defaultdict(int)
    for fact in facts:
        key = fact.headers["ce-account"], fact.headers["ce-subject"]
        versions[key] += 1
        assert int(fact.headers["ce-streamversion"]) == versions[key], fact


async def test_no_address_stands_in_a_subject_or_a_header(wire: Wire) -> None:
    account, _, _ = await play(wire)
    for fact in await wire.facts(account.position):
        assert SUBJECT.fullmatch(fact.subject), fact.subject
        assert not [name for name, value in fact.headers.items() if "@" in value], fact.headers


async def test_a_bad_traceparent_is_dropped_and_an_absent_correlation_stays_absent(wire: Wire) -> None:
    account = cast.new_account(wire)
    fields = {"plan": "free", "admin": "ana"}
    for bad in ("00-zz-01", "", "\u00fc", TRACE + "-x"):
        name = cast.new_account(wire).name
        headers = {"traceparent": bad} if bad else {}
        reply = await wire.ask(command_subject(name, "RegisterAccount"), body("service:x", fields), headers)
        account.position = reply.position
        facts = await wire.facts(reply.position, f"switchboard.event.v1.{name}.>")
        assert len(facts) == 3
        assert not [fact for fact in facts if {"traceparent", "ce-correlationid"} & set(fact.headers)]


async def test_the_stream_is_kept_on_disk_for_ever(wire: Wire) -> None:
    info = await wire.client.jetstream().stream_info(STREAM)
    config = info.config
    assert config.storage == js.StorageType.FILE
    assert config.retention == js.RetentionPolicy.LIMITS
    assert not [limit for limit in (config.max_age, config.max_bytes, config.max_msgs) if (limit or 0) > 0]
