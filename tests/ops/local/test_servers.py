"""The embedded servers keep what they were told through stops, kills and a wiped folder."""

import os
import stat
from pathlib import Path

import nats as nats_py
import psycopg
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from services.ops.local.nats_server import Nats, nats_answers
from services.ops.local.postgres_server import Postgres, postgres_answers
from tests.real_servers import RunningNats, RunningPostgres, free_port


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def test_committed_rows_survive_a_kill(private_postgres: RunningPostgres) -> None:
    with psycopg.connect(private_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    private_postgres.kill()
    private_postgres.start()
    assert count(private_postgres.url) == 1


def test_it_flushes_to_disk_and_knows_no_locale(private_postgres: RunningPostgres) -> None:
    with psycopg.connect(private_postgres.url) as connection:
        for setting, wanted in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "server_encoding": "UTF8",
            "lc_collate": "C",
            "listen_addresses": "",
            "TimeZone": "UTC",
        }.items():
            row = connection.execute("SELECT current_setting(%s, true)", [setting]).fetchone()
            assert row is not None
            assert row[0] in {wanted, None}, setting


def test_only_its_own_user_reaches_the_socket(private_postgres: RunningPostgres, folder: Path) -> None:
    long = folder / ("x" * 90)
    with psycopg.connect(private_postgres.url) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
        assert row is not None
        assert stat.S_IMODE(Path(row[0]).stat().st_mode) == 0o700
    server = Postgres(long)
    server.prepare()
    try:
        assert stat.S_IMODE(server.socket_folder.stat().st_mode) == 0o700
        assert server.socket_folder != server.folder
    finally:
        server.socket_folder.rmdir()


def test_a_number_that_now_is_another_process_is_no_obstacle(private_postgres: RunningPostgres) -> None:
    private_postgres.kill()
    folder = Path(private_postgres.url.partition("host=")[2])
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        (folder / name).write_text(f"{os.getpid()}\n{folder}\n1\n5432\n{folder}\n\n")
    private_postgres.start()


def test_two_databases_know_nothing_of_each_other(postgres: RunningPostgres) -> None:
    first, second = postgres.new_database(), postgres.new_database()
    with psycopg.connect(first, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    with psycopg.connect(second) as connection:
        row = connection.execute("SELECT to_regclass('kept')").fetchone()
    assert row == (None,)


async def test_a_stream_survives_a_kill_and_not_a_wipe(private_nats: RunningNats) -> None:
    connection = await nats_py.connect(private_nats.url)
    await connection.jetstream().add_stream(StreamConfig(name="KEPT", subjects=["kept"]))
    await connection.jetstream().publish("kept", b"here")
    await connection.close()
    private_nats.kill()
    private_nats.start()
    assert await messages(private_nats) == 1
    private_nats.wipe()
    private_nats.start()
    assert await messages(private_nats) is None


async def messages(server: RunningNats) -> int | None:
    connection = await nats_py.connect(server.url)
    try:
        return (await connection.jetstream().stream_info("KEPT")).state.messages
    except NotFoundError:
        return None
    finally:
        await connection.close()


async def test_what_does_not_answer_says_why(folder: Path) -> None:
    assert await nats_answers(Nats(folder, free_port()).url())
    assert "No such file" in str(await postgres_answers(Postgres(folder).url()))
