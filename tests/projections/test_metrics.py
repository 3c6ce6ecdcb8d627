"""Relay and views tell where they stand and how far they are behind, also while they cannot go on."""

from collections.abc import AsyncIterator

import pytest

from services.inbox_views.app import INBOX_VIEWS
from services.relay.metrics import of_relay
from services.relay.relay import Relay
from shared.process import clock, metrics
from shared.process.lag import seconds_waiting
from shared.process.log_reader import StoredEvent
from shared.process.stored_events import to_state
from shared.wire.cloud_events import to_wire
from tests.inbox_views.stories import Bus, beginning, eventually, on_bus, service_running
from tests.metrics_page import Page
from tests.projections.running_views import reached, story, write_log
from tests.real_servers import RunningNats
from tests.relay.test_relay import Log, all_told, relaying

VIEW = "inbox_views"


@pytest.fixture
async def bus(private_nats: RunningNats) -> AsyncIterator[Bus]:
    async with on_bus(private_nats.url) as client:
        yield client


async def told_by(relay: Relay, database: str) -> Page:
    async with of_relay(relay, database) as sources:
        return Page((await metrics.page("relay", sources)).decode())


async def stands_at(relay: Relay, position: int) -> bool:
    return relay.position == position


def test_an_event_is_as_old_as_it_says_and_a_clock_that_goes_wrong_makes_none_younger_than_new() -> None:
    one = beginning().recorded[0]._replace(time=clock.now())
    stored = StoredEvent(one.stream, one.version, one.event.stored_name(), to_state(one), 1)
    try:
        for jumped, told in ((3_600, 3_600), (-7_200, 0)):
            clock.jump(jumped)
            assert seconds_waiting(stored) == pytest.approx(told, abs=5)
    finally:
        clock.jump(3_600)
    assert seconds_waiting(stored._replace(state=b"{}")) is None


async def test_a_view_that_lags_reports_how_many_events_and_how_many_are_parked(
    bus: Bus, private_nats: RunningNats, database: str
) -> None:
    story_ = story()
    async with service_running(INBOX_VIEWS, private_nats.url, database) as service:
        await bus.publish(story_.recorded[:10])
        subject, headers, body = to_wire(story_.recorded[10])
        await bus.js.publish(subject, body, headers={**headers, "ce-type": "switchboard.Unheard.v9"})
        await reached(bus, 11)
        await write_log(database, story_.recorded)
        page = Page((await service.metrics_page()).decode())
        assert page.value("switchboard_view_position", view=VIEW) == 11
        assert page.value("switchboard_view_lag_events", view=VIEW) == story_.end - 11
        assert page.value("switchboard_view_parked_events", view=VIEW) == 1
        assert page.value("switchboard_view_carrying", view=VIEW) == 1
        await bus.publish(story_.recorded[11:])
        await reached(bus, story_.end)

        async def nothing_waits() -> bool:
            page = Page((await service.metrics_page()).decode())
            consumer = [f"switchboard_consumer_{what}_messages" for what in ("pending", "ack_pending")]
            return not any(page.value(name, consumer=VIEW) for name in consumer) and not any(
                page.value(f"switchboard_view_lag_{what}", view=VIEW) for what in ("events", "seconds")
            )

        await eventually(nothing_waits)


async def test_only_the_relay_that_leads_reports_a_position(private_nats: RunningNats, database: str) -> None:
    log = Log(database)
    log.append_new(5)
    async with relaying(private_nats.url, database) as first:
        await all_told(private_nats.url, log)
        async with relaying(private_nats.url, database) as second:
            page = await told_by(second, database)
        assert page.value("switchboard_relay_leading") == 0
        assert not {"switchboard_relay_position", "switchboard_relay_lag_events"} & set(page.samples)
        await eventually(lambda: stands_at(first, 5))
        page = await told_by(first, database)
        assert page.value("switchboard_relay_leading") == 1
        assert page.value("switchboard_relay_lag_events") == page.value("switchboard_relay_lag_seconds") == 0


async def test_a_relay_that_waits_for_nats_reports_how_many_events_wait(
    private_nats: RunningNats, database: str
) -> None:
    log = Log(database)
    log.append_new(3)
    async with relaying(private_nats.url, database) as relay:
        await all_told(private_nats.url, log)
        await eventually(lambda: stands_at(relay, 3))
        private_nats.pause()
        log.append_new(4)
        page = await told_by(relay, database)
        assert (page.value("switchboard_log_position"), page.value("switchboard_relay_lag_events")) == (7, 4)
        private_nats.resume()
        await all_told(private_nats.url, log)

        async def nothing_waits() -> bool:
            return not (await told_by(relay, database)).value("switchboard_relay_lag_events")

        await eventually(nothing_waits)
