"""Whoever is refused anything by NATS says it: subject, user, setting; once, in readiness, and counted."""

import asyncio
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.inbox_views.app import INBOX_VIEWS
from services.ops.local.nats_server import Nats, nats_answers
from services.relay.app import wire as relay_wire
from shared.language import subjects
from shared.messaging import event_stream as bus_
from shared.messaging.service import Service
from shared.messaging.stream_report import NatsUnavailableError, stream_report
from shared.wire import permissions
from shared.wire.connection import connect_to_nats, flush_confirmed
from shared.wire.permissions import MOST_LOGGED, PermissionDenied, Permissions, ProcessDenials, pattern_of
from tests.inbox_views.stories import Bus, eventually, is_ready, on_bus, personal, service_open, service_running
from tests.projections.running_views import reached, rows_of, story
from tests.projections.test_standing_still import log_of
from tests.real_servers import RunningServer, free_port, new_folder

STREAM, CONSUMER = subjects.EVENT_STREAM, "inbox_views"
ACKNOWLEDGE = f"$JS.ACK.{STREAM}.{CONSUMER}.>"
SECOND_FORM = "feature_flags { js_ack_fc_v2: true }"
# So many that a consumer stops delivering before it has given them all.
MANY = 4_500


class StrictNats(RunningServer):
    """A NATS where the user `strict` may do what `permissions` say; whoever has no name may do anything."""

    def __init__(self, folder: Path, allowed: str, more: str = "") -> None:
        self._nats = Nats(folder, free_port(), more=self._users(allowed, more))
        self._more = more
        self.open_url = self._nats.url()
        self.url = self.open_url.replace("//", "//strict:secret@")
        super().__init__(self._nats)

    @staticmethod
    def _users(allowed: str, more: str) -> str:
        strict = f"{{ user: strict, password: secret, permissions: {{ {allowed} }} }}"
        return f"{more}\nauthorization {{ users: [ {{ user: open, password: x }}, {strict} ] }}\nno_auth_user: open\n"

    def allow(self, allowed: str = "") -> None:
        """Has the server read other permissions, as by `kill -HUP`."""
        assert self._child is not None
        self._nats.more = self._users(allowed, self._more)
        configuration = self._nats.configuration
        kept, _, _ = configuration.read_text().partition(self._more or "\nauthorization")
        configuration.write_text(kept + "\n" + self._nats.more)
        os.kill(self._child.pid, signal.SIGHUP)


@pytest.fixture
def folder() -> Iterator[Path]:
    with new_folder() as path:
        yield path


@asynccontextmanager
async def strict(folder: Path, allowed: str, more: str = "") -> AsyncIterator[tuple[StrictNats, Bus]]:
    server = await asyncio.to_thread(StrictNats, folder, allowed, more)
    try:
        async with on_bus(server.open_url) as bus:
            yield server, bus
    finally:
        server.kill()


async def part(service: Service, name: str, *words: str) -> bool:
    state = (await service.health()).parts[name]
    return all(word in state for word in words)


# ---- acknowledgements

REFUSED = {
    "a line forgotten": ('publish: { deny: "$JS.ACK.>" }', "", ACKNOWLEDGE),
    "servers that write the subject otherwise": (
        f'publish: {{ allow: [ "_INBOX.>", "switchboard.>", "$JS.API.>", "{ACKNOWLEDGE}" ] }}',
        SECOND_FORM,
        f"$JS.ACK.*.*.{STREAM}.{CONSUMER}.>",
    ),
}


@pytest.mark.parametrize("cause", REFUSED)
async def test_a_view_whose_acknowledgements_are_refused_goes_on_and_is_not_ready(
    cause: str, folder: Path, database: str
) -> None:
    allowed, more, subject = REFUSED[cause]
    told = story(MANY)
    async with (
        strict(folder, allowed, more) as (server, bus),
        service_running(INBOX_VIEWS, server.url, database) as service,
    ):
        await bus.publish(told.recorded)
        await reached(bus, told.end, 60)
        await eventually(lambda: part(service, "events", f"publish to {subject}", "user strict"))
        told.tell(personal("late@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end)
        # Nothing comes any more, and it is said still.
        await asyncio.sleep(3)
        assert await part(service, "events", f"publish to {subject}")

        server.allow()
        await eventually(lambda: is_ready(service))
        told.tell(personal("last@acme.example", "cleo"))
        await bus.publish(told.recorded[-1:])
        await reached(bus, told.end)

        async def acknowledged() -> bool:
            info = await bus.js.consumer_info(STREAM, CONSUMER)
            return (info.num_ack_pending, info.num_pending) == (0, 0)

        await eventually(acknowledged)
        assert await is_ready(service)
    assert len((await rows_of(database))["addresses"]) == MANY + 2


# ---- everything else


def deny(publish: str = "nothing", subscribe: str = "nothing") -> str:
    return f'publish: {{ deny: "{publish}" }}, subscribe: {{ deny: "{subscribe}" }}'


OF_A_VIEW = (
    (deny(f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.*"), "events", "publish to $JS.API.CONSUMER.DURABLE.CREATE"),
    (deny(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.*"), "events", "publish to $JS.API.CONSUMER.MSG.NEXT"),
    (deny(f"$JS.API.STREAM.INFO.{STREAM}"), "events", f"publish to $JS.API.STREAM.INFO.{STREAM}"),
    (deny(subscribe="_INBOX.>"), "events", "SWITCHBOARD_NATS_INBOX_PREFIX"),
    (deny(subscribe="switchboard.query.>"), "nats", "subscribe to switchboard.query.v1.*.*"),
)


@pytest.mark.parametrize(("allowed", "where", "words"), OF_A_VIEW)
async def test_a_view_that_is_refused_what_it_needs_is_not_ready_and_names_it(
    allowed: str, where: str, words: str, folder: Path, database: str
) -> None:
    told = story(3)
    async with strict(folder, allowed) as (server, bus):
        await bus_.declare_stream(bus.js)
        await log_of(database, told)
        async with service_running(INBOX_VIEWS, server.url, database) as service:
            await eventually(lambda: part(service, where, words, "user strict, SWITCHBOARD_NATS_URL"))


OF_THE_RELAY = (
    (deny("switchboard.event.>"), "publish to switchboard.event.v1."),
    (deny(f"$JS.API.STREAM.CREATE.{STREAM}"), f"publish to $JS.API.STREAM.CREATE.{STREAM}"),
    (deny(f"$JS.API.STREAM.INFO.{STREAM}"), f"publish to $JS.API.STREAM.INFO.{STREAM}"),
    (deny(subscribe="_INBOX.>"), "SWITCHBOARD_NATS_INBOX_PREFIX"),
)


@pytest.mark.parametrize(("allowed", "words"), OF_THE_RELAY)
async def test_a_relay_that_is_refused_what_it_needs_is_not_ready_and_names_it(
    allowed: str, words: str, folder: Path, database: str
) -> None:
    await log_of(database, story(3))
    async with (
        strict(folder, allowed) as (server, _),
        service_open("relay", relay_wire, server.url, database) as service,
    ):
        await eventually(
            lambda: part(service, "stream", "PermissionDenied", words, "user strict, SWITCHBOARD_NATS_URL")
        )


async def test_a_server_that_does_not_allow_its_questions_is_told_by_tools(folder: Path) -> None:
    async with strict(folder, deny("$JS.API.>")) as (server, _):
        with pytest.raises(NatsUnavailableError, match="does not let this user publish to"):
            await stream_report(server.url)
        assert "publish to $JS.API.INFO (user strict" in str(await nats_answers(server.url))


async def test_a_refusal_is_logged_once_with_its_cure_and_counted_each_time(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusals = ProcessDenials()
    async with strict(folder, deny("Somebody.>", "Somebody.>")) as (server, _):
        listening = Permissions(permissions.user_of({}, server.url), process=refusals)
        client = await connect_to_nats(server.url, "test", listening)
        with caplog.at_level(logging.WARNING, logger=permissions.__name__):
            for _ in range(3):
                await client.publish("Somebody.Elses")
            await client.subscribe("Somebody.>")
            for number in range(2 * MOST_LOGGED):
                # As a caller does who names another place for each answer.
                await client.publish(f"Somebody.{number}")
            await flush_confirmed(client)
        await client.close()
    assert refusals.counts == {("publish",): 3 + 2 * MOST_LOGGED, ("subscription",): 1}
    lines = [vars(record) for record in caplog.records if record.name == permissions.__name__]
    assert [line["msg"] for line in lines] == ["nats.not_allowed"] * (MOST_LOGGED + 1)
    first = lines[0]
    assert "publish to Somebody.Elses (user strict, SWITCHBOARD_NATS_URL)" in first["error"]
    assert "permissions, publish" in first["advice"]
    assert "only counted" in lines[-1]["error"]


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        (f"$JS.ACK.{STREAM}.crm.1.2.3.4.0", f"$JS.ACK.{STREAM}.crm.>"),
        (f"$JS.ACK._.ABC.{STREAM}.crm.1.2.3.4.0", f"$JS.ACK.*.*.{STREAM}.crm.>"),
        (f"$JS.ACK.hub.ABC.{STREAM}.crm.1.2.3.4.0.xyz", f"$JS.ACK.*.*.{STREAM}.crm.>"),
        ("_INBOX.crm.abc.def", "_INBOX.crm.>"),
        ("_INBOX.other.abc.def", "_INBOX.>"),
        ("switchboard.command.v1.acme.AddUser", "switchboard.command.v1.acme.AddUser"),
    ],
)
def test_what_is_another_subject_in_each_message_is_named_as_permissions_would(subject: str, kind: str) -> None:
    assert pattern_of(subject, "_INBOX.crm") == kind


def test_a_refusal_tells_neither_seed_nor_password() -> None:
    seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
    told: list[PermissionDenied] = []
    for options, url in (({"nkeys_seed_str": seed}, "nats://a:1"), ({}, "nats://ana:hush@a:1")):
        listening: Any = Permissions(permissions.user_of(options, url), process=None)
        listening.listeners.append(told.append)
        assert listening.on_error(Exception('nats: permissions violation for publish to "A.b"'))
    texts = [str(one) for one in told]
    assert "publish to A.b (NKey U" in texts[0]
    assert "publish to A.b (user ana, SWITCHBOARD_NATS_URL)" in texts[1]
    assert not any(secret in text for secret in (seed, "hush") for text in texts)
