"""One load: rows go out side by side and in order where it matters; what is refused is kept, how far it came is kept.

What is answered without a gap from the beginning is never sent again; what was under way when it stopped is sent again
under the same ids, and has its answer already. The file of refused rows is written at the same moments as the place,
so that a row is in it once. Before a load goes on, the last row that the log has a position of is sent again: whoever
answers otherwise is not the Switchboard that the load was begun with, and is given nothing more.
"""

import asyncio
import hashlib
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import orjson

from services.ops.loading.encodings import Unreadable
from services.ops.loading.order import Order, touched
from services.ops.loading.place import Elsewhere, Mended, Place
from services.ops.loading.rows import Row
from shared.client import InvalidRequest, PermissionDenied, Reason, RequestTimeout, Switchboard
from shared.language import subjects

IN_FLIGHT: Final = 256
KEEP_SECONDS: Final = 1.0
REFUSED: Final = "_refused"


class Load:
    """Sends the rows; `place` says how far. Stops early on `stop`, or when an answer stays away."""

    def __init__(self, switchboard: Switchboard, place: Place, refused: Path, in_flight: int) -> None:
        self._switchboard = switchboard
        self._place = place
        self._refused = refused
        self._room = asyncio.Semaphore(in_flight)
        self._order = Order()
        self._answered: dict[int, tuple[Row, Mapping[str, Any]]] = {}
        self._kept = time.monotonic()
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[Any] | None = None
        self._written = hashlib.sha256()
        # Why it did not come to its end, when nobody stopped it.
        self.trouble: RequestTimeout | PermissionDenied | OSError | None = None
        self.interrupted = False

    def stop(self) -> None:
        """Sends no more; what is under way gets its answers."""
        self._stopping.set()

    def interrupt(self) -> None:
        """As `stop`, by whoever waits; a second time he waits no more, and what has no answer is sent again later."""
        if self.interrupted and self._running is not None:
            self._running.cancel()
        self.interrupted = True
        self.stop()

    async def run(self, rows: Iterable[Row]) -> bool:
        """Whether all rows are answered.

        Raises:
            Elsewhere: this is not the Switchboard that the load was begun with.
            Mended: the file of refused rows is not as it was left.
            Unreadable: the rest of the file cannot be read any more; what came before it is kept.
            OSError: how far it came cannot be kept.
        """
        self._running = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self.interrupt)
        left, unreadable = enumerate(rows), None
        try:
            await self._pass_by(left)
        except (RequestTimeout, PermissionDenied) as error:
            self.trouble = error
            return False
        with self._refused.open("a+b") as file:
            self._go_on_in(file)
            async with asyncio.TaskGroup() as tasks:
                try:
                    for number, row in left:
                        await self._room.acquire()
                        if self._stopping.is_set():
                            self._room.release()
                            break
                        tasks.create_task(self._give(number, row, file))
                except Unreadable as error:
                    unreadable = error
            self._keep(file)
        if unreadable:
            raise unreadable
        return not self._stopping.is_set()

    def _go_on_in(self, file: IO[bytes]) -> None:
        """Behind the rows that are counted. When somebody took the file away, a new one is begun."""
        place = self._place
        if file.tell() == 0:
            place.refused_bytes = 0
        file.seek(0)
        self._written.update(file.read(place.refused_bytes))
        if place.refused_bytes and self._written.hexdigest() != place.refused_digest:
            raise Mended
        file.truncate(place.refused_bytes)

    async def _pass_by(self, left: Iterator[tuple[int, Row]]) -> None:
        """Those that are answered already."""
        for number, row in islice(left, self._place.rows):
            if number + 1 == self._place.known_row:
                reply = await self._asked(row)
                position, event = self._place.known_position, self._place.known_event
                # A log restored from an older backup may give the same position again.
                if reply.get("position") != position or (event and event_of(reply) != event):
                    raise Elsewhere(f"line {row.line:,}")

    async def _give(self, number: int, row: Row, file: IO[bytes]) -> None:
        try:
            reply = await self._decided(row)
            if reply is not None:
                self._answered[number] = (row, reply)
                self._advance(file)
        except (RequestTimeout, PermissionDenied, OSError) as error:
            self.trouble = self.trouble or error
            self.stop()
        finally:
            self._room.release()

    async def _decided(self, row: Row) -> Mapping[str, Any] | None:
        """The reply; of a row that cannot be sent, a refusal that says why; None when it was not sent."""
        if row.trouble:
            return {"outcome": "refused", "reason": "UNREADABLE", "message": row.trouble}
        things = touched(row.account, row.command, row.fields)
        done = asyncio.Event()
        before = self._order.enter(things, done)
        try:
            for one in before:
                await one.wait()
            # What it waited for may have stayed without an answer: then it must not be decided before that is.
            return None if self.trouble else await self._asked(row)
        finally:
            self._order.leave(things, done)

    async def _asked(self, row: Row) -> Mapping[str, Any]:
        body = {"command_id": self._place.id_of(row.line), **row.fields}
        try:
            reply = await self._switchboard.request(subjects.command(row.account, row.command), body)
        except InvalidRequest as error:
            return {"outcome": "refused", "reason": "UNREADABLE", "message": str(error)}
        if reply.get("reason") == Reason.BUSY:
            raise RequestTimeout(row.command, 0.0, body["command_id"], "it is too busy")
        return reply

    def _advance(self, file: IO[bytes]) -> None:
        """Counts what is answered without a gap, and keeps it every now and then."""
        place = self._place
        while (found := self._answered.pop(place.rows, None)) is not None:
            row, reply = found
            place.rows += 1
            if position := reply.get("position"):
                place.known_row, place.known_position, place.known_event = place.rows, position, event_of(reply)
            match reply.get("outcome"):
                case "accepted":
                    place.accepted += 1
                case "unchanged":
                    place.unchanged += 1
                case _:
                    place.refused += 1
                    line = line_of(row.again() | {REFUSED: why(row, reply)})
                    file.write(line)
                    self._written.update(line)
        if time.monotonic() - self._kept > KEEP_SECONDS:
            self._keep(file)

    def _keep(self, file: IO[bytes]) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._place.refused_bytes, self._place.refused_digest = file.tell(), self._written.hexdigest()
        self._place.keep()
        self._kept = time.monotonic()


def event_of(reply: Mapping[str, Any]) -> str:
    """The id of the first event that the command made; empty when it made none."""
    events = reply.get("events") or [{}]
    return str(events[0].get("id") or "")


def line_of(told: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(told) + b"\n"
    except TypeError:
        # What no message can bear stays as it stood in the file.
        return json.dumps(told).encode() + b"\n"


def why(row: Row, reply: Mapping[str, Any]) -> dict[str, Any]:
    """What a person needs to mend the row: where it stood, and what the refusal says."""
    told = {name: reply[name] for name in ("reason", "message", "details", "next_actions") if reply.get(name)}
    return {"line": row.line, **told}
