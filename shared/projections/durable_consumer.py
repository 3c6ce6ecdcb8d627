"""The durable consumer of one view: created at the view's position, and again whenever it may keep events back."""

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
from shared.messaging import event_stream
from shared.process.settings import Settings
from shared.wire import permissions
from shared.wire.connection import flush_confirmed
from shared.wire.permissions import ACKNOWLEDGEMENTS, PermissionDenied

ACK_WAIT_SECONDS: Final = 30.0
# So many checks in a row found events due and none delivered in between.
MAX_IDLE_CHECKS: Final = 2
# Messages of others than the relay that are skipped at the end of the stream.
FOREIGN_MESSAGES: Final = 100

POSITION: Final = re.compile("[1-9][0-9]{0,17}")

log = structlog.get_logger(__name__)


class DurableConsumer:
    """The consumer with the view's name. `idle` says whether the last check found nothing due."""

    def __init__(self, client: Client, js: JetStreamContext, view: str) -> None:
        self._client = client
        self._js = js
        self._view = view
        self._permissions = permissions.of(client)
        # The number of refusals when acknowledgements were last known to be accepted.
        self._accepted_at = self._permissions.count
        self._checked_at = 0.0
        self._idle_checks = 0
        self.idle = False

    async def bind(self, position: int, *, distrusted: bool) -> None:
        """Make sure of a consumer as configured here and not ahead of the view; create it again when `distrusted`."""
        self._checked_at, self._idle_checks, self.idle = 0.0, 0, False
        try:
            info = await self._js.consumer_info(subjects.EVENT_STREAM, self._view)
        except nats.js.errors.NotFoundError:
            await self._create(position)
            return
        except (nats.js.errors.APIError, TimeoutError) as error:
            # It exists without a leader; for good when the nodes that held it are lost.
            log.warning("consumer.not_led", view=self._view, error=f"{type(error).__name__}: {error}")
            await self.recreate(position)
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        # The former consumer process, of this version or another, may still hold events or take the next.
        in_use = info.num_waiting or info.num_ack_pending
        if distrusted or in_use or why_withheld(info) or (await self._position_at(floor) or 0) > position:
            await self.recreate(position)

    async def recreate(self, position: int, *, exactly: bool = False) -> None:
        """Create it again at the view's position; `exactly`: from the stream's start unless the sequence is certain."""
        try:
            await self._js.delete_consumer(subjects.EVENT_STREAM, self._view)
        except nats.js.errors.NotFoundError:
            log.info("consumer.gone_already", view=self._view)
        await self._create(position, exactly=exactly)

    async def _create(self, position: int, *, exactly: bool = False) -> None:
        config = consumer_config(self._view)
        # Mostly a message has its position as its sequence, or a later one: from there on all of them come.
        found = await self._position_at(position + 1)
        if position and (found == position + 1 or (not exactly and (found is None or found <= position))):
            config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, position + 1
        try:
            await self._js.add_consumer(subjects.EVENT_STREAM, config)
        except nats.js.errors.APIError as error:
            raise event_stream.explained(error, f"the consumer {self._view}") from error
        log.info("consumer.made", view=self._view, position=position, start=config.opt_start_seq or 1)

    # ---- while idle

    def messages_arrived(self) -> None:
        """Record that messages have arrived since the last check."""
        self._idle_checks = 0

    def checked_within(self, seconds: float) -> bool:
        """Return whether the last check is more recent than that; if not, a check begins now."""
        now = time.monotonic()
        if now - self._checked_at < seconds:
            return True
        self._checked_at = now
        return False

    async def repair(self, position: int) -> str | None:
        """Check that the consumer has not skipped events; if it has, create it again and return the reason.

        Call it while no delivered event waits for its commit.
        """
        await self._retry_acknowledging()
        info = await self._js.consumer_info(subjects.EVENT_STREAM, self._view)
        why, exactly = why_withheld(info), False
        if why is None and (info.num_pending or info.num_ack_pending):
            self._idle_checks += 1
            if self._idle_checks < MAX_IDLE_CHECKS and self.ack_refusal is None:
                # Messages may be on their way.
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
        """The last acknowledgement that NATS refused, unless one was accepted since."""
        return self._permissions.since(self._accepted_at, ACKNOWLEDGEMENTS)

    async def _retry_acknowledging(self) -> None:
        """Publish on the refused subject again, with a message that changes nothing, to see if NATS accepts it now."""
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
        """Yield the headers of the newest messages, the last first, at most `FOREIGN_MESSAGES`."""
        for sequence in range(state.last_seq, max(state.first_seq, state.last_seq - FOREIGN_MESSAGES) - 1, -1):
            yield await self._headers_at(sequence)

    async def last_position(self) -> int:
        """Return the position of the stream's last event; 0 when it has none."""
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
    """An acknowledgement covers all earlier messages; until then each is redelivered, without a limit."""
    return ConsumerConfig(
        durable_name=name,
        description="Acknowledged is what the view has committed; the view's own position counts.",
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.ALL,
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=-1,
        # The event consumer holds unacknowledged messages in memory, so this bounds them.
        max_ack_pending=Settings().max_ack_pending,
        replay_policy=ReplayPolicy.INSTANT,
    )


def why_withheld(info: ConsumerInfo) -> str | None:
    """Return why the consumer delivers nothing, or not everything; None when it delivers all."""
    if info.paused:
        return f"the consumer is paused until {info.config.pause_until}"
    return None if same_shape(info) else "the configuration of the consumer was changed"


def same_shape(info: ConsumerInfo) -> bool:
    """Return whether it delivers all events, whole, at once, and again until they are acknowledged."""
    ours, theirs = consumer_config(info.name), info.config
    fields = ("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "replay_policy", "deliver_subject")
    limits = (
        theirs.filter_subject, theirs.filter_subjects, theirs.headers_only, theirs.backoff, theirs.rate_limit_bps,
        theirs.inactive_threshold,
    )  # fmt: skip
    return not any(limits) and all(getattr(ours, field) == getattr(theirs, field) for field in fields)


def as_position(text: str | None) -> int | None:
    return int(text) if text is not None and POSITION.fullmatch(text) else None
