"""The write side as a process: commands in over the bus, decided in groups, answered when they are durable."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import structlog

from services.connections import dry_runs, outcome, parsing
from services.connections.commands import PAGES, SET_VERSION
from services.connections.decider import Decider, Outcomes
from services.connections.envelope import CommandEnvelope
from services.connections.limits import LIMITS, WriterLimits
from services.connections.outcome import Outcome
from services.connections.partitions import Partitions
from services.connections.store.event_store import EventStore, unsafe_switch
from services.connections.store.library_internals import unsupported_release
from services.connections.store.state_cache import UnreadableStreams
from services.connections.writer import Writer
from shared.language import subjects
from shared.language.commands import COMMANDS
from shared.language.reasons import CODES, Reason
from shared.messaging.endpoint import Endpoint, Reply, Request, discoverable
from shared.messaging.lifecycle import run
from shared.messaging.message_size import LARGEST_EVENT
from shared.messaging.service import Service
from shared.process import metrics
from shared.process.histograms import OTHER
from shared.process.settings import Settings

DRAIN_SECONDS = 6.0
LOW: Final = "set max_payload to 1MB in NATS's configuration; until then commands that need more are refused"
# In the subject of a command; its partition may follow.
ACCOUNT_AND_NAME = slice(3, 5)
# Other names are made up by callers, and have no end.
COUNTED_AS: Final = {name: name for name in (*COMMANDS, dry_runs.NAME)}
COUNTED_AS_IN_SUBJECTS: Final = {name.encode(): name for name in COUNTED_AS}


log = structlog.get_logger(__name__)


class Commands:
    """The endpoint of all commands: reads each, hands it to the writer, and replies with its outcome."""

    def __init__(self, service: Service, limits: WriterLimits = LIMITS) -> None:
        self._service = service
        self._sending: set[asyncio.Task[None]] = set()
        # By name, outcome and reason. A counter that exists from the start, at zero, has a correct rate.
        self._answered: Counter[tuple[str, str, Reason | None]] = Counter(
            {(name, *kind): 0 for name in COMMANDS for kind in (("accepted", None), ("refused", Reason.BUSY))}
        )
        queue = subjects.CONNECTIONS_QUEUE
        self.endpoint = Endpoint("commands", subjects.COMMANDS, queue, self._take, self._refuse, parsing.failed)
        self._mapped = self._mapped_endpoint()
        self._partitions: Partitions | None = None
        self._unreadable = UnreadableStreams()
        self._last_limit = LARGEST_EVENT
        self.writer = Writer(self._open_decider, self._answer, self._failed, limits)

    async def open(self) -> None:
        """Takes commands outside all partitions, and from partitions a share if accounts are spread, else from all."""
        client = self._service.broker.connection
        self._max_payload()
        await self.endpoint.open(client)
        if not self._service.settings.spread_accounts:
            await self._mapped.open(client)
            return
        url = self._service.postgres_url
        self._partitions = Partitions(url, client, subjects.PARTITIONS, self._mapped_endpoint)
        self._service.parts["partitions"] = self._partitions.ready
        self._partitions.start()

    async def drain(self) -> None:
        """Takes no more commands, and returns when all that were taken have their replies."""
        shared_out = [self._partitions.drain()] if self._partitions else []
        await asyncio.gather(self.endpoint.drain(), self._mapped.drain(), *shared_out)
        await self.writer.drain(DRAIN_SECONDS)
        # The last answers come through the loop's queue of callbacks.
        await asyncio.sleep(0)
        while self._sending:
            await asyncio.gather(*self._sending)

    async def ready(self) -> str | None:
        return self.writer.last_error

    async def understood(self) -> str | None:
        return self._unreadable.summary()

    async def collect_metrics(self) -> Sequence[metrics.Metric]:
        return [
            metrics.counter(
                "switchboard_commands_total",
                "Commands answered, dry runs too.",
                ("command", "outcome", "reason"),
                self._answered,
            ),
            metrics.histogram(
                "switchboard_command_duration_seconds",
                "From a command's arrival to its reply.",
                self.endpoint.durations,
            ),
            *self.writer.collect_metrics(),
        ]

    def _failed(self) -> None:
        """Only a new process helps."""
        self._service.failed = True
        self._service.stopping.set()

    def _open_decider(self) -> Decider:
        store = EventStore(self._service.postgres_url, PAGES, self._unreadable, SET_VERSION)
        return Decider(store, self._max_payload)

    def _max_payload(self) -> int:
        """The number of bytes that NATS carries in one message, as it reported last."""
        limit = self._service.broker.connection.max_payload
        if limit != self._last_limit:
            self._last_limit = limit
            if limit < LARGEST_EVENT:
                log.warning("nats.max_payload_low", max_payload=limit, needed=LARGEST_EVENT, advice=LOW)
        return limit

    def _mapped_endpoint(self, partition: int | None = None) -> Endpoint:
        subject = subjects.commands_of(partition)
        queue = subjects.CONNECTIONS_QUEUE
        return Endpoint("commands", subject, queue, self._take_mapped, self._refuse_mapped, parsing.failed)

    def _take_mapped(self, request: Request) -> bool:
        """Take a command of a partition; the figures of the endpoint of commands include it."""
        self.endpoint.requests += 1
        return self._take(request)

    def _refuse_mapped(self, subject: bytes, data: bytes) -> bytes | None:
        refusal = self._refuse(subject, data)
        if refusal is not None:
            self.endpoint.count_refused()
        return refusal

    def _refuse(self, subject: bytes, data: bytes) -> bytes | None:
        account, name = subject.split(b".", ACCOUNT_AND_NAME.stop)[ACCOUNT_AND_NAME]
        if self.writer.admits(account.decode(errors="replace"), len(data)):
            return None
        self._answered[COUNTED_AS_IN_SUBJECTS.get(name, OTHER), "refused", Reason.BUSY] += 1
        return parsing.busy(data, self.writer.retry_after_ms())

    def _take(self, request: Request) -> bool:
        account, name = request.subject.split(".")[ACCOUNT_AND_NAME]
        if name == dry_runs.NAME:
            envelope = dry_runs.read(account, request.data, request.headers)
        else:
            envelope = parsing.read(account, name, request.data, request.headers)
        envelope.request = request
        if not self.writer.submit(envelope, len(request.data)):
            self._answer([(envelope, outcome.refused(envelope, outcome.busy(self.writer.retry_after_ms())))])
        return True

    def _answer(self, outcomes: Outcomes) -> None:
        committed = False
        answered, counted_as = self._answered, COUNTED_AS.get
        for envelope, one in outcomes:
            kind = one.kind
            committed |= kind == "accepted"
            answered[counted_as(envelope.name, OTHER), kind, one.reason] += 1
        self._send([reply_of(envelope, one) for envelope, one in outcomes], committed=committed)

    def _send(self, replies: Sequence[Reply], *, committed: bool) -> None:
        sending = asyncio.create_task(self._reply(replies, committed=committed))
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    async def _reply(self, replies: Sequence[Reply], *, committed: bool) -> None:
        await self.endpoint.reply(replies)
        if committed:
            await self.endpoint.notify(subjects.COMMITTED)


def reply_of(envelope: CommandEnvelope, decided: Outcome) -> Reply:
    error = (CODES[decided.reason], str(decided.reason)) if decided.reason else None
    assert envelope.request is not None, "it came over the bus"
    return Reply(envelope.request, decided.reply(), error)


@asynccontextmanager
async def connections(service: Service, limits: WriterLimits = LIMITS) -> AsyncIterator[None]:
    commands = Commands(service, limits)
    service.parts["postgres"] = commands.ready
    service.parts["streams"] = commands.understood
    service.metric_sources.append(commands.collect_metrics)
    await service.broker.start()
    client = service.broker.connection
    commands.writer.start()
    await commands.open()
    async with discoverable(client, "switchboard-connections", "Decides commands.", [commands.endpoint]):
        try:
            yield
        finally:
            await commands.drain()


def main() -> None:
    """Serve, or import a log into an empty store and end: `import <arguments>`."""
    # Before anything is waited for that may be away.
    if problem := unsafe_switch() or unsupported_release():
        sys.exit(f"connections: {problem}")
    match sys.argv[1:]:
        case ["import", arguments]:
            from services.connections.import_verb import run_import

            sys.exit(run_import(Settings(), arguments))
        case _:
            run("connections", connections)


if __name__ == "__main__":
    main()
