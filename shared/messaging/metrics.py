"""Metrics of the connection to NATS."""

from collections.abc import Sequence

from shared.process.metrics import Metric, counter
from shared.wire import permissions


async def refusals() -> Sequence[Metric]:
    description = "Permissions that NATS denied this process, by verb."
    return [counter("switchboard_nats_refused_total", description, ("verb",), permissions.PROCESS.counts)]
