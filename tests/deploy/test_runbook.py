"""What RUNBOOK.md says is done, on a production of its own: backup and restore, a bus that is lost, a base backup."""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.errors import InvalidSchemaName, UndefinedTable
from typer.main import get_command
from typer.testing import CliRunner

from services.ops.cli import app
from tests.deploy.production import DEPLOY, GuardedPostgres, Production, greeted, production
from tests.journeys.wire import Account
from tests.real_servers import RunningServer, wait_until

TEXT = (DEPLOY / "RUNBOOK.md").read_text()


@pytest.fixture
def breaking() -> Iterator[Production]:
    """With all services, and the account `acme`; to be broken."""
    with production() as made:
        made.begin_all()
        yield made


async def test_a_dump_brings_back_the_log_as_it_was_and_everything_that_is_made_of_it(
    breaking: Production, folder: Path
) -> None:
    server, dump, questions = breaking.postgres, folder / "switchboard.dump", folder / "questions.dump"
    async with breaking.nats.connected_as("crm") as wire:
        acme = Account(wire, "acme")
        await acme.do("RegisterAccount", plan="professional", admin="ana")
        kept = await acme.do("CreateInbox", inbox="kept", name="Kept")
        assert [one["event"]["type"] for one in await timeline(breaking, kept.position)][-1] == "InboxCreated"
        server.tool(*["pg_dump", "--format", "custom", "--schema", "connections", "switchboard", "--file"], str(dump))
        server.tool(*["pg_dump", "--format", "custom", "--schema", "audit", "switchboard", "--file"], str(questions))
        on_record = asked(server.url, "SELECT max(id) FROM audit.questions") or 0
        await acme.do("CreateInbox", inbox="lost", name="Lost")
        assert [one["inbox"] for one in await acme.see("Inboxes")] == ["inbox", "kept", "lost"]

        breaking.end_all()
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'switchboard'"
        server.tool("psql", "--command", others, "--command", "ALTER DATABASE switchboard RENAME TO switchboard_before")
        server.tool("createdb", "switchboard")
        server.initialise()
        # As of a release that came after the dump.
        more = "CREATE FUNCTION connections.newer() RETURNS int LANGUAGE sql AS 'SELECT 1'"
        server.tool("psql", "switchboard", "--command", more)
        server.tool("psql", "switchboard", "--command", "DROP SCHEMA connections CASCADE")
        options = "--dbname switchboard --exit-on-error --single-transaction"
        for one in (dump, questions):
            server.tool("pg_restore", *options.split(), str(one))
        server.initialise()
        assert log_end(server.url) == kept.position
        code, output = breaking.command_line("ops", "streams", "--delete", "--yes")
        assert code == 0, output
        breaking.begin_all()

        acme.position = kept.position
        assert [one["inbox"] for one in await acme.see("Inboxes")] == ["inbox", "kept"]
        again = await acme.do("CreateInbox", inbox="after", name="After")
        assert again.position == kept.position + 1
    assert [one["position"] for one in await timeline(breaking, again.position)] == list(range(1, again.position + 1))
    last = asked(server.url, "SELECT max(id) FROM audit.questions") or 0
    assert last > on_record > 0
    assert asked(server.url, "SELECT count(*) FROM audit.questions") == last
    async with breaking.nats.connected_as("ops") as wire:
        told = await wire.facts(again.position)
    assert [fact.position for fact in told] == list(range(1, again.position + 1))
    assert told[-1].body["inbox"] == "after"


async def timeline(production: Production, position: int) -> list[dict[str, Any]]:
    """What an auditor hears about the account `acme`, up to a position at least."""
    async with production.nats.connected_as("auditor") as wire:
        await wire.audited("acme", position)
        found: list[dict[str, Any]] = (await wire.question("acme", "Timeline", "service:audit.zoe")).result
        return found


async def test_a_bus_that_is_lost_is_filled_again(breaking: Production) -> None:
    async with breaking.nats.connected_as("crm") as wire:
        acme = Account(wire, "acme")
        await acme.do("RegisterAccount", plan="professional", admin="ana")
        made = await acme.do("CreateInbox", inbox="before", name="Before")
    async with breaking.nats.connected_as("ops") as wire:
        before = await wire.facts(made.position)
    breaking.nats.wipe()
    breaking.nats.start()
    async with breaking.nats.connected_as("ops") as wire:
        told = await wire.facts(made.position)
        assert [(fact.headers["ce-id"], fact.position) for fact in told] == [
            (fact.headers["ce-id"], fact.position) for fact in before
        ]
        acme = Account(wire, "acme")
        await acme.do("CreateInbox", inbox="after", name="After")
        assert [one["inbox"] for one in await acme.see("Inboxes")] == ["after", "before", "inbox"]


def test_a_base_backup_starts_as_a_database_with_the_whole_log(guarded: Production, folder: Path) -> None:
    server, archive = guarded.postgres, folder / "base"
    options = "--format tar --wal-method fetch --checkpoint fast"
    server.tool("pg_basebackup", "--pgdata", str(archive), *options.split())
    copy, owner = GuardedPostgres(folder / "p"), server.folder.stat()
    copy.folder.mkdir(parents=True, mode=0o700)
    server.tool("tar", "--extract", "--file", str(archive / "base.tar"), "--directory", str(copy.folder))
    for path in (copy.folder, *copy.folder.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    started = RunningServer(copy)
    try:
        assert log_end(copy.url()) == log_end(server.url)
    finally:
        started.kill()


async def test_a_key_and_a_password_that_got_out_are_replaced(breaking: Production) -> None:
    key, url = breaking.secrets.seed("relay"), breaking.secrets.url("relay")
    for file in ("relay/SWITCHBOARD_NATS_NKEY_SEED", "postgres/switchboard_relay"):
        (breaking.secrets.folder / file).unlink()
    breaking.secrets.make()
    breaking.nats.reload()
    breaking.postgres.initialise()
    assert breaking.secrets.seed("relay") != key
    async with asyncio.timeout(20):
        while await greeted(breaking.nats.url, key) == b"PONG":
            await asyncio.sleep(0.02)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)
    breaking.end("relay")
    await asyncio.to_thread(breaking.begin("relay").wait_until_ready)
    async with breaking.nats.connected_as("crm") as wire:
        made = await Account(wire, "acme").do("RegisterAccount", plan="professional", admin="ana")
    async with breaking.nats.connected_as("ops") as wire:
        assert (await wire.facts(made.position))[-1].position == made.position


def test_a_history_that_is_dropped_is_written_from_the_start(guarded: Production) -> None:
    server = guarded.postgres
    (drop,) = re.findall(r"'(DROP SCHEMA routing_history CASCADE)'", TEXT)
    (size,) = re.findall(r'"(SELECT schemaname, .*?)"', TEXT, re.DOTALL)
    (largest,) = re.findall(r'"(SELECT schemaname \|\| .*?)"', TEXT, re.DOTALL)
    position: LiteralString = "SELECT position FROM routing_history.view"
    wait_until(lambda: asked(server.url, position) == log_end(server.url), what="the history to be written")
    server.tool("psql", "switchboard", "--command", drop)
    wait_until(lambda: asked(server.url, position) == log_end(server.url), what="the history to be written again")
    for statement in (size, largest):
        assert "routing_history" in server.tool("psql", "switchboard", "--command", statement)


def asked(url: str, statement: LiteralString) -> int | None:
    """One number; None while there is no such table."""
    with psycopg.connect(url) as connection, suppress(UndefinedTable, InvalidSchemaName):
        row = connection.execute(statement).fetchone()
        return None if row is None else int(row[0])
    return None


def log_end(url: str) -> int:
    end = asked(url, "SELECT max(notification_id) FROM connections.events")
    assert end is not None
    return end


def test_every_command_of_the_command_line_that_it_names_exists() -> None:
    found = {line.strip() for line in re.findall(r"(?:switchboard|\bops) ((?:streams|views)[a-z -]*)", TEXT)}
    assert len(found) >= 10, found
    for words in found:
        said = CliRunner().invoke(app, [*leading(words.split()), "--help"])
        assert said.exit_code == 0, (words, said.output)
        for option in re.findall(r"--[a-z-]+", words):
            assert option in said.output, words


def leading(words: list[str]) -> list[str]:
    """Those that name a command, without what it is given."""
    group: Any = get_command(app)
    names = []
    for word in words:
        group = getattr(group, "commands", {}).get(word)
        if group is None:
            break
        names.append(word)
    return names


def test_every_file_service_and_program_that_it_names_exists(guarded: Production) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (DEPLOY / link).exists(), link
    for path in re.findall(r"(?<!exec )(?:deploy|tests|shared)/[\w./-]+", TEXT):
        assert (DEPLOY.parent / path).exists() or path.startswith("deploy/secrets"), path
    programs = {"pg_dump", "pg_restore", "pg_basebackup", "createdb", "dropdb", "psql"}
    assert programs <= set(re.findall(r"\b[a-z_]+\b", TEXT))
    for program in programs:
        assert "PostgreSQL" in guarded.postgres.tool(program, "--version")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
def test_scripts_please_shellcheck() -> None:
    for script in DEPLOY.rglob("*.sh"):
        done = subprocess.run(["shellcheck", str(script)], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
