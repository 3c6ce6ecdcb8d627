"""The durable consumer of one view: made where the view stands, and made again whenever it may keep something back."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from typing import Final

import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, ReplayPolicy, StreamState

from shared.language import subjects
from shared.language.subjects import Ce
from shared.messaging import bus
from shared.process.settings import Settings
from shared.wire import permissions
from shared.wire.connection import flush_confirmed
from shared.wire.permissions import ACKNOWLEDGEMENTS, PermissionDenied

ACK_WAIT_SECONDS: Final = 30.0
# So many looks in a row at which something was due, and nothing came in between.
MAX_IDLE_CHECKS: Final = 2
# Messages of somebody else that are passed over at the end of the stream.
FOREIGN_MESSAGES: Final = 100

POSITION: Final = re.compile("[1-9][0-9]{0,17}")

log = structlog.get_logger(__name__)


class DurableConsumer:
    """The consumer called like its view. `calm` says whether the last look found that nothing is due."""

    def __init__(self, client: Client, js: JetStreamContext, view: str) -> None:
        self._client = client
        self._js = js
        self._view = view
        self._permissions = permissions.of(client)
        # So many refusals there had been when acknowledgements were last known to be taken.
        self._accepted_at = self._permissions.count
        self._checked_at = 0.0
        self._idle_checks = 0
        self.idle = False

    async def bind(self, position: int, *, distrusted: bool) -> None:
        """There is a consumer, of the shape written here, and not ahead of the view; made again when `mistrusted`."""
        self._checked_at, self._idle_checks, self.idle = 0.0, 0, False
        try:
            info = await self._js.consumer_info(subjects.EVENT_STREAM, self._view)
        except nats.js.errors.NotFoundError:
            await self._create(position)
            return
        except (nats.js.errors.APIError, TimeoutError) as error:
            # It is there and nobody leads it, for good when it was lost with the nodes that held it.
            log.warning("consumer.not_led", view=self._view, error=f"{type(error).__name__}: {error}")
            await self.recreate(position)
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        # Who carried events before, for this version or another, may still hold some or take the next.
        in_use = info.num_waiting or info.num_ack_pending
        if distrusted or in_use or why_withheld(info) or (await self._position_at(floor) or 0) > position:
            await self.recreate(position)

    async def recreate(self, position: int, *, exactly: bool = False) -> None:
        """Where the view stands; `exactly` where no shorter way than from the stream's start is trusted."""
        try:
            await self._js.delete_consumer(subjects.EVENT_STREAM, self._view)
        except nats.js.errors.NotFoundError:
            log.info("consumer.gone_already", view=self._view)
        await self._create(position, exactly=exactly)

    async def _create(self, position: int, *, exactly: bool = False) -> None:
        config = consumer_config(self._view)
        # Mostly a message stands at the sequence that is its position, or later; from there on all of them come.
        found = await self._position_at(position + 1)
        if position and (found == position + 1 or (not exactly and (found is None or found <= position))):
            config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, position + 1
        try:
            await self._js.add_consumer(subjects.EVENT_STREAM, config)
        except nats.js.errors.APIError as error:
            raise bus.within_limits(error, f"the consumer {self._view}") from error
        log.info("consumer.made", view=self._view, position=position, start=config.opt_start_seq or 1)

    # ---- nothing comes

    def messages_arrived(self) -> None:
        """Something has come since."""
        self._idle_checks = 0

    def checked_within(self, seconds: float) -> bool:
        """Whether the last look was so short a time ago; if not, this is one."""
        now = time.monotonic()
        if now - self._checked_at < seconds:
            return True
        self._checked_at = now
        return False

    async def repair(self, position: int) -> str | None:
        """Nothing comes: is that because there is nothing? Else why, and the consumer was made again.

        Called while nothing that has come waits to be committed.
        """
        await self._retry_acknowledging()
        info = await self._js.consumer_info(subjects.EVENT_STREAM, self._view)
        why, exactly = why_withheld(info), False
        if why is None and (info.num_pending or info.num_ack_pending):
            self._idle_checks += 1
            if self._idle_checks < MAX_IDLE_CHECKS and self.ack_refusal is None:
                # It may be on its way.
                return None
            why = (
                f"the consumer delivers nothing, though {info.num_pending or 0} messages are due and "
                f"{info.num_ack_pending or 0} not acknowledged"
            )
            delivered = info.delivered.stream_seq if info.delivered else 0
            if info.num_ack_pending and (await self._position_at(delivered) or 0) <= position:
                why += ", all of them at or below the view's position: acknowledgements do not arrive"
        if why is None and (last := await self.last_position()) > position:
            why, exactly = f"the consumer has passed over the events from {position + 1} to {last}", True
        self.idle = why is None
        if why is not None:
            await self.recreate(position, exactly=exactly)
        return why

    # ---- acknowledgements

    @property
    def ack_refusal(self) -> PermissionDenied | None:
        """NATS has refused an acknowledgement, and taken none since as far as is known."""
        return self._permissions.since(self._accepted_at, ACKNOWLEDGEMENTS)

    async def _retry_acknowledging(self) -> None:
        """Finds out whether what was refused is taken by now: the same subject, and a word that changes nothing."""
        if (ack_refusal := self.ack_refusal) is None:
            return
        before = self._permissions.count
        await self._client.publish(ack_refusal.subject, b"+WPI")
        await flush_confirmed(self._client, 2)
        if self._permissions.since(before, ACKNOWLEDGEMENTS) is None:
            self._accepted_at = before
            log.info("consumer.may_acknowledge", view=self._view)

    # ---- the stream

    async def newest_headers(self, state: StreamState) -> AsyncIterator[Mapping[str, str]]:
        """The headers of the newest messages, the last first, so many as may be somebody else's."""
        for sequence in range(state.last_seq, max(state.first_seq, state.last_seq - FOREIGN_MESSAGES) - 1, -1):
            yield await self._headers_at(sequence)

    async def last_position(self) -> int:
        """Of the last event that the stream has; 0 when it has none."""
        async for headers in self.newest_headers((await self._js.stream_info(subjects.EVENT_STREAM)).state):
            if (position := as_position(headers.get(Ce.POSITION))) is not None:
                return position
        return 0

    async def _position_at(self, sequence: int) -> int | None:
        return as_position((await self._headers_at(sequence)).get(Ce.POSITION))

    async def _headers_at(self, sequence: int) -> Mapping[str, str]:
        if sequence < 1:
            return {}
        try:
            message = await self._js.get_msg(subjects.EVENT_STREAM, sequence)
        except nats.js.errors.NotFoundError:
            return {}
        return message.headers or {}


def consumer_config(name: str) -> ConsumerConfig:
    """Acknowledging a message means all before it too; each is redelivered for ever until then."""
    return ConsumerConfig(
        durable_name=name,
        description="Acknowledged is what the view has committed; the view's own position counts.",
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.ALL,
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=-1,
        # Everything that was delivered and not acknowledged is held in memory by the feed, so this bounds it.
        max_ack_pending=Settings().max_ack_pending,
        replay_policy=ReplayPolicy.INSTANT,
    )


def why_withheld(info: ConsumerInfo) -> str | None:
    """Why the consumer delivers nothing, or not everything, whatever is due."""
    if info.paused:
        return f"the consumer is paused until {info.config.pause_until}"
    return None if same_shape(info) else "somebody gave the consumer another shape"


def same_shape(info: ConsumerInfo) -> bool:
    """Whether it delivers all events, whole, at once, and again until they are acknowledged."""
    ours, theirs = consumer_config(info.name), info.config
    fields = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "replay_policy", "deliver_subject")
    limits = (
        theirs.filter_subject, theirs.filter_subjects, theirs.headers_only, theirs.backoff, theirs.rate_limit_bps,
        theirs.inactive_threshold,
    )  # fmt: skip
    return not any(limits) and all(getattr(ours, field) == getattr(theirs, field) for field in fields)


def as_position(text: str | None) -> int | None:
    return int(text) if text is not None and POSITION.fullmatch(text) else None
