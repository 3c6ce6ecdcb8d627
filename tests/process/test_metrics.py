"""What is counted comes out as Prometheus reads it, and pages of several services make one."""

import asyncio
import math
from collections.abc import Sequence

import psycopg
import pytest

from shared.process import health as health_page
from shared.process import metrics
from shared.process.health import Health
from shared.process.histograms import DURATIONS, Histogram
from tests.metrics_page import Page
from tests.real_servers import free_port


def histogram_of(*values: int, bounds: Sequence[int] = (1, 2, 4)) -> Histogram:
    found = Histogram(bounds)
    found.observe(values)
    return found


async def page_of(service: str, *families: metrics.Metric) -> bytes:
    async def source() -> Sequence[metrics.Metric]:
        return families

    return await metrics.page(service, [source])


def test_a_value_counts_at_the_first_bound_that_is_not_below_it() -> None:
    found = histogram_of(0, 1, 2, 3, 4, 5, 500)
    assert (found.counts, found.sum) == ([2, 1, 2, 2], 515)


async def test_buckets_add_up_and_durations_are_told_in_seconds() -> None:
    took = histogram_of(900_000, 3_000_000, 60_000_000_000, bounds=DURATIONS)
    page = Page((await page_of("a", metrics.histogram("switchboard_x_seconds", "Told.", took))).decode())
    buckets = {dict(has)["le"]: value for has, value in page.samples["switchboard_x_seconds_bucket"].items()}
    assert [buckets["0.001"], buckets["0.0025"], buckets["0.005"], buckets["10.0"]] == [1, 1, 2, 2]
    assert buckets["+Inf"] == page.value("switchboard_x_seconds_count") == 3
    assert page.value("switchboard_x_seconds_sum") == pytest.approx(60.0039)


async def test_counts_have_their_labels_and_every_sample_its_service() -> None:
    counts = {("ConnectTeam", "accepted", None): 2, ("other", "refused", "BUSY"): 5}
    labels = ("command", "outcome", "reason")
    page = Page(
        (await page_of("connections", metrics.counter("switchboard_c_total", "Told.", labels, counts))).decode()
    )
    assert page.value("switchboard_c_total", command="ConnectTeam", outcome="accepted", reason="") == 2
    assert page.value("switchboard_c_total", command="other", outcome="refused", reason="BUSY") == 5
    assert {dict(has)["service"] for values in page.samples.values() for has in values} == {"connections"}


async def test_samples_of_a_family_from_several_sources_are_in_one_piece() -> None:
    families = [metrics.gauge("switchboard_x", "Told.", value, view=view) for view, value in (("a", 1.0), ("b", 2.0))]
    page = Page((await page_of("audit", *families)).decode())
    assert [page.value("switchboard_x", view=view) for view in ("a", "b")] == [1.0, 2.0]


async def test_a_page_tells_of_the_process_itself() -> None:
    page = Page((await page_of("a")).decode())
    assert page.value("process_resident_memory_bytes", service="a") > 1_000_000
    assert page.value("process_cpu_seconds_total", service="a") > 0


async def test_each_part_has_its_readiness() -> None:
    told = metrics.readiness(Health("a", {"nats": "ok", "postgres": "away"}))
    page = Page((await page_of("a", told)).decode())
    assert page.value("switchboard_part_ready", part="nats") == 1
    assert page.value("switchboard_part_ready", part="postgres") == 0


async def test_a_source_without_an_answer_is_left_out_and_the_others_are_shown() -> None:
    async def away() -> Sequence[metrics.Metric]:
        raise psycopg.OperationalError("away")

    async def hangs() -> Sequence[metrics.Metric]:
        await asyncio.sleep(60)
        return [metrics.gauge("switchboard_late", "Told.", 1)]

    async def well() -> Sequence[metrics.Metric]:
        return [metrics.gauge("switchboard_well", "Told.", math.nan, view="v")]

    page = Page((await metrics.page("a", [away, hangs, well], source_seconds=0.05)).decode())
    assert math.isnan(page.value("switchboard_well", view="v"))
    assert {name for name in page.families if name.startswith("switchboard_")} == {"switchboard_well"}


async def test_pages_of_several_services_make_one_with_each_family_in_one_piece() -> None:
    pages = [
        await page_of(service, metrics.gauge("switchboard_g", "Told.", value), *more)
        for service, value, more in (
            ("one", 1, [metrics.histogram("switchboard_h", "Told.", histogram_of(3), unit=1)]),
            ("two", 2, [metrics.counter("switchboard_c_total", "Told.", ("a",), {("# HELPful",): 7})]),
        )
    ]
    page = Page(metrics.merged([*pages, b""]).decode())
    assert [page.value("switchboard_g", service=service) for service in ("one", "two")] == [1, 2]
    assert page.value("switchboard_h_count", service="one") == 1
    assert page.value("switchboard_c_total", service="two") == 7
    assert len(page.samples["process_open_fds"]) == 2


async def test_the_page_is_given_over_http_beside_health() -> None:
    async def healthy() -> Health:
        return Health("a", {"nats": "ok"})

    async def page() -> bytes:
        return await page_of("a", metrics.gauge("switchboard_g", "Told.", 1))

    port = free_port()
    async with health_page.serve_http(port, healthy, page):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head
    assert Page(body.decode()).value("switchboard_g", service="a") == 1
