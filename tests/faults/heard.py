"""What a follower of the stream heard while it happened, on record, and what of it is not as the contract promises.

A file of JSON lines. A reading begins wherever the follower had to begin anew; then one line for each message, as it
came, and one when the follower has ended:

    {"line": "reading", "at": 81276312…}
    {"line": "heard", "position": 17, "id": "<ce-id>", "digest": "…", "at": …}
    {"line": "ended", "at": …}

`digest` is of type and body, 0 stands for a position that is none. Times are nanoseconds of `time.monotonic_ns`.

Delivery is at least once: a position may come again, also after the stream was lost, with the same id and body. Ids and
positions make it once; what is new after that comes in the order of positions, without holes, within one reading, and
no reading begins beyond what was heard before.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import orjson

from tests.faults.history import Command
from tests.faults.verdict import Stored, Verdict

# Longer than any line but a reading's many.
TAIL_BYTES: Final = 4_096


class Heard(NamedTuple):
    """One message, as it came in the reading of that number."""

    reading: int
    position: int
    id: str
    digest: str
    at: int


@dataclass(frozen=True)
class Hearing:
    """All that one follower heard; `ended` is None when it was killed."""

    messages: Sequence[Heard]
    readings: int
    ended: int | None


def digest(type_: str, body: Any) -> str:
    """Of an event as it is told: its type, and its body as JSON says it or, where that is no JSON, as bytes."""
    told = body if isinstance(body, bytes) else orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(type_.encode() + b"\n" + told).hexdigest()[:16]


class Recorder:
    """Writes what one follower hears; all of a batch is with the operating system when `flush` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("xb")

    def reading(self) -> None:
        self._write({"line": "reading", "at": time.monotonic_ns()})

    def heard(self, position: int, id_: str, digest_: str) -> None:
        self._write({"line": "heard", "position": position, "id": id_, "digest": digest_, "at": time.monotonic_ns()})

    def ended(self) -> None:
        self._write({"line": "ended", "at": time.monotonic_ns()})

    def flush(self) -> None:
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(orjson.dumps(line) + b"\n")


def read(path: Path) -> Hearing:
    """The whole file, but for a torn last line."""
    messages, readings, ended = list[Heard](), 0, None
    *whole, _torn = path.read_bytes().split(b"\n")
    for line in map(orjson.loads, whole):
        match line["line"]:
            case "reading":
                readings += 1
            case "heard":
                messages.append(Heard(readings, line["position"], line["id"], line["digest"], line["at"]))
            case "ended":
                ended = line["at"]
    return Hearing(messages, readings, ended)


def latest(path: Path) -> int:
    """The position that was heard last, 0 before any."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        *whole, _torn = file.read().split(b"\n")
    lines = (orjson.loads(line) for line in reversed(whole) if line.startswith(b'{"line":"heard"'))
    return next((line["position"] for line in lines), 0)


# ---- the judgement


def of_what_was_heard(
    hearing: Hearing, commands: Iterable[Command], log: Sequence[Stored], tampered: Container[int] = ()
) -> Verdict:
    """What was heard against the log; at the positions `tampered` it was written anew after it had been told."""
    kept = {event.position: event for event in log}
    heard: dict[int, set[tuple[str, str]]] = defaultdict(set)
    for one in hearing.messages:
        heard[one.position].add((one.id, "" if one.position in tampered else one.digest))
    known = {position: told for position, told in heard.items() if position in kept}
    acknowledged = last_acknowledged(commands, hearing)
    return {
        "heard and never stored": [
            (position, id_)
            for position, told in sorted(heard.items())
            for id_, _ in sorted(told)
            if position not in kept or kept[position].id != id_
        ],
        "heard otherwise than stored": [
            position
            for position, told in sorted(known.items())
            if position not in tampered and any(said != as_stored(kept[position]) for _, said in told)
        ],
        "heard in two ways": [position for position, told in sorted(heard.items()) if len(told) > 1],
        "acknowledged and not heard": [
            event.position for event in log if event.position <= acknowledged and event.position not in heard
        ],
        **of_the_readings(hearing.messages),
    }


def as_stored(event: Stored) -> str:
    return digest(event.topic, event.data)


def last_acknowledged(commands: Iterable[Command], hearing: Hearing) -> int:
    """The last position that a client knew of before the follower had ended."""
    ended = hearing.ended or max((one.at for one in hearing.messages), default=0)
    told = (one for one in commands if one.outcome in ("accepted", "unchanged"))
    return max((one.position for one in told if one.completed is not None and one.completed < ended), default=0)


def of_the_readings(messages: Iterable[Heard]) -> Verdict:
    """What is new in a reading follows what is its latest."""
    back, over = list[tuple[int, int, int]](), list[tuple[int, int, int]]()
    reading, seen, last, furthest = 0, set[int](), 0, 0
    for one in messages:
        if one.reading != reading:
            reading, seen, last = one.reading, set(), min(one.position - 1, furthest)
        if one.position not in seen and one.position != last + 1:
            (back if one.position <= last else over).append((one.reading, last, one.position))
        seen.add(one.position)
        last = max(last, one.position)
        furthest = max(furthest, last)
    return {"heard out of order": back, "passed over in a reading": over}


def counted(hearing: Hearing) -> dict[str, int]:
    return {
        "heard": len(hearing.messages),
        "heard again": len(hearing.messages) - len({one.position for one in hearing.messages}),
        "readings": hearing.readings,
    }
