"""A deployment of the release before the audit service is upgraded as RUNBOOK.md says, while its servers run."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from shared.language.text import AUDITOR
from tests.connections.former_store import SCHEMA, FormerWriter, an_entry
from tests.deploy.production import DEPLOY, SEED, Production, Release, greeted, production
from tests.journeys.wire import Account

# As release 910bd5d had them; everything else that this test needs of that release is as it is now.
FORMER: Final = Path(__file__).with_name("former")
SERVICES: Final = re.compile(r'^SERVICES: Final = \((.*), "audit"\)$', re.MULTILINE)


def former_release(folder: Path) -> Release:
    deploy = folder / "deploy"
    shutil.copytree(DEPLOY, deploy, ignore=shutil.ignore_patterns("secrets"))
    shutil.copytree(FORMER, deploy, dirs_exist_ok=True)
    maker = deploy / "make_secrets.py"
    text, times = SERVICES.subn(r"SERVICES: Final = (\1)", maker.read_text())
    assert times == 1
    maker.write_text(text)
    return Release(deploy, SCHEMA)


@pytest.fixture
def former(folder: Path) -> Iterator[Production]:
    """Servers, roles and tables of the former release, with accepted and refused commands in the log."""
    with production(release=former_release(folder)) as made:
        writer = FormerWriter(made.postgres.url)
        for number in range(3):
            writer.append(an_entry("refused", f"2026-03-03T09:0{number}:00.000Z"))
        writer.close()
        yield made


def upgrade(made: Production) -> None:
    """The runbook's steps for the servers."""
    made.secrets.release = Release()
    made.secrets.make()
    made.postgres.initialise()
    made.nats.reload()


async def test_servers_that_run_get_the_service_that_the_former_release_lacked(former: Production) -> None:
    key = former.secrets.seed("audit")
    assert not (former.secrets.folder / "siem").exists()
    upgrade(former)
    assert former.secrets.seed("siem") == key
    assert former.secrets.seed("audit") != key
    former.begin_all()
    async with former.nats.connected_as("crm") as wire:
        account = Account(wire, "acme")
        made = await account.do("RegisterAccount", plan="professional", admin="ana")
    async with former.nats.connected_as("auditor") as wire:
        await wire.audited("acme", made.position)
        answer = await wire.question("acme", "Timeline", f"{AUDITOR}zoe")
    assert [one["outcome"] for one in answer.result] == ["refused"] * 3 + ["accepted"] * len(made.body["events"])
    with psycopg.connect(former.secrets.url("audit")) as connection:
        found = connection.execute("SELECT count(*), max(ordinal) FROM connections.journal").fetchone()
    assert found == (4, 4)
    assert await greeted(former.nats.url, key) == b"PONG"
    former.keep_output()
    refused = [line for said in former.said.values() for line in said.splitlines() if "not_allowed" in line]
    assert refused == []


def test_a_second_upgrade_changes_no_secret(former: Production) -> None:
    upgrade(former)
    before = {path: path.read_text() for path in former.secrets.folder.rglob(SEED)}
    upgrade(former)
    assert {path: path.read_text() for path in former.secrets.folder.rglob(SEED)} == before


def test_the_runbook_has_the_steps_in_this_order() -> None:
    text = (DEPLOY / "RUNBOOK.md").read_text()
    (section,) = re.findall(r"^## Upgrade$(.*?)^To roll back", text, re.MULTILINE | re.DOTALL)
    steps = ("git checkout", "sb build", "make_secrets.py", "postgres nats", "init.sh", "kill -HUP 1", "--no-recreate")
    places = [section.index(step) for step in steps]
    assert places == sorted(places)
