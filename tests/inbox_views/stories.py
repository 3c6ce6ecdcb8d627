"""Stories made of events, told to folds in memory, or published on a real stream and asked about over a real bus."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import nats
from nats.aio.client import Client

from shared.language import subjects
from shared.language.events import (
    AccountEvent,
    AccountRegistered,
    AddressEvent,
    Event,
    InboxCreated,
    InboxEvent,
    PersonalConnected,
    TeamConnected,
    UserAdded,
    UserEvent,
)
from shared.language.recorded import Recorded, stream_id
from shared.messaging import event_stream
from shared.messaging.lifecycle import Wire
from shared.messaging.service import Service
from shared.process import clock
from shared.process.settings import Settings
from shared.projections.definition import Fold
from shared.projections.events import key_of
from shared.projections.projection_service import ProjectionService, serve
from shared.wire.cloud_events import to_wire

ALL = ("account_access", "personal_email_access", "super_admin")


class Story:
    """Events of one account in the order they were told; `first` is the first one's position."""

    def __init__(self, account: str = "acme", first: int = 1) -> None:
        self.account = account
        self.recorded: list[Recorded] = []
        self._next = first
        self._versions: dict[tuple[str, str], int] = {}

    def tell(self, *events: Event, actor: str = "ana") -> "Story":
        for event in events:
            name = name_of(event, self.account)
            version = self._versions[(event.aggregate, name)] = self._versions.get((event.aggregate, name), 0) + 1
            self.recorded.append(
                Recorded(
                    id=clock.new_id(),
                    account=self.account,
                    stream=stream_id(self.account, event.aggregate, name),
                    version=version,
                    position=self._next,
                    actor=actor,
                    command_id=clock.new_id(),
                    correlation_id=None,
                    traceparent=None,
                    time=time_at(self._next),
                    event=event,
                )
            )
            self._next += 1
        return self

    @property
    def end(self) -> int:
        return self._next - 1

    def docs(self, fold: Fold) -> dict[tuple[str, str], Any]:
        """What a fold makes of it, by aggregate and name."""
        found: dict[tuple[str, str], Any] = {}
        for recorded in self.recorded:
            key = (recorded.event.aggregate, key_of(recorded))
            found[key] = fold(found.get(key), recorded)
        return found


def name_of(event: Event, account: str) -> str:
    match event:
        case AddressEvent(address=address):
            return address
        case UserEvent(user=user):
            return user
        case InboxEvent(inbox=inbox):
            return inbox
        case AccountEvent():
            return account
        case _:
            raise AssertionError(event)


def time_at(position: int) -> str:
    """The time of the event at a position: one a second."""
    minute, second = divmod(position, 60)
    hour, minute = divmod(minute, 60)
    return f"2026-11-01T{hour:02d}:{minute:02d}:{second:02d}.000Z"


def beginning(account: str = "acme", plan: Any = "professional") -> Story:
    """An account with ana, who may everything, bob and cleo, and the default inbox."""
    return Story(account).tell(
        AccountRegistered(plan=plan, admin="ana"),
        UserAdded(user="ana", name="Ana", permissions=ALL),
        InboxCreated(inbox="inbox", name="Inbox", access="everyone"),
        UserAdded(user="bob", name="Bob", permissions=("personal_email_access",)),
        UserAdded(user="cleo", name="Cleo", permissions=("personal_email_access",)),
    )


def personal(address: str, owner: str, from_name: str | None = None) -> PersonalConnected:
    return PersonalConnected(
        address=address.lower(), display=address, owner=owner, from_name=from_name, canonical_form=1
    )


def team(address: str, inbox: str, connector: str = "ana", from_name: str | None = None) -> TeamConnected:
    return TeamConnected(
        address=address.lower(),
        display=address,
        inbox=inbox,
        connector=connector,
        visibility_acknowledged=True,
        from_name=from_name,
        canonical_form=1,
    )


# ---- over real servers


@dataclass(frozen=True)
class Told:
    """A reply: its body, and the (code, name) of the micro error headers."""

    body: dict[str, Any]
    error: tuple[int, str] | None

    @property
    def result(self) -> Any:
        assert "result" in self.body, self.body
        return self.body["result"]


class Bus:
    """Publishes events as the relay does, and asks questions as anybody does."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.js = client.jetstream()

    async def publish(self, recorded: Sequence[Recorded], *, by_relay: bool = False) -> None:
        """`by_relay` on an empty stream, with what a relay asks of the server and knows its own messages by."""
        await event_stream.declare_stream(self.js)
        for sequence, one in enumerate(recorded):
            subject, headers, body = to_wire(one)
            expected = {subjects.EXPECTED_SEQUENCE: str(sequence)} if by_relay else {}
            await self.js.publish(subject, body, headers=headers | expected)

    async def ask(self, name: str, account: str = "acme", actor: str = "ana", **fields: Any) -> Told:
        return await self.send(name, json.dumps({"actor": actor, **fields}).encode(), account)

    async def send(self, name: str, data: bytes, account: str = "acme", seconds: float = 15.0) -> Told:
        reply = await self.client.request(subjects.query(account, name), data, timeout=seconds)
        headers = reply.headers or {}
        code = headers.get("Nats-Service-Error-Code")
        return Told(json.loads(reply.data), (int(code), headers["Nats-Service-Error"]) if code else None)


@asynccontextmanager
async def on_bus(nats_url: str) -> AsyncIterator[Bus]:
    client = await nats.connect(nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=quiet)
    try:
        yield Bus(client)
    finally:
        await client.close()


async def quiet(_: Exception) -> None:
    """Tests take servers away; what nats-py says of it is no news."""


@asynccontextmanager
async def service_running(projection: ProjectionService, nats_url: str, postgres_url: str) -> AsyncIterator[Service]:
    """The room's whole service within this process."""
    async with service_open(projection.name, serve(projection), nats_url, postgres_url) as service:
        yield service


@asynccontextmanager
async def service_open(name: str, wire: Wire, nats_url: str, postgres_url: str) -> AsyncIterator[Service]:
    """A whole service within this process."""
    service = Service(name, Settings(nats_url=nats_url, postgres_url=postgres_url, http_port=0))
    await service.connect()
    try:
        async with wire(service):
            service.started = True
            yield service
    finally:
        service.stopping.set()
        await service.broker.stop()


async def eventually(holds: Callable[[], Awaitable[Any]], seconds: float = 60.0) -> Any:
    """What `holds` gives as soon as that is true; fails when the time is over."""
    end = time.monotonic() + seconds
    while not (found := await holds()):
        assert time.monotonic() < end, f"waited {seconds:g} s in vain"
        await asyncio.sleep(0.02)
    return found


async def is_ready(service: Service) -> bool:
    return (await service.health()).ready
