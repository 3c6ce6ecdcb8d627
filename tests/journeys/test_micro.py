"""NATS's own tools find every service by the micro protocol, and its figures are those of what was asked."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from nats.micro.service import NAME_REGEX, SEMVER_REGEX, ServiceInfo, ServicePing, ServiceStats

from shared.language.audit import AUDIT_QUESTIONS
from tests.journeys.wire import Account, Wire, command_subject, question_subject

ENDPOINTS = {
    "switchboard-connections": {"commands": "switchboard.command.v1.*.*"},
    "switchboard-relay": {},
    "switchboard-inbox-views": {"questions-1": "switchboard.query.v1.*.*"},
    "switchboard-routing": {
        "questions-1": "switchboard.query.v1.*.Resolve",
        "questions-2": "switchboard.query.v1.*.Routing",
    },
    "switchboard-audit": {
        f"questions-{number}": f"switchboard.query.v1.*.{name}" for number, name in enumerate(AUDIT_QUESTIONS, 1)
    },
}
QUEUES = {
    "switchboard-connections": "connections",
    "switchboard-inbox-views": "inbox_views",
    "switchboard-routing": "routing",
    "switchboard-audit": "audit",
}


async def told(wire: Wire, verb: str, most: int = len(ENDPOINTS), to: str = "") -> dict[str, dict[str, Any]]:
    """The answers by the service's name, as many as there are services."""
    inbox = wire.client.new_inbox()
    subscription = await wire.client.subscribe(inbox)
    await wire.client.publish(f"$SRV.{verb}{to}", reply=inbox)
    answers = [json.loads((await subscription.next_msg(timeout=10)).data) for _ in range(most)]
    await subscription.unsubscribe()
    assert {answer["type"] for answer in answers} == {f"io.nats.micro.v1.{verb.lower()}_response"}
    return {answer["name"]: answer for answer in answers}


async def figures(wire: Wire) -> dict[tuple[str, str], dict[str, Any]]:
    """What is told of each endpoint, by its service and name."""
    return {
        (service, endpoint["name"]): endpoint
        for service, answer in (await told(wire, "STATS")).items()
        for endpoint in answer["endpoints"]
    }


async def test_every_service_answers_and_each_process_has_an_id_of_its_own(wire: Wire) -> None:
    answers = await told(wire, "PING")
    assert set(answers) == set(ENDPOINTS)
    pings = [ServicePing.from_dict(answer) for answer in answers.values()]
    assert len({ping.id for ping in pings}) == len(ENDPOINTS)
    assert all(NAME_REGEX.match(ping.name) and SEMVER_REGEX.match(ping.version) for ping in pings)
    assert all(ping.metadata == {} for ping in pings)


async def test_a_service_is_asked_by_its_name_and_by_its_id(wire: Wire) -> None:
    for verb in ("PING", "INFO", "STATS"):
        for name, answer in (await told(wire, verb)).items():
            assert set(await told(wire, verb, 1, f".{name}")) == {name}
            by_id = await told(wire, verb, 1, f".{name}.{answer['id']}")
            assert by_id[name]["id"] == answer["id"]


async def test_info_names_every_endpoint_with_its_subject_and_queue_group(wire: Wire) -> None:
    for name, answer in (await told(wire, "INFO")).items():
        info = ServiceInfo.from_dict(answer)
        assert info.description
        assert {endpoint.name: endpoint.subject for endpoint in info.endpoints} == ENDPOINTS[name]
        assert {endpoint.queue_group for endpoint in info.endpoints} <= {QUEUES.get(name, "")}
        assert all(endpoint.metadata == {} for endpoint in info.endpoints)


async def test_stats_are_of_the_form_of_the_protocol(wire: Wire) -> None:
    for name, answer in (await told(wire, "STATS")).items():
        stats = ServiceStats.from_dict(answer)
        assert answer["started"] == (await told(wire, "STATS"))[name]["started"]
        assert {endpoint.name: endpoint.subject for endpoint in stats.endpoints} == ENDPOINTS[name]
        for endpoint in stats.endpoints:
            average = endpoint.processing_time // endpoint.num_requests if endpoint.num_requests else 0
            assert endpoint.average_processing_time == average
            assert list(endpoint.data or ()) == ["busy"]


COMMANDS = ("switchboard-connections", "commands")
VIEWS = ("switchboard-inbox-views", "questions-1")
RESOLVE, ROUTING = ("switchboard-routing", "questions-1"), ("switchboard-routing", "questions-2")


async def test_stats_count_what_was_asked(account: Account) -> None:
    wire = account.wire
    await account.see("Usage")
    before = await figures(wire)
    began = asyncio.get_running_loop().time()
    for number in range(5):
        await account.do("ConnectPersonal", "bob", address=f"b{number}@acme.example", owner="bob")
    await account.attempt("ConnectPersonal", "cleo", address="b0@acme.example", owner="cleo")
    await wire.ask(command_subject(account.name, "MakeTea"), b"no tea")
    for _ in range(3):
        await account.see("Address", address="b0@acme.example")
    await account.ask("Inbox", inbox="nowhere")
    await wire.ask(question_subject(account.name, "WhatIf"), b"")
    await account.see("Resolve", recipients=["b0@acme.example"], sender="jo@client.example")
    await account.ask("Routing", inbox="nowhere")
    spent = (asyncio.get_running_loop().time() - began) * 1e9
    after = await figures(wire)
    every = {one: difference(before[one], after[one], "num_requests", "num_errors") for one in after}
    counted = {one: counts for one, counts in every.items() if any(counts)}
    assert counted == {COMMANDS: (7, 2), VIEWS: (5, 2), RESOLVE: (1, 0), ROUTING: (1, 1)}
    took = {one: difference(before[one], after[one], "processing_time")[0] for one in counted}
    assert all(value > 0 for value in took.values())
    assert sum(took.values()) < spent
    assert [after[one]["last_error"] for one in (COMMANDS, VIEWS, ROUTING)] == [
        "404:COMMAND_UNKNOWN", "404:QUERY_UNKNOWN", "404:INBOX_NOT_FOUND",
    ]  # fmt: skip


def difference(before: Mapping[str, Any], after: Mapping[str, Any], *names: str) -> tuple[int, ...]:
    return tuple(after[name] - before[name] for name in names)
