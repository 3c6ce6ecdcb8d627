"""One load: rows go out side by side and in order where it matters; what is refused is kept, how far it came is kept.

What is answered without a gap from the beginning is never sent again; what was under way when it stopped is sent again
under the same ids, and has its answer already. The file of refused rows is written at the same moments as the place,
so that a row is in it once. Before a load goes on, the last row that the log has a position of is sent again: whoever
answers otherwise is not the Switchboard that the load was begun with, and is given nothing more.
"""

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import orjson

from services.ops.loading.order import Order, touched
from services.ops.loading.place import Elsewhere, Place
from services.ops.loading.rows import Row
from shared.client import Reason, Switchboard, Unanswered, Unsendable
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
        self.unanswered: Unanswered | None = None
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
        """
        self._running = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self.interrupt)
        left = enumerate(rows)
        try:
            await self._pass_by(left)
        except Unanswered as error:
            self.unanswered = error
            return False
        with self._refused.open("ab") as file:
            # Somebody may have taken rows out of it meanwhile, to mend them.
            self._place.refused_bytes = min(self._place.refused_bytes, file.tell())
            file.truncate(self._place.refused_bytes)
            async with asyncio.TaskGroup() as tasks:
                for number, row in left:
                    await self._room.acquire()
                    if self._stopping.is_set():
                        self._room.release()
                        break
                    tasks.create_task(self._give(number, row, file))
            self._keep(file)
        return not self._stopping.is_set()

    async def _pass_by(self, left: Iterator[tuple[int, Row]]) -> None:
        """Those that are answered already."""
        for _, row in islice(left, self._place.rows):
            if row.line == self._place.known_line:
                reply = await self._asked(row)
                if reply.get("position") != self._place.known_position:
                    raise Elsewhere(f"line {row.line:,}")

    async def _give(self, number: int, row: Row, file: IO[bytes]) -> None:
        try:
            reply = await self._decided(row)
        except Unanswered as error:
            self.unanswered = self.unanswered or error
            self.stop()
            return
        finally:
            self._room.release()
        if reply is not None:
            self._answered[number] = (row, reply)
            self._advance(file)

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
            return None if self.unanswered else await self._asked(row)
        finally:
            self._order.leave(things, done)

    async def _asked(self, row: Row) -> Mapping[str, Any]:
        body = {"command_id": self._place.id_of(row.line), **row.fields}
        try:
            reply = await self._switchboard.ask(subjects.command(row.account, row.command), body)
        except Unsendable as error:
            return {"outcome": "refused", "reason": "UNREADABLE", "message": str(error)}
        if reply.get("reason") == Reason.BUSY:
            raise Unanswered(row.command, 0.0, body["command_id"], "it is too busy")
        return reply

    def _advance(self, file: IO[bytes]) -> None:
        """Counts what is answered without a gap, and keeps it every now and then."""
        place = self._place
        while (found := self._answered.pop(place.rows, None)) is not None:
            row, reply = found
            place.rows += 1
            if position := reply.get("position"):
                place.known_line, place.known_position = row.line, position
            match reply.get("outcome"):
                case "accepted":
                    place.accepted += 1
                case "unchanged":
                    place.unchanged += 1
                case _:
                    place.refused += 1
                    file.write(line_of(row.again() | {REFUSED: why(row, reply)}))
        if time.monotonic() - self._kept > KEEP_SECONDS:
            self._keep(file)

    def _keep(self, file: IO[bytes]) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._place.refused_bytes = file.tell()
        self._place.keep()
        self._kept = time.monotonic()


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
