"""Each service run by itself tells on its own port that it lives, whether it can work, and what it has counted."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.metrics_page import Page
from tests.real_servers import RunningNats, RunningPostgres, wait_until
from tests.scale.fleet import SERVICES, Fleet, Member, fleet

# What is not ready without PostgreSQL, and what without NATS.
NEEDS_POSTGRES = {
    "connections": "postgres",
    "relay": "postgres",
    "inbox-views": "view",
    "routing": "view",
    "audit": "history",
}
NEEDS_NATS = "nats"
OF_A_VIEW = {
    "switchboard_view_lag_seconds",
    "switchboard_history_lag_seconds",
    "switchboard_questions",
    "switchboard_consumer_pending_messages",
}
OWN_FAMILIES = {
    "connections": {"switchboard_commands", "switchboard_command_duration_seconds", "switchboard_commit_commands"},
    "relay": {"switchboard_relay_leading", "switchboard_relay_position", "switchboard_relay_lag_seconds"},
    "inbox-views": OF_A_VIEW,
    "routing": OF_A_VIEW,
    "audit": {"switchboard_history_lag_seconds", "switchboard_questions"},
}


@pytest.fixture
def alone(private_nats: RunningNats, private_postgres: RunningPostgres) -> Iterator[Fleet]:
    """One process of each service, ready."""
    with fleet(private_nats.url, private_postgres.url) as made:
        made.grow(1)
        yield made


def members(alone: Fleet) -> dict[str, Member]:
    return {service: alone.members[service][0] for service in SERVICES}


def asked(member: Member, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{member.port}{path}", timeout=10) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def health(member: Member) -> tuple[int, dict[str, Any]]:
    status, body = asked(member, "/health/ready")
    return status, json.loads(body)


def page(member: Member) -> Page:
    status, body = asked(member, "/metrics")
    assert status == 200
    return Page(body.decode())


def all_ready(alone: Fleet) -> None:
    for member in members(alone).values():
        member.wait_until_ready()


def named(member: Member, part: str) -> bool:
    """Whether it says that it is not ready, and that this part is why."""
    status, told = health(member)
    return status == 503 and told["ready"] is False and told["parts"][part] != "ok"


def test_it_names_the_part_that_goes_away_and_is_ready_when_that_is_back(
    alone: Fleet, private_nats: RunningNats, private_postgres: RunningPostgres
) -> None:
    for service, member in members(alone).items():
        assert health(member)[0] == 200
        assert page(member).value("switchboard_part_ready", service=service, part=NEEDS_POSTGRES[service]) == 1
    private_postgres.stop()
    for service, member in members(alone).items():
        part = NEEDS_POSTGRES[service]
        wait_until(lambda m=member, p=part: named(m, p), what=f"{service} to name {part}")  # type: ignore[misc]
        assert asked(member, "/health/live")[0] == 200
        assert page(member).value("switchboard_part_ready", service=service, part=part) == 0
    private_postgres.start()
    all_ready(alone)
    private_nats.kill()
    for service, member in members(alone).items():
        wait_until(lambda m=member: named(m, NEEDS_NATS), what=f"{service} to name NATS")  # type: ignore[misc]
        assert asked(member, "/health/live")[0] == 200
        assert page(member).value("switchboard_part_ready", service=service, part=NEEDS_NATS) == 0
    private_nats.start()
    all_ready(alone)


def test_it_tells_its_own_metrics_and_no_others(alone: Fleet) -> None:
    for service, member in members(alone).items():
        own = OWN_FAMILIES[service]
        wait_until(lambda m=member, o=own: o <= set(page(m).families), what=f"{service} to tell all")  # type: ignore[misc]
        found = page(member)
        assert {dict(labels)["service"] for values in found.samples.values() for labels in values} == {service}
        others = set().union(*(OWN_FAMILIES[other] for other in SERVICES)) - own
        assert not others & set(found.families)
        assert asked(member, "/health/live") == (200, b'{"live":true}')
        assert asked(member, "/nowhere")[0] == 404
