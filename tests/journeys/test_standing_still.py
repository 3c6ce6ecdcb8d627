"""Complaints about views that stand still, believe a log that is gone, or forget what was given up, one test each."""

import asyncio
import json
import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from services.ops.local.postgres_server import Postgres
from shared.client import LogChanged
from shared.client import connect as client_connected
from shared.language import subjects
from shared.process import clock
from tests.command_line import run_blocking
from tests.conftest import MakeSwitchboard
from tests.inbox_views.stories import eventually
from tests.journeys import cast
from tests.journeys.test_complaints import write_an_event_of_the_future
from tests.journeys.wire import Account, connected
from tests.real_servers import RunningNats, RunningPostgres, RunningSwitchboard

HELP = "help@acme.example"
BACKUP = "--format custom --schema connections switchboard --file"
RESTORE = "--dbname switchboard --exit-on-error --single-transaction"


def switchboard(at: RunningSwitchboard, *arguments: str) -> Any:
    """What a verb of the command line says as JSON."""
    ended = run_blocking(*arguments, "--json", environment={**at.settings, "SWITCHBOARD_NATS_URL": at.nats_url})
    assert ended.code == 0, ended.output + ended.errors
    return json.loads(ended.output)


def live_rows(at: RunningSwitchboard) -> list[Any]:
    """The state of each view with live rows."""
    return [view for view in switchboard(at, "views", "show") if not view["temporal"]]


async def histories_reached(at: RunningSwitchboard, position: int) -> bool:
    histories = [view.get("history", view) for view in await asyncio.to_thread(switchboard, at, "views", "show")]
    return [(one["contradicts_log"], one["position"]) for one in histories] == [(None, position)] * 3


def postgres_tool(postgres: RunningPostgres, *words: str) -> None:
    server = Postgres(postgres.data_folder.parent)
    binaries = Path(server.program().argv[0]).parent
    environment = {**os.environ, "PGHOST": str(server.socket_folder), "PGUSER": "postgres"}
    done = subprocess.run((binaries / words[0], *words[1:]), env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


async def pause(at: RunningSwitchboard, view: str) -> None:
    until = (datetime.fromisoformat(clock.now()) + timedelta(minutes=10)).isoformat()
    async with connected(at.nats_url) as wire:
        reply = await wire.client.request(
            f"$JS.API.CONSUMER.PAUSE.{subjects.EVENT_STREAM}.{view}", json.dumps({"pause_until": until}).encode()
        )
    assert json.loads(reply.data)["paused"]


async def test_nats_server_6017_a_consumer_that_looks_alive_and_delivers_nothing_keeps_no_answer_back(
    running: RunningSwitchboard, account: Account
) -> None:
    for view in ("inbox_views", "routing"):
        await pause(running, view)
    done = await account.do("ConnectPersonal", "bob", address="bob@acme.example", owner="bob")
    waits = {"at_least": done.position, "wait_ms": 20_000}
    async with asyncio.timeout(20):
        address = await account.see("Address", "ana", address="bob@acme.example", **waits)
        mail = {"recipients": ["bob@acme.example"], "sender": "jo@client.example"}
        (resolved,) = await account.see("Resolve", **mail, **waits)
    assert (address["state"], address["owner"], resolved["owner"]) == ("connected", "bob", "bob")
    await asyncio.to_thread(running.wait_until_ready)


async def test_liquidprojections_60_a_log_restored_in_place_leaves_no_ghosts(
    make_switchboard: MakeSwitchboard, private_postgres: RunningPostgres, private_nats: RunningNats
) -> None:
    postgres = private_postgres
    dump = str(postgres.data_folder.parent / "log.dump")
    servers = {"SWITCHBOARD_NATS_URL": private_nats.url, "SWITCHBOARD_POSTGRES_URL": postgres.url}
    first = make_switchboard(servers)
    await asyncio.to_thread(first.start)
    async with connected(private_nats.url) as wire, client_connected(private_nats.url) as client:
        acme = await cast.furnished(wire)
        events = client.events(account=acme.name)
        await connect(acme, "a", "bob")
        kept = acme.position
        postgres_tool(postgres, "pg_dump", *BACKUP.split(), dump)
        await connect(acme, "b", "bob")
        last = [told async for told in until(events, acme.position)][-1]
    await asyncio.to_thread(first.stop)

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA connections CASCADE")
    postgres_tool(postgres, "pg_restore", *RESTORE.split(), dump)
    for view in live_rows(first):
        assert f"the log ends at position {kept}" in view["contradicts_log"]
    switchboard(first, "streams", "--delete", "--yes")

    again = make_switchboard(servers)
    await asyncio.to_thread(again.start)
    async with connected(private_nats.url) as wire, client_connected(private_nats.url) as client:
        acme = Account(wire, acme.name)
        await connect(acme, "c", "cleo")
        found = [await acme.see("Address", "ana", address=f"{name}0@acme.example") for name in "abc"]
        assert [(one["state"], one["owner"]) for one in found] == [
            ("connected", "bob"), ("free", None), ("connected", "cleo"),
        ]  # fmt: skip
        mail = {"recipients": ["b0@acme.example", "c0@acme.example"], "sender": "jo@client.example"}
        assert [one["destination"] for one in await acme.see("Resolve", **mail)] == ["none", "personal"]
        for view in live_rows(again):
            assert (view["contradicts_log"], view["lag_events"], view["position"]) == (None, 0, acme.position)
        await eventually(lambda: histories_reached(again, acme.position))
        with pytest.raises(LogChanged):
            async for _ in client.events(after=last.position, after_id=last.id, account=acme.name):
                pass


async def connect(account: Account, name: str, owner: str) -> None:
    for number in range(10):
        await account.do("ConnectPersonal", owner, address=f"{name}{number}@acme.example", owner=owner)


async def until(events: Any, position: int) -> Any:
    async for told in events:
        yield told
        if told.position >= position:
            return


async def test_kurrentdb_3449_what_was_given_up_stays_visible_until_the_rows_are_made_anew(
    switchboard_alone: RunningSwitchboard,
) -> None:
    at = switchboard_alone
    async with connected(at.nats_url) as wire:
        acme = await cast.furnished(wire)
        await acme.do("ConnectTeam", "ana", address=HELP, inbox="support", visibility_acknowledged=True)
        stream = (await acme.facts())[-1].headers["ce-subject"].removeprefix("address/")
        lost = acme.position = write_an_event_of_the_future(at.postgres_url, stream)
        mail = {"recipients": [HELP], "sender": "jo@client.example"}
        for question, fields in (("Resolve", mail), ("Address", {"address": HELP})):
            assert (await acme.ask(question, **fields)).body["incomplete_since"] == lost
        for view in ("routing", "inbox-views"):
            switchboard(at, "views", "parked", "drop", view, str(lost), "--yes")
        for question, fields in (("Resolve", mail), ("Address", {"address": HELP}), ("Addresses", {})):
            assert (await acme.ask(question, **fields)).body["incomplete_since"] == lost
        assert "incomplete_since" not in (await acme.ask("Teams")).body
        assert [(one["parked"], one["given_up"]) for one in live_rows(at)] == [(0, 1), (0, 1)]
        assert 'switchboard_view_given_up_events{service="routing",view="routing"} 1' in at.metrics()

        # Rows made anew have the event as they can apply it: it waits again.
        switchboard(at, "views", "rebuild", "routing")
        switchboard(at, "views", "switch", "routing")
        assert [(one["parked"], one["given_up"]) for one in live_rows(at)] == [(0, 1), (1, 0)]


@pytest.fixture
def switchboard_alone(make_switchboard: MakeSwitchboard) -> RunningSwitchboard:
    made = make_switchboard()
    made.start()
    return made
