"""The page at `/metrics` in the text format of Prometheus, made for each request.

Every sample has the label `service`, so that pages of several processes can be merged. Labels have few values, known
beforehand: never an account, an address, or a name that a caller has made up.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeVar

import psycopg
from prometheus_client import ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from shared.language import subjects
from shared.process.health import PROBE_SECONDS, READY, Health
from shared.process.histograms import Histogram

__all__ = ["Metric", "Source", "counter", "gauge", "histogram", "merged", "page", "readiness", "subject"]

NANOSECONDS: Final = 1e-9
# Longer than a probe, so that readiness can name the part that hangs.
SOURCE_SECONDS: Final = PROBE_SECONDS + 0.5
_PART: Final = b"# HELP "

Source = Callable[[], Awaitable[Sequence[Metric]]]
Values = TypeVar("Values", bound=tuple[str | None, ...])


def counter(name: str, description: str, labels: Sequence[str], counts: Mapping[Values, int]) -> Metric:
    """Make counts by the values of the labels; None becomes an empty text."""
    family = CounterMetricFamily(name, description, labels=labels)
    for values, count in counts.items():
        family.add_metric([str(value or "") for value in values], count)
    return family


def gauge(name: str, description: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, description, labels=list(labels))
    family.add_metric(list(labels.values()), value)
    return family


def histogram(
    name: str,
    description: str,
    distributions: Histogram | Mapping[str, Histogram],
    label: str | None = None,
    unit: float = NANOSECONDS,
) -> Metric:
    """Make one distribution, or several by the value of the label; `unit` is the size of 1 in the metric's unit."""
    family = HistogramMetricFamily(name, description, labels=[label] if label else [])
    for value, one in ({"": distributions} if isinstance(distributions, Histogram) else distributions).items():
        # As Prometheus writes them itself; the product alone may be 0.10000000000000001.
        bounds = [*(str(float(f"{bound * unit:g}")) for bound in one.bounds), "+Inf"]
        buckets = list(zip(bounds, map(float, accumulate(one.counts)), strict=True))
        family.add_metric([value] if label else [], buckets, one.sum * unit)
    return family


def readiness(health: Health) -> Metric:
    family = GaugeMetricFamily("switchboard_part_ready", "1 for each part that is ready, else 0.", labels=["part"])
    for part, state in health.parts.items():
        family.add_metric([part], float(state == READY))
    return family


# ---- the page


@dataclass(frozen=True)
class _Collected:
    """A collector of the library, with metrics that are there already."""

    families: Iterable[Metric]

    def collect(self) -> Iterable[Metric]:
        return self.families


_process: Final = ProcessCollector(registry=None)


async def page(service: str, sources: Iterable[Source], source_seconds: float = SOURCE_SECONDS) -> bytes:
    """Collect the sources and the metrics of the system; leave out a source without an answer in time."""
    groups = await asyncio.gather(*(_collect(source, source_seconds) for source in sources))
    families = _by_name([*(family for group in groups for family in group), *_process.collect()])
    for family in families:
        family.samples = [sample._replace(labels={"service": service, **sample.labels}) for sample in family.samples]
    return generate_latest(_Collected(families))


def _by_name(families: Iterable[Metric]) -> Sequence[Metric]:
    """Return each family in one piece, also where several sources have samples of it."""
    found: dict[str, Metric] = {}
    for family in families:
        if found.setdefault(family.name, family) is not family:
            found[family.name].samples += family.samples
    return list(found.values())


async def _collect(source: Source, seconds: float) -> Sequence[Metric]:
    """Return nothing rather than something old; readiness names the server that is away."""
    try:
        async with asyncio.timeout(seconds):
            return await source()
    except (psycopg.Error, OSError, TimeoutError):
        return ()


def merged(pages: Iterable[bytes]) -> bytes:
    """Merge pages into one: each family in one piece, under its first heading."""
    families: dict[bytes, list[bytes]] = {}
    for text in pages:
        for part in text.split(_PART)[1:]:
            help_line, type_line, samples = part.split(b"\n", 2)
            heading = b"%b%b\n%b\n" % (_PART, help_line, type_line)
            families.setdefault(help_line.split(b" ", 1)[0], [heading]).append(samples)
    return b"".join(piece for pieces in families.values() for piece in pieces)


def subject(service: str, pid: int) -> str:
    """Return the subject at which one process of this machine answers with its page."""
    return subjects.metrics(service, f"{re.sub('[^A-Za-z0-9_-]', '-', socket.gethostname())}-{pid}")
