"""A bundle becomes a log again: same positions, same bytes, same roots, and a writer goes on behind it."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.connections import parsing
from services.connections.commands import PAGES, SET_VERSION
from services.connections.decider import Decider
from services.connections.store.event_store import EventStore
from services.connections.store.set_migration import MARK
from services.ops.terminal import NO_ANSWER, REFUSED, USAGE
from shared.language.commands import Command, CreateInbox
from shared.process.clock import new_id
from shared.process.log_reader import LogReader
from tests import command_line
from tests.audit.past import past_in, rows, run
from tests.connections.anything import SERVICE, any_command, dice_of
from tests.deploy.production import RunningGuardedPostgres, Secrets
from tests.ops.evidence.bundles import (
    EVENTS,
    JOURNAL,
    LogToExport,
    changed,
    content,
    forge_manifest,
    lines_of,
)
from tests.real_servers import ROOT, RunningPostgres

STORED = (
    "SELECT * FROM connections.events ORDER BY notification_id",
    "SELECT * FROM connections.journal ORDER BY ordinal",
    "SELECT id FROM connections.log",
    f"SELECT set_id, member FROM connections.memberships WHERE present AND set_id <> '{MARK}' ORDER BY 1, 2",
)


@pytest.fixture
def empty(postgres: RunningPostgres) -> Iterator[str]:
    """The URL of another empty database."""
    url = postgres.new_database()
    yield url
    postgres.drop_database(url)


async def import_into(url: str, bundle: Path, *words: str) -> command_line.Ended:
    return await command_line.run(
        "audit", "import", str(bundle), "--postgres", url, *words, environment={"COLUMNS": "80"}, merged=True
    )


async def test_an_imported_log_is_the_exported_one_byte_for_byte(log: LogToExport, empty: str, folder: Path) -> None:
    bundle = await log.export("bundle")
    ended = await import_into(empty, bundle)
    assert ended.code == 0, ended.output
    assert "are those that were signed" in ended.output
    assert [rows(empty, sql) for sql in STORED] == [rows(log.url, sql) for sql in STORED]
    again = await log.try_export("again", "--postgres", empty)
    assert again.code == 0, again.output
    assert content(folder / "again") == content(bundle)


async def test_a_writer_decides_on_it_as_on_the_original(log: LogToExport, empty: str) -> None:
    bundle = await log.export("bundle")
    assert (await import_into(empty, bundle)).code == 0
    dice = dice_of(11)
    given = [(any_command(dice), dice.choice(("acme", "zenith"))) for _ in range(300)]
    ids = [new_id() for _ in given]
    replies = []
    for url in (log.url, empty):
        decider = Decider(EventStore(url, PAGES, set_version=SET_VERSION))
        replies.append([settled(decider, one, account, id_) for (one, account), id_ in zip(given, ids, strict=True)])
        decider.store.close()
    end = len(lines_of(bundle, EVENTS))
    first = next(reply for reply in replies[1] if reply["outcome"] == "accepted")
    assert first["position"] == end + first["event_count"]
    assert replies[1] == replies[0]


def settled(decider: Decider, command: Command, account: str, id_: str) -> dict[str, Any]:
    """The reply, without what is new each time."""
    body = command.model_dump(mode="json", by_alias=True, exclude_none=True) | {"command_id": id_}
    ((_, outcome),) = decider.settle([parsing.read(account, type(command).__name__, json.dumps(body).encode(), None)])
    reply: dict[str, Any] = json.loads(outcome.reply())
    reply["events"] = [event["type"] for event in reply.get("events", ())]
    details = reply.get("details", {})
    details = {name: one for name, one in details.items() if name != "since"}
    return {**reply, "details": details, "message": None}


async def test_a_command_that_was_answered_is_answered_the_same_again(log: LogToExport, empty: str) -> None:
    bundle = await log.export("bundle")
    assert (await import_into(empty, bundle)).code == 0
    entry = next(one for one in lines_of(bundle, JOURNAL) if one["outcome"] == "accepted")
    decider = Decider(EventStore(empty, PAGES, set_version=SET_VERSION))
    body = json.dumps({**json.loads(entry["body"]), "command_id": entry["command_id"]}).encode()
    ((_, outcome),) = decider.settle([parsing.read(entry["account"], entry["command"], body, None)])
    decider.store.close()
    reply = json.loads(outcome.reply())
    assert (reply["outcome"], reply["position"]) == ("accepted", entry["position"]), reply
    assert len(rows(empty, STORED[1])) == len(lines_of(bundle, JOURNAL))


async def test_a_time_is_at_the_same_position(log: LogToExport, empty: str) -> None:
    assert (await import_into(empty, await log.export("bundle"))).code == 0
    times = [datetime.fromisoformat(event["time"]) for event in lines_of(log.folder / "bundle", EVENTS)]
    dice = random.Random(3)  # noqa: S311  the same times again
    asked = [time + timedelta(milliseconds=dice.choice((-1, 0, 0, 1, 7))) for time in times]
    async with LogReader(log.url) as original, LogReader(empty) as imported:
        for time in asked:
            assert await imported.position_at(time) == await original.position_at(time)


async def test_a_store_that_a_writer_has_opened_is_empty_too(log: LogToExport, empty: str) -> None:
    EventStore(empty, PAGES, set_version=SET_VERSION).close()
    assert (await import_into(empty, await log.export("bundle"))).code == 0
    assert rows(empty, STORED[3]) == rows(log.url, STORED[3])


async def test_a_log_with_anything_in_it_is_left_alone(log: LogToExport, empty: str) -> None:
    with past_in(empty) as past:
        past.begin()
    before = [rows(empty, sql) for sql in STORED]
    ended = await import_into(empty, await log.export("bundle"))
    assert (ended.code, "into an empty one only. Nothing was imported." in " ".join(ended.output.split())) == (
        REFUSED,
        True,
    ), ended.output
    assert [rows(empty, sql) for sql in STORED] == before


@pytest.mark.parametrize("point", ["import.copied", "import.checked"])
async def test_an_import_that_was_killed_leaves_nothing_and_can_be_repeated(
    log: LogToExport, empty: str, folder: Path, point: str
) -> None:
    bundle, points = await log.export("bundle"), folder / "points"
    points.mkdir()
    (points / f"{point}@import").write_text("kill")
    ended = await command_line.run(
        "audit", "import", str(bundle), "--postgres", empty, environment={"SWITCHBOARD_FAILPOINTS": str(points)}
    )
    assert (ended.code, f"code {-signal.SIGKILL}" in ended.errors) == (REFUSED, True), ended.errors
    assert rows(empty, STORED[0]) == rows(empty, STORED[1]) == []
    assert (await import_into(empty, bundle)).code == 0
    assert rows(empty, STORED[0]) == rows(log.url, STORED[0])


async def test_what_is_no_whole_and_sound_bundle_is_not_imported(log: LogToExport, empty: str, folder: Path) -> None:
    ended = await import_into(empty, await log.export("extract", "--account", "acme"))
    assert (ended.code, "is an extract" in ended.output) == (REFUSED, True), ended.output
    bundle = await log.export("bundle")
    with changed(bundle / EVENTS, (bundle / EVENTS).read_bytes().replace(b"acme", b"acne", 1)):
        ended = await import_into(empty, bundle)
    assert (ended.code, "events.jsonl: line 1 (position 1)" in ended.output) == (REFUSED, True), ended.output
    ended = await import_into(empty, folder / "nowhere")
    assert (ended.code, "There is no folder" in ended.output) == (USAGE, True), ended.output
    ended = await import_into("postgresql://127.0.0.1:1/none", bundle)
    assert (ended.code, "No PostgreSQL: " in ended.output) == (NO_ANSWER, True), ended.output
    (folder / "keys").write_text("")
    ended = await import_into(empty, bundle, "--keys", str(folder / "keys"))
    assert (ended.code, "no known Ed25519 key" in ended.output) == (REFUSED, True), ended.output
    assert rows(empty, "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'connections'") == [(0,)]


async def test_the_process_of_the_writers_itself_imports_nothing_with_another_root(
    log: LogToExport, empty: str
) -> None:
    bundle = await log.export("bundle")
    (bundle / EVENTS).write_bytes(
        (bundle / EVENTS).read_bytes().replace(b'"streamversion":"1"', b'"streamversion":"9"')
    )
    forge_manifest(bundle)
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    arguments = json.dumps({"bundle": str(bundle), "log": manifest["log"], "trees": manifest["trees"]})
    ended = subprocess.run(
        (sys.executable, "-m", "services.connections.app", "import", arguments),
        cwd=ROOT, env={**os.environ, "SWITCHBOARD_POSTGRES_URL": empty}, stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    said = json.loads(ended.stdout.splitlines()[-1])
    assert (ended.returncode, "do not lead to the root" in said["refused"]) == (REFUSED, True), said
    assert rows(empty, STORED[0]) == []


async def test_checkpoints_of_different_moments_are_not_imported(log: LogToExport, empty: str) -> None:
    old = (log.evidence.folder / "events" / "checkpoint").read_bytes()
    log.past.begin("third")
    await log.sign()
    (log.evidence.folder / "events" / "checkpoint").write_bytes(old)
    ended = await import_into(empty, await log.export("bundle"))
    assert (ended.code, "the two checkpoints are of different moments" in " ".join(ended.output.split())) == (
        REFUSED,
        True,
    ), ended.output


async def test_a_role_that_may_not_write_the_log_is_refused(
    log: LogToExport, empty: str, postgres: RunningPostgres
) -> None:
    EventStore(empty, PAGES, set_version=SET_VERSION).close()
    name = f"reader_{new_id()[-12:]}"
    run(empty, f"CREATE ROLE {name} LOGIN; GRANT USAGE ON SCHEMA connections TO {name};"
               f" GRANT SELECT ON ALL TABLES IN SCHEMA connections TO {name}")  # fmt: skip
    try:
        ended = await import_into(
            f"{empty}{'&' if '?' in empty else '?'}options=-c%20role%3D{name}", await log.export("bundle")
        )
        assert (ended.code, "This role may not import a log" in " ".join(ended.output.split())) == (REFUSED, True)
    finally:
        run(empty, f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_an_administrator_imports_and_the_writers_role_goes_on(log: LogToExport, folder: Path) -> None:
    bundle, secrets = await log.export("bundle"), Secrets(folder / "secrets")
    server = RunningGuardedPostgres(folder / "p", secrets)
    try:
        for statement in (
            "CREATE ROLE administrator LOGIN CREATEROLE PASSWORD 'known'",
            "ALTER DATABASE switchboard OWNER TO administrator",
        ):
            server.tool("psql", "--dbname", "switchboard", "--command", statement)
        server.initialise("PGUSER=administrator", "PGPASSWORD=known")
        ended = await import_into(secrets.url("connections"), bundle)
        assert (ended.code, "This role may not import" in " ".join(ended.output.split())) == (REFUSED, True)
        _, _, rest = secrets.url("connections").partition("@")
        ended = await import_into(f"postgresql://administrator:known@{rest}", bundle)
        assert ended.code == 0, ended.output
        decider = Decider(EventStore(secrets.url("connections"), PAGES, set_version=SET_VERSION))
        reply = settled(decider, CreateInbox(actor=SERVICE, inbox="moved", name="Moved"), "acme", new_id())
        decider.store.close()
        assert (reply["outcome"], reply["position"]) == ("accepted", len(lines_of(bundle, EVENTS)) + 1)
    finally:
        server.kill()
