"""The events at which access began or ended, as answers name them."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.language.events import EVENTS
from shared.process.log_reader import EventLog, StoredEvent

Edge = dict[str, Any]


async def read_edges(log: EventLog, positions: Iterable[int | None]) -> Mapping[int, Edge]:
    """Return the events at these positions, by position; None is passed over."""
    wanted = sorted({position for position in positions if position is not None})
    found = {event.position: edge_of(event) for event in await log.events_at(wanted)} if wanted else {}
    return {position: found.get(position) or _unreadable(position) for position in wanted}


def edge_of(event: StoredEvent) -> Edge:
    try:
        envelope = orjson.loads(event.state)
        return {
            "position": event.position,
            "time": envelope["time"],
            "event": envelope["id"],
            "type": name_of(event.topic),
            "actor": envelope["actor"],
            "command_id": envelope["command_id"],
        }
    except (ValueError, KeyError, TypeError):
        return _unreadable(event.position) | {"type": name_of(event.topic)}


def name_of(topic: str) -> str:
    """Return the name of an event; the stored name of one that this release does not know."""
    return EVENTS[topic].__name__ if topic in EVENTS else topic


def _unreadable(position: int) -> Edge:
    return {"position": position, "time": None, "event": None, "type": None, "actor": None, "command_id": None}
