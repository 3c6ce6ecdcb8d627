"""One load: commands run concurrently, in order where they depend on one another; its checkpoint is saved each second.

Rows answered without a gap from the first one are never sent again. A row without an answer is sent again under the
same command id, and gets its first answer if it has one. The file of refused rows and the checkpoint are saved
together, so that a refused row is written once.

A resumed load first sends its last row with a position again. An answer with another position comes from another
Switchboard, and the load stops.
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

from services.ops.loading.checkpoint import Checkpoint, RejectsFileEditedError, WrongServerError
from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.order import Order, touched
from services.ops.loading.rows import Row
from shared.client import InvalidRequest, PermissionDenied, Reason, RequestTimeout, Switchboard
from shared.language import subjects

IN_FLIGHT: Final = 256
SAVE_SECONDS: Final = 1.0
REFUSED: Final = "_refused"


class Load:
    """Sends the rows and keeps the checkpoint; stops early on `stop`, or when a command gets no answer."""

    def __init__(self, switchboard: Switchboard, checkpoint: Checkpoint, refused: Path, in_flight: int) -> None:
        self._switchboard = switchboard
        self._checkpoint = checkpoint
        self._refused = refused
        self._slots = asyncio.Semaphore(in_flight)
        self._order = Order()
        self._answered: dict[int, tuple[Row, Mapping[str, Any]]] = {}
        self._saved_at = time.monotonic()
        self._stopping = asyncio.Event()
        self._running: asyncio.Task[Any] | None = None
        self._written = hashlib.sha256()
        # Why it ended early without being stopped.
        self.error: RequestTimeout | PermissionDenied | OSError | None = None
        self.interrupted = False

    def stop(self) -> None:
        """Send no more rows; the commands under way still get their answers."""
        self._stopping.set()

    def interrupt(self) -> None:
        """Stop; a second time, leave at once. Rows without an answer are sent again by the next run."""
        if self.interrupted and self._running is not None:
            self._running.cancel()
        self.interrupted = True
        self.stop()

    async def run(self, rows: Iterable[Row]) -> bool:
        """Return whether all rows are answered.

        Raises:
            WrongServerError: this is not the Switchboard that the load started with.
            RejectsFileEditedError: the file of refused rows was edited since.
            UnreadableFileError: the rest of the file cannot be read any more; progress up to there is saved.
            OSError: the progress cannot be saved.
        """
        self._running = asyncio.current_task()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self.interrupt)
        left, unreadable = enumerate(rows), None
        try:
            await self._skip_answered(left)
        except (RequestTimeout, PermissionDenied) as error:
            self.error = error
            return False
        with self._refused.open("a+b") as file:
            self._resume_refused_file(file)
            async with asyncio.TaskGroup() as tasks:
                try:
                    for number, row in left:
                        await self._slots.acquire()
                        if self._stopping.is_set():
                            self._slots.release()
                            break
                        tasks.create_task(self._process(number, row, file))
                except UnreadableFileError as error:
                    unreadable = error
            self._save(file)
        if unreadable:
            raise unreadable
        return not self._stopping.is_set()

    def _resume_refused_file(self, file: IO[bytes]) -> None:
        """Continue behind the rows that are counted; a removed file is started again."""
        checkpoint = self._checkpoint
        if file.tell() == 0:
            checkpoint.refused_bytes = 0
        file.seek(0)
        self._written.update(file.read(checkpoint.refused_bytes))
        if checkpoint.refused_bytes and self._written.hexdigest() != checkpoint.refused_digest:
            raise RejectsFileEditedError
        file.truncate(checkpoint.refused_bytes)

    async def _skip_answered(self, left: Iterator[tuple[int, Row]]) -> None:
        for number, row in islice(left, self._checkpoint.rows):
            if number + 1 == self._checkpoint.known_row:
                reply = await self._send(row)
                position, event = self._checkpoint.known_position, self._checkpoint.known_event
                # A log restored from an older backup may assign the same position again.
                if reply.get("position") != position or (event and first_event_id(reply) != event):
                    raise WrongServerError(f"line {row.line:,}")

    async def _process(self, number: int, row: Row, file: IO[bytes]) -> None:
        try:
            reply = await self._send_in_order(row)
            if reply is not None:
                self._answered[number] = (row, reply)
                self._advance(file)
        except (RequestTimeout, PermissionDenied, OSError) as error:
            self.error = self.error or error
            self.stop()
        finally:
            self._slots.release()

    async def _send_in_order(self, row: Row) -> Mapping[str, Any] | None:
        """Return the reply, a refusal for a row that cannot be sent, or None when the load stopped before."""
        if row.error:
            return {"outcome": "refused", "reason": "UNREADABLE", "message": row.error}
        things = touched(row.account, row.command, row.fields)
        done = asyncio.Event()
        before = self._order.enter(things, done)
        try:
            for one in before:
                await one.wait()
            # A row before it may have got no answer; then this one must not be decided first.
            return None if self.error else await self._send(row)
        finally:
            self._order.leave(things, done)

    async def _send(self, row: Row) -> Mapping[str, Any]:
        body = {"command_id": self._checkpoint.command_id(row.line), **row.fields}
        try:
            reply = await self._switchboard.request(subjects.command(row.account, row.command), body)
        except InvalidRequest as error:
            return {"outcome": "refused", "reason": "UNREADABLE", "message": str(error)}
        if reply.get("reason") == Reason.BUSY:
            raise RequestTimeout(row.command, 0.0, body["command_id"], "it is too busy")
        return reply

    def _advance(self, file: IO[bytes]) -> None:
        """Count the rows answered without a gap, and save them about once a second."""
        checkpoint = self._checkpoint
        while (found := self._answered.pop(checkpoint.rows, None)) is not None:
            row, reply = found
            checkpoint.rows += 1
            if position := reply.get("position"):
                checkpoint.known_row, checkpoint.known_position = checkpoint.rows, position
                checkpoint.known_event = first_event_id(reply)
            match reply.get("outcome"):
                case "accepted":
                    checkpoint.accepted += 1
                case "unchanged":
                    checkpoint.unchanged += 1
                case _:
                    checkpoint.refused += 1
                    line = json_line(row.to_reload() | {REFUSED: refusal_note(row, reply)})
                    file.write(line)
                    self._written.update(line)
        if time.monotonic() - self._saved_at > SAVE_SECONDS:
            self._save(file)

    def _save(self, file: IO[bytes]) -> None:
        file.flush()
        os.fsync(file.fileno())
        self._checkpoint.refused_bytes, self._checkpoint.refused_digest = file.tell(), self._written.hexdigest()
        self._checkpoint.save()
        self._saved_at = time.monotonic()


def first_event_id(reply: Mapping[str, Any]) -> str:
    """The id of the first event that the command caused; empty without events."""
    events = reply.get("events") or [{}]
    return str(events[0].get("id") or "")


def json_line(row: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(row) + b"\n"
    except TypeError:
        # A value that no message can carry stays as the file has it.
        return json.dumps(row).encode() + b"\n"


def refusal_note(row: Row, reply: Mapping[str, Any]) -> dict[str, Any]:
    """The line of the row and the refusal, for the person who repairs it."""
    refusal = {name: reply[name] for name in ("reason", "message", "details", "next_actions") if reply.get(name)}
    return {"line": row.line, **refusal}
