"""Complaints about servers with limits of their own: one sentence names the limit, and the setting, which serves."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from shared.language import subjects
from shared.wire.connection import connect_to_nats
from tests.conftest import MakeSwitchboard
from tests.journeys import cast
from tests.journeys.wire import connected
from tests.real_servers import RunningNats, new_folder
from tests.relay.test_relay import Log, all_told, not_ready, ready, relaying

MakeNats = Callable[[str, str], RunningNats]


@pytest.fixture
def limited() -> Iterator[MakeNats]:
    """Makes a NATS with limits of the one account there is, and of the server."""
    with new_folder() as folder:
        made: list[RunningNats] = []

        def make(of_account: str = "", of_server: str = "") -> RunningNats:
            store = f'store_dir: "{folder / "nats"}", max_file_store: {2**40}'
            more = (
                f"jetstream {{ {store}, limits {{ {of_server} }} }}\n"
                f"accounts {{ ONE {{ jetstream {{ {of_account} }}, users: [ {{ user: one, password: one }} ] }} }}\n"
                "no_auth_user: one\n"
            )
            made.append(RunningNats(folder, more))
            return made[-1]

        yield make
        for server in made:
            server.kill()


async def test_an_account_that_wants_a_limit_of_every_stream_is_named_and_the_setting_serves(
    limited: MakeNats, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, log = limited("max_bytes_required: true, max_file: 1GB", ""), Log(database)
    log.append_new(3)
    async with relaying(server.url, database) as relay:
        await not_ready(relay, "stream", "LimitTooLow: NATS refuses the stream: account requires a stream config")
        await not_ready(relay, "stream", "set SWITCHBOARD_STREAM_MAX_BYTES")
    monkeypatch.setenv("SWITCHBOARD_STREAM_MAX_BYTES", "1000000")
    async with relaying(server.url, database) as relay:
        await all_told(server.url, log)
        await ready(relay)


async def test_a_server_with_a_shorter_duplicate_window_is_named_and_the_setting_serves(
    limited: MakeNats, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, log = limited("", "duplicate_window: 60s"), Log(database)
    log.append_new(3)
    async with relaying(server.url, database) as relay:
        await not_ready(relay, "stream", "server limit of 1m0s")
        await not_ready(relay, "stream", "set SWITCHBOARD_DUPLICATE_WINDOW_SECONDS to no more than that")
    monkeypatch.setenv("SWITCHBOARD_DUPLICATE_WINDOW_SECONDS", "60")
    async with relaying(server.url, database) as relay:
        await all_told(server.url, log)
        await ready(relay)


async def test_a_stream_that_is_there_is_given_what_the_settings_say_and_nothing_of_it_is_lost(
    private_nats: RunningNats, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log(database)
    log.append_new(100)
    async with relaying(private_nats.url, database):
        await all_told(private_nats.url, log)
    monkeypatch.setenv("SWITCHBOARD_STREAM_MAX_BYTES", "5000")
    async with relaying(private_nats.url, database) as relay:
        await not_ready(relay, "stream", "bytes already, more than SWITCHBOARD_STREAM_MAX_BYTES")
    monkeypatch.setenv("SWITCHBOARD_STREAM_MAX_BYTES", "100000")
    monkeypatch.setenv("SWITCHBOARD_DUPLICATE_WINDOW_SECONDS", "30")
    async with relaying(private_nats.url, database) as relay:
        await all_told(private_nats.url, log)
        await ready(relay)
        client = await connect_to_nats(private_nats.url, "test")
        config = (await client.jetstream().stream_info(subjects.EVENT_STREAM)).config
        await client.close()
        assert (config.max_bytes, config.discard, config.duplicate_window) == (100_000, "new", 30.0)
        # Full: nothing of what is there makes room.
        log.append_new(200)
        await not_ready(relay, "stream", "StreamFull: the stream has as many bytes as it may")
    monkeypatch.setenv("SWITCHBOARD_STREAM_MAX_BYTES", "10000000")
    async with relaying(private_nats.url, database) as relay:
        await all_told(private_nats.url, log)
        await ready(relay)


@pytest.mark.parametrize("where", ["account", "server"])
async def test_a_limit_of_unacknowledged_messages_is_named_and_the_setting_serves(
    limited: MakeNats, make_switchboard: MakeSwitchboard, where: str
) -> None:
    limits = "max_ack_pending: 50", "max_ack_pending: 50, max_request_batch: 50"
    server = limited(limits[0], "") if where == "account" else limited("", limits[1])
    first = make_switchboard({"SWITCHBOARD_NATS_URL": server.url})
    first.launch()

    async def names_it() -> bool:
        _, health = await asyncio.to_thread(first.health)
        told = str(health)
        return "set SWITCHBOARD_MAX_ACK_PENDING to no more than that" in told and "inbox_views" in told

    async with asyncio.timeout(60):
        while not await names_it():
            await asyncio.sleep(0.1)
    await asyncio.to_thread(first.stop)
    kept = {name: first.settings[name] for name in ("SWITCHBOARD_NATS_URL", "SWITCHBOARD_DATA_DIR")}
    again = make_switchboard({**kept, "SWITCHBOARD_MAX_ACK_PENDING": "50"})
    await asyncio.to_thread(again.start)
    async with connected(server.url) as wire:
        acme = await cast.furnished(wire)
        for n in range(150):
            await acme.do("ConnectPersonal", "bob", address=f"b{n}@acme.example", owner="bob")
        assert len(await acme.pages("Addresses", "ana")) == 150
    assert again.ready()
