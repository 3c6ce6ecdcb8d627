"""Whoever hears BUSY hears it with the error headers, and is counted: at `/metrics` and by the micro protocol."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from nats.aio.client import Client

from services.connections.app import connections
from services.connections.limits import LIMITS
from services.inbox_views.app import INBOX_VIEWS
from shared.language import subjects
from shared.messaging.service import Service
from shared.projections.projection_service import ServiceLimits
from tests.inbox_views.stories import eventually, is_ready, on_bus, service_open, service_running
from tests.metrics_page import Page
from tests.real_servers import RunningNats

FLOOD = 300
ROOM_FOR = 8


async def flood(client: Client, subject: str, body: Mapping[str, Any]) -> Counter[str]:
    """So many at the same moment: how many heard which error, all in the headers too; nothing for a success."""
    data = json.dumps(body).encode()
    replies = await asyncio.gather(*(client.request(subject, data, timeout=30) for _ in range(FLOOD)))
    heard: Counter[str] = Counter()
    for reply in replies:
        told, headers = json.loads(reply.data), reply.headers or {}
        reason = told.get("reason") or told.get("error") or ""
        assert headers.get("Nats-Service-Error", "") == reason
        assert bool(reason) == (400 <= int(headers.get("Nats-Service-Error-Code", 0)) < 600)
        heard[reason] += 1
    return heard


async def stats_of(client: Client, service: str) -> dict[str, Any]:
    told = json.loads((await client.request(f"$SRV.STATS.switchboard-{service}", timeout=10)).data)
    (endpoint,) = told["endpoints"]
    return dict(endpoint)


async def counted(service: Service, family: str) -> dict[str, float]:
    """By reason, whatever was asked."""
    page = Page((await service.metrics_page()).decode())
    return {reason: count for (reason,), count in page.since(Page(""), family, "reason").items()}


async def test_commands_that_there_is_no_room_for_are_counted(private_nats: RunningNats, database: str) -> None:
    small = partial(connections, limits=LIMITS._replace(waiting=ROOM_FOR))
    async with (
        service_open("connections", small, private_nats.url, database) as service,
        on_bus(private_nats.url) as bus,
    ):
        await eventually(lambda: is_ready(service))
        heard = await flood(bus.client, subjects.command("acme", "AssignSeat"), {"actor": "ana", "user": "bob"})
        stats = await stats_of(bus.client, "connections")
        assert set(heard) == {"BUSY", "ACCOUNT_NOT_FOUND"}
        assert await counted(service, "switchboard_commands_total") == heard
    assert (stats["num_requests"], stats["num_errors"], stats["data"]) == (FLOOD, FLOOD, {"busy": heard["BUSY"]})


async def test_questions_that_there_is_no_room_for_are_counted(private_nats: RunningNats, database: str) -> None:
    small = replace(INBOX_VIEWS, limits=ServiceLimits(questions_in_progress=ROOM_FOR))
    async with (
        service_running(small, private_nats.url, database) as service,
        on_bus(private_nats.url) as bus,
    ):
        await bus.publish([])
        await eventually(lambda: is_ready(service))
        heard = await flood(bus.client, subjects.query("acme", "Usage"), {"actor": "ana"})
        stats = await stats_of(bus.client, "inbox-views")
        assert set(heard) == {"BUSY", "ACCOUNT_NOT_FOUND"}
        assert await counted(service, "switchboard_questions_total") == heard
    assert (stats["num_requests"], stats["num_errors"], stats["data"]) == (FLOOD, FLOOD, {"busy": heard["BUSY"]})
