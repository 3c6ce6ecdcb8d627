"""Rows, stream and log must belong together: positions of another log count other events."""

from nats.js import JetStreamContext

from shared.language.subjects import Ce
from shared.messaging import event_stream
from shared.process.log_reader import LogReader
from shared.projections.checkpoint import LogMismatchError, log_mismatch
from shared.projections.durable_consumer import DurableConsumer, as_position
from shared.projections.schemas import PreconditionFailedError
from shared.projections.view import View
from shared.wire.cloud_events import PUBLISHED_BY_RELAY


class LogGuard:
    """Checks that a view's rows, and the stream that it follows, are of the log in its database."""

    def __init__(self, view: View, log: LogReader) -> None:
        self._view = view
        self._log = log

    async def rows_usable(self) -> bool:
        """Return whether events can be applied to the rows.

        Raises:
            LogMismatchError: the rows were of a lost log; they are dropped now.
            PreconditionFailedError: another process changed them meanwhile.
        """
        checkpoint = await self._view.checkpoint()
        # Lost rows are rebuilt in another schema, so no answer comes from rows with half of the log.
        usable = (checkpoint is not None or not await self._log.end()) and await self._view.prepare()
        checkpoint = await self._view.checkpoint()
        if checkpoint and (why := await log_mismatch(self._log, checkpoint)):
            if not await self._view.discard(checkpoint):
                raise PreconditionFailedError("the position of the rows has changed meanwhile")
            raise LogMismatchError(f"{why}; the rows are rebuilt")
        return usable

    async def require_log(self) -> int:
        """Return the position of the rows.

        Raises:
            LogMismatchError: the rows cannot be of the present log.
            PreconditionFailedError: there are no rows.
        """
        checkpoint = await self._view.checkpoint()
        if checkpoint is None:
            raise PreconditionFailedError("the rows are gone")
        if why := await log_mismatch(self._log, checkpoint):
            raise LogMismatchError(f"{why}; the rows are rebuilt")
        if checkpoint.event is None and checkpoint.position and (id_ := await self._log.id_at(checkpoint.position)):
            await self._view.record_event_id(checkpoint.position, id_)
        return checkpoint.position

    async def require_stream(self, js: JetStreamContext, consumer: DurableConsumer) -> None:
        """Require a stream of this log and of no other.

        Raises:
            event_stream.UnusableStreamError: it is not as declared, or has events that the log lacks.
        """
        log_id = await self._log.identity()
        state = (await event_stream.declare_stream(js, log_id, create=False)).state
        if log_id is None:
            return
        async for headers in consumer.newest_headers(state):
            position = as_position(headers.get(Ce.POSITION))
            if position is not None and not PUBLISHED_BY_RELAY.isdisjoint(headers):
                if await self._log.id_at(position) != headers.get(Ce.ID):
                    raise event_stream.StreamContradictsLog(
                        f"the stream ends with an event at position {position} that the log does not hold: the log was "
                        "restored. `switchboard streams --delete` has the stream published again from the log"
                    )
                return
