"""Metrics of the connection to NATS."""

from collections.abc import Sequence

from shared.process.metrics import Metric, counter
from shared.wire import permissions


async def refusals() -> Sequence[Metric]:
    told = "What NATS did not allow this process, by what was wanted."
    return [counter("switchboard_nats_refused_total", told, ("verb",), permissions.PROCESS.counts)]
