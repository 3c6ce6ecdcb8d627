"""Behind a pooler nothing works, and whoever looks is told so: by readiness, the log and the command line.

PgBouncer refuses what a connection asks for at its start, or drops it; the settings, the pid and the locks are then
those of somebody else.
"""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from services.connections.partitions import LOCKS, PRESENT, Partitions
from shared.messaging.endpoint import Endpoint
from shared.process import clock
from shared.process.lease import Lease
from shared.process.postgres import LOCK_NOT_HELD, SETTINGS_NOT_APPLIED, DirectAsync, LockNotHeld, SettingsNotApplied
from tests.command_line import run
from tests.deploy.pooler import PGBOUNCER, SOCKET, RunningPooler, pooler, url_by_way_of
from tests.deploy.production import DEPLOY
from tests.journeys.wire import Wire, connected
from tests.metrics_page import Page
from tests.real_servers import RunningNats, RunningPostgres, new_folder, wait_until
from tests.scale.fleet import Fleet, Member, fleet

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="there is no pgbouncer here: apt install pgbouncer")

SENTENCE: Final = "PostgreSQL did not take this connection's settings: connect directly, not through a pooler"
DROPPED: Final = {"ignore_startup_parameters": "options"}
# What names a server's absence has to name the pooler's presence.
PARTS: Final = {
    "connections": ("postgres", "partitions"),
    "relay": ("postgres",),
    "inbox-views": ("events", "view"),
    "routing": ("events", "view"),
    "audit": ("history",),
}


@pytest.fixture
def between(request: pytest.FixtureRequest, postgres: RunningPostgres) -> Iterator[RunningPooler]:
    mode, settings = request.param
    with pooler(postgres, pool_mode=mode, **settings) as made:
        yield made


def by_way_of(*kinds: tuple[str, dict[str, str]]) -> pytest.MarkDecorator:
    names = [f"{mode} mode, options {'dropped' if settings else 'refused'}" for mode, settings in kinds]
    return pytest.mark.parametrize("between", kinds, ids=names, indirect=True)


in_every_way = by_way_of(("session", {}), ("session", DROPPED), ("transaction", {}), ("transaction", DROPPED))
in_either_way = by_way_of(("session", {}), ("transaction", DROPPED))


def parts_of(member: Member) -> dict[str, str]:
    """What readiness says, part by part; empty when nothing answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{member.port}/health/ready", timeout=10) as told:
            found = json.load(told)
    except urllib.error.HTTPError as refused:
        with refused:
            found = json.load(refused)
    except OSError:
        return {}
    parts: dict[str, str] = found["parts"]
    return parts


def says_it(member: Member) -> bool:
    told = parts_of(member)
    parts = [told[part] for part in PARTS[member.service] if part in told]
    return bool(parts) and all(SENTENCE in part for part in parts)


def page_of(member: Member) -> Page:
    with urllib.request.urlopen(f"http://127.0.0.1:{member.port}/metrics", timeout=10) as told:
        return Page(told.read().decode())


def lines_of(member: Member) -> list[dict[str, Any]]:
    return [json.loads(line) for line in member.output().splitlines() if line.startswith("{")]


def members_of(running: Fleet) -> list[Member]:
    return [member for members in running.members.values() for member in members]


@in_every_way
async def test_no_process_is_ready_behind_a_pooler_and_each_says_why(
    between: RunningPooler, database: str, private_nats: RunningNats
) -> None:
    spread = {"SWITCHBOARD_SPREAD_ACCOUNTS": "true"}
    with fleet(private_nats.url, between.url_of(database), spread) as running:
        for service in ("connections", "connections", "relay", "relay", "inbox-views", "routing"):
            running.begin(service)
        for member in members_of(running):
            await asyncio.to_thread(wait_until, partial(says_it, member), 40, f"{member.service} to say it")
        # Of two relays none leads, of two writers none takes a partition: and whoever asks has an answer.
        assert sum(page_of(relay).value("switchboard_relay_leading") for relay in running.members["relay"]) == 0
        async with connected(private_nats.url) as wire:
            told = await wire.command("acme", "RegisterAccount", plan="starter", admin="ana")
            assert told.reason == "BUSY"
            asked = await wire.question("acme", "Inboxes")
            assert asked.reason == "BUSY"
        for member in members_of(running):
            assert says_it(member), parts_of(member)
            said = [line for line in lines_of(member) if SENTENCE in json.dumps(line)]
            # Once of each that connects: a part of readiness, or what it is made of.
            assert 1 <= len(said) <= 2, said
            assert {line["level"] for line in said} == {"warning"}
            assert "does not exist" not in member.output()


@in_either_way
async def test_the_command_line_says_that_a_pooler_stands_between(between: RunningPooler, database: str) -> None:
    url = between.url_of(database)
    verbs = (["show"], ["rebuild", "routing"], ["parked", "list", "routing"])
    for words, done in zip(
        verbs, await asyncio.gather(*(run("views", *words, "--url", url) for words in verbs)), strict=True
    ):
        assert done.code != 0
        assert SENTENCE in " ".join((done.output + done.errors).split()), (words, done)
        assert "Traceback" not in done.errors


@in_either_way
def test_switchboard_run_says_that_a_pooler_stands_between_and_waits(
    between: RunningPooler, database: str, private_nats: RunningNats, make_switchboard: Any
) -> None:
    made = make_switchboard(
        {"SWITCHBOARD_POSTGRES_URL": between.url_of(database), "SWITCHBOARD_NATS_URL": private_nats.url}
    )
    made.launch()
    wait_until(lambda: f"Waiting for PostgreSQL: {SENTENCE}" in made.output(), 30, "it to say so")
    assert made.health()[1]["parts"]["postgres"] == SENTENCE
    assert made.stop() == 0


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_settings_that_are_there_by_another_way_are_not_taken_for_ones_own(
    postgres: RunningPostgres, database: str, mode: str
) -> None:
    with psycopg.connect(database, autocommit=True) as own:
        name = own.info.dbname
        own.execute(f"ALTER DATABASE {name} SET lock_timeout = '1s'".encode())
        own.execute(f"ALTER DATABASE {name} SET \"switchboard.connection\" = 'x'".encode())
    direct = await DirectAsync.connect(database, settings={"lock_timeout": "1s"}, autocommit=True)
    await direct.close()
    with pooler(postgres, pool_mode=mode, **DROPPED) as between:
        for settings in ({}, {"lock_timeout": "1s"}):
            with pytest.raises(SettingsNotApplied, match=SETTINGS_NOT_APPLIED):
                await DirectAsync.connect(between.url_of(database), settings=settings, autocommit=True)


async def test_a_lock_that_is_another_sessions_by_now_is_trouble(
    postgres: RunningPostgres, database: str, nats: RunningNats
) -> None:
    with pooler(postgres, pool_mode="transaction", **DROPPED) as between:
        url = between.url_of(database)
        lease = Lease(url, "relay")
        async with (
            connected(nats.url) as wire,
            await psycopg.AsyncConnection.connect(url, autocommit=True) as holder,
            await psycopg.AsyncConnection.connect(url, autocommit=True) as other,
        ):
            partitions = Partitions(url, wire.client, 4, commands_of)
            await holder.execute("SELECT pg_advisory_lock_shared(%s, %s)", (LOCKS, PRESENT))
            await partitions.beat(holder)
            await lease.beat(holder)
            assert lease.held
            # The one session that there was is somebody else's now.
            await other.execute("BEGIN")
            with pytest.raises(LockNotHeld, match=LOCK_NOT_HELD):
                await lease.beat(holder)
            with pytest.raises(LockNotHeld, match=LOCK_NOT_HELD):
                await partitions.beat(holder)
            await partitions.drain()


def commands_of(partition: int) -> Endpoint:
    return Endpoint("commands", f"pooler-test.{partition}", "pooler-test", lambda _: True)


def test_two_relays_that_lead_call_somebody() -> None:
    groups = yaml.safe_load((DEPLOY / "dashboards" / "alerts.yml").read_text())["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    assert rules["SwitchboardTwoRelaysLead"]["expr"] == "sum(switchboard_relay_leading) > 1"


async def test_a_pooler_that_comes_between_and_dies_under_load_loses_nothing_and_hides_nothing(
    private_postgres: RunningPostgres, private_nats: RunningNats
) -> None:
    database = private_postgres.new_database()
    with new_folder() as folder, pooler(private_postgres, pool_mode="transaction", **DROPPED) as between:
        own = Path(str(conninfo_to_dict(database)["host"]))

        def lead_to(where: Path) -> None:
            """Whoever connects from now on, and everybody has to."""
            (folder / "next").symlink_to(where / SOCKET)
            (folder / "next").rename(folder / SOCKET)
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

        lead_to(own)
        with fleet(private_nats.url, url_by_way_of(folder, database)) as running:
            await asyncio.to_thread(running.grow, 1)
            async with connected(private_nats.url) as wire:
                await wire.command("acme", "RegisterAccount", plan="professional", admin="ana")
                over = asyncio.Event()
                load = asyncio.create_task(made_teams(wire, over))
                lead_to(between.folder)
                for member in members_of(running):
                    await asyncio.to_thread(wait_until, partial(says_it, member), 40, f"{member.service} to say it")
                between.kill()
                writer = running.members["connections"][0]
                await asyncio.to_thread(
                    wait_until, lambda: "does not answer" in parts_of(writer).get("postgres", ""), 20, "it to be missed"
                )
                between.start()
                await asyncio.to_thread(wait_until, lambda: SENTENCE in parts_of(writer)["postgres"], 20, "it again")
                lead_to(own)
                for member in members_of(running):
                    await asyncio.to_thread(member.wait_until_ready)
                over.set()
                made = await load
                end = max(made)
                assert not (await wire.question("acme", "Usage", at_least=end, wait_ms=10_000)).error
                told = await wire.facts(end)
                assert [fact.position for fact in told] == list(range(1, end + 1))
                assert {fact.position: fact.body["team"] for fact in told if "team" in fact.body} == made


async def made_teams(wire: Wire, over: asyncio.Event) -> dict[int, str]:
    """Commands one after the other until it is over, each given again until it is done: the teams by position."""
    made: dict[int, str] = {}
    while not over.is_set():
        team, given = f"team-{len(made)}", clock.new_id()
        while (told := await wire.command("acme", "CreateTeam", team=team, name=team, command_id=given)).error:
            # Never silence, and never another reason.
            assert told.reason == "BUSY", told.raw
            await asyncio.sleep(0.02)
        made[told.position] = team
    return made
