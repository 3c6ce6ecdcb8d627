"""The launcher starts everything in order, keeps it running, and leaves nothing behind."""

import json
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from services.ops.local.postgres_server import Postgres
from tests.conftest import MakeSwitchboard
from tests.metrics_page import Page
from tests.real_servers import RunningNats, RunningSwitchboard, new_folder, still_run, wait_until

ECHOES = (sys.executable, str(Path(__file__).with_name("launch_echoes.py")))
PARTS = {"postgres", "nats", "connections", "relay"}


@pytest.fixture(scope="module")
def shared_launcher() -> Iterator[RunningSwitchboard]:
    """For tests that leave it as ready as they found it."""
    with new_folder() as folder:
        made = RunningSwitchboard(folder, argv=ECHOES)
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def launcher(make_switchboard: MakeSwitchboard) -> RunningSwitchboard:
    """For tests that end it."""
    made = make_switchboard(argv=ECHOES)
    made.start()
    return made


def child(launcher: RunningSwitchboard, is_it: Callable[[list[str]], bool]) -> psutil.Process:
    return next(process for process in launcher.processes()[1:] if is_it(process.cmdline()))


def service(launcher: RunningSwitchboard, name: str) -> psutil.Process:
    return child(launcher, lambda argv: argv[-1:] == [name])


def nats_server(launcher: RunningSwitchboard) -> psutil.Process:
    return child(launcher, lambda argv: argv[:1] != [] and argv[0].endswith("nats-server"))


def postmaster(launcher: RunningSwitchboard) -> psutil.Process:
    return child(launcher, lambda argv: "-D" in argv)


def write_a_row(launcher: RunningSwitchboard) -> None:
    with psycopg.connect(launcher.postgres_url) as connection:
        connection.execute("CREATE TABLE kept (value text)")
        connection.execute("INSERT INTO kept VALUES ('here')")


def read_the_row(launcher: RunningSwitchboard) -> str:
    with psycopg.connect(launcher.postgres_url) as connection:
        row = connection.execute("SELECT value FROM kept").fetchone()
        assert row is not None
        return str(row[0])


def test_it_names_every_part_once_ready(shared_launcher: RunningSwitchboard) -> None:
    status, body = shared_launcher.health()
    assert status == 200
    assert body == {"service": "switchboard", "ready": True, "parts": dict.fromkeys(PARTS, "ok")}
    assert shared_launcher.health("/health/live") == (200, {"live": True})
    assert shared_launcher.health("/elsewhere")[0] == 404


def test_it_says_where_everything_is_and_how_to_stop(shared_launcher: RunningSwitchboard) -> None:
    wait_until(lambda: "Ctrl-C" in shared_launcher.output(), what="the summary")
    said = shared_launcher.output()
    for wanted in (
        shared_launcher.nats_url,
        shared_launcher.postgres_url,
        f":{shared_launcher.http_port}/health/ready",
    ):
        assert wanted in said


def test_it_tells_the_metrics_of_every_service_but_one_that_hangs(launcher: RunningSwitchboard) -> None:
    def told() -> tuple[set[str], float]:
        page = Page(launcher.metrics())
        services = {dict(labels)["service"] for labels in page.samples["process_start_time_seconds"]}
        return services, page.value("switchboard_part_ready", service="launcher", part="relay")

    assert told() == ({"launcher", "connections", "relay"}, 1)
    service(launcher, "relay").suspend()
    assert told() == ({"launcher", "connections"}, 0)
    service(launcher, "relay").resume()
    wait_until(lambda: told() == ({"launcher", "connections", "relay"}, 1), what="the relay to be told again")
    service(launcher, "relay").kill()
    wait_until(lambda: told()[0] == {"launcher", "connections"}, what="its end to be noticed")
    wait_until(lambda: told() == ({"launcher", "connections", "relay"}, 1), what="the next one to be told")


def test_ctrl_c_stops_everything_and_leaves_nothing_running(launcher: RunningSwitchboard) -> None:
    processes = launcher.processes()
    assert len(processes) > len(PARTS)
    assert launcher.stop() == 0
    assert still_run(processes) == []
    assert "database system is shut down" in (launcher.data_dir / "data/logs/postgres.log").read_text()


def test_everything_ends_with_a_killed_launcher_and_its_data_is_found_again(launcher: RunningSwitchboard) -> None:
    write_a_row(launcher)
    processes = launcher.processes()
    launcher.kill()
    wait_until(lambda: still_run(processes) == [], 60, "the children to end")
    # NATS goes at the same time as its users, which is nothing to be alarmed at.
    assert "Traceback" not in launcher.output()
    launcher.start()
    assert read_the_row(launcher) == "here"


def test_it_starts_again_at_once_after_everything_was_killed(launcher: RunningSwitchboard) -> None:
    write_a_row(launcher)
    for process in launcher.processes():
        with suppress(psutil.NoSuchProcess):
            process.kill()
    launcher.process.wait()
    launcher.start()
    assert read_the_row(launcher) == "here"


def test_leftover_servers_of_a_killed_launcher_are_ended_first(launcher: RunningSwitchboard) -> None:
    # Stopped processes do not see their parent's death: the next launcher finds them on its data and its port.
    left = [postmaster(launcher), nats_server(launcher)]
    for process in left:
        process.suspend()
    launcher.kill()
    for process in left:
        process.send_signal(signal.SIGCONT)
    launcher.start()
    assert still_run(left) == []


@pytest.mark.parametrize(
    "victim", [lambda made: service(made, "relay"), nats_server, postmaster], ids=["service", "nats", "postgres"]
)
def test_a_part_that_is_killed_runs_again(
    shared_launcher: RunningSwitchboard, victim: Callable[[RunningSwitchboard], psutil.Process]
) -> None:
    before = victim(shared_launcher)
    deaths = shared_launcher.output().count("part.died")
    before.kill()
    wait_until(lambda: shared_launcher.output().count("part.died") > deaths, what="the death to be noticed")
    wait_until(shared_launcher.ready, what="everything to be ready again")
    assert victim(shared_launcher).pid != before.pid


def test_it_is_not_ready_while_a_service_does_not_answer(shared_launcher: RunningSwitchboard) -> None:
    relay = service(shared_launcher, "relay")
    relay.suspend()
    try:
        status, body = shared_launcher.health()
    finally:
        relay.resume()
    assert status == 503
    assert body["ready"] is False
    assert body["parts"].pop("relay") == "no answer"
    assert set(body["parts"].values()) == {"ok"}
    wait_until(shared_launcher.ready, what="the service to answer again")


def test_a_second_ctrl_c_does_not_wait_for_a_service_that_hangs(launcher: RunningSwitchboard) -> None:
    processes = launcher.processes()
    service(launcher, "relay").suspend()
    launcher.interrupt()
    wait_until(lambda: "Stopping" in launcher.output(), what="the first to be heard")
    assert launcher.process.poll() is None
    assert launcher.stop(seconds=15) == 0
    assert still_run(processes) == []


def test_it_can_be_stopped_before_it_is_ready(make_switchboard: MakeSwitchboard) -> None:
    made = make_switchboard(argv=ECHOES)
    made.launch()
    wait_until(lambda: "Starting connections" in made.output(), what="the services to be started")
    processes = made.processes()
    assert made.stop() == 0
    assert still_run(processes) == []


def test_a_second_launcher_on_the_same_data_says_who_holds_it(
    shared_launcher: RunningSwitchboard, make_switchboard: MakeSwitchboard
) -> None:
    second = make_switchboard({"SWITCHBOARD_DATA_DIR": str(shared_launcher.data_dir / "data")}, ECHOES)
    second.launch()
    assert second.process.wait(20) == 1
    assert f"process {shared_launcher.process.pid}" in second.output()
    assert "SWITCHBOARD_DATA_DIR" in second.output()


@pytest.mark.parametrize("part", ["NATS", "HTTP"])
def test_a_taken_port_is_told_with_the_setting_that_helps(part: str, make_switchboard: MakeSwitchboard) -> None:
    made = make_switchboard(argv=ECHOES)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", made.nats_port if part == "NATS" else made.http_port))
        taken.listen()
        made.launch()
        assert made.process.wait(20) == 1
    assert f"SWITCHBOARD_{part}_PORT" in made.output()
    assert "Traceback" not in made.output()


def test_data_of_another_postgresql_is_left_alone_and_told(make_switchboard: MakeSwitchboard) -> None:
    made = make_switchboard(argv=ECHOES)
    folder = made.data_dir / "data/postgres"
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text("16\n")
    made.launch()
    assert made.process.wait(20) == 1
    assert "PostgreSQL 16" in made.output()
    assert [path.name for path in folder.iterdir()] == ["PG_VERSION"]


def test_an_initdb_cut_short_is_begun_again(make_switchboard: MakeSwitchboard) -> None:
    made = make_switchboard(argv=ECHOES)
    half = made.data_dir / "data/postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    made.start()
    assert made.ready()


def test_given_urls_are_used_and_nothing_of_the_kind_is_started(
    make_switchboard: MakeSwitchboard, private_nats: RunningNats, database: str
) -> None:
    made = make_switchboard({"SWITCHBOARD_NATS_URL": private_nats.url, "SWITCHBOARD_POSTGRES_URL": database}, ECHOES)
    made.start()
    assert len(made.processes()) == 3
    private_nats.stop()
    wait_until(lambda: made.health()[0] == 503, what="the loss of NATS to be told")
    assert set(made.health()[1]["parts"]) == PARTS
    private_nats.start()
    wait_until(made.ready, what="everything to be ready again")


def test_a_password_in_a_url_is_not_shown(make_switchboard: MakeSwitchboard, nats: RunningNats, database: str) -> None:
    secret = database.replace("postgres:@", "postgres:sesame@")
    made = make_switchboard({"SWITCHBOARD_NATS_URL": nats.url, "SWITCHBOARD_POSTGRES_URL": secret}, ECHOES)
    made.start()
    wait_until(lambda: "postgres:***@" in made.output(), what="the summary")
    assert "sesame" not in made.output()


def test_a_long_or_odd_path_holds_data_too(make_switchboard: MakeSwitchboard) -> None:
    made = make_switchboard(argv=ECHOES)
    odd = made.data_dir / ("long, odd " * 20)
    made.settings["SWITCHBOARD_DATA_DIR"] = str(odd)
    made.start()
    assert (odd / "postgres/PG_VERSION").exists()
    assert made.stop() == 0
    Postgres(odd).socket_folder.rmdir()


def test_its_logs_are_one_json_object_per_line(launcher: RunningSwitchboard) -> None:
    launcher.stop()
    lines = [json.loads(line) for line in launcher.output().splitlines() if line.startswith("{")]
    assert {(line["service"], line["event"]) for line in lines} >= {
        (name, event) for name in ("connections", "relay") for event in ("service.started", "service.stopped")
    }
