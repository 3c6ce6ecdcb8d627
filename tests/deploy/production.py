"""Switchboard as deploy/ sets it up, its files as they are, in processes instead of containers.

Only where servers listen and keep their data is the test's: PostgreSQL on a socket, where roles need their passwords as
over a network.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import nkeys
import yaml

from services.ops.local.children import Program
from services.ops.local.nats_server import Nats, nats_answers
from services.ops.local.postgres_server import DATABASE, Postgres
from tests.command_line import run_blocking
from tests.journeys.wire import Wire, connected
from tests.real_servers import ROOT, RunningServer, free_port, new_folder
from tests.scale.fleet import SERVICES, Member

DEPLOY: Final = ROOT / "deploy"
EVENT_STORE: Final = ROOT / "services/connections/store/event_store.sql"
# Where services that have data of their own keep it.
VOLUME: Final = "/var/lib/switchboard"
SEED: Final = "SWITCHBOARD_NATS_NKEY_SEED"
URL: Final = "SWITCHBOARD_POSTGRES_URL"


class Release(NamedTuple):
    """The files of a release: its folder `deploy`, and the tables of the event store."""

    deploy: Path = DEPLOY
    event_store: Path = EVENT_STORE


class Secrets:
    """What `make_secrets.py` of a release makes; `release` may be set to a later one."""

    def __init__(self, folder: Path, release: Release = Release()) -> None:  # noqa: B008  it is frozen
        self.folder = folder
        self.release = release
        self.make()

    def make(self) -> None:
        """What is missing."""
        maker = self.release.deploy / "make_secrets.py"
        subprocess.run([sys.executable, maker, self.folder], check=True, stdout=subprocess.DEVNULL)

    def seed(self, user: str) -> str:
        return (self.folder / user / SEED).read_text().strip()

    def url(self, user: str) -> str:
        return (self.folder / user / URL).read_text().strip()

    def move_postgres(self, to: str) -> None:
        """The database is there now: what stands between the password and the name of the database in a URL."""
        for file in self.folder.glob(f"*/{URL}"):
            who, _, _ = file.read_text().partition("@")
            file.chmod(0o644)
            file.write_text(f"{who}@{to}\n")


class GuardedNats(Nats):
    """nats-server with the configuration of deploy/nats, and `more` behind it."""

    def __init__(self, folder: Path, secrets: Secrets, more: str = "") -> None:
        super().__init__(folder, free_port(), more=more)
        self._secrets = secrets
        self._here = folder / "configuration"
        self._http_port = free_port()

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(self._secrets.release.deploy / "nats", self._here / "nats", dirs_exist_ok=True)
        configuration = self._here / "nats" / "server.conf"
        text = configuration.read_text()
        assert '"/data"' in text
        configuration.write_text(text.replace('"/data"', f'"{self.folder}"') + f"\n{self.more}\n")
        shutil.copytree(self._secrets.folder / "nats", self._here / "secrets" / "nats", dirs_exist_ok=True)

    def program(self) -> Program:
        server, *_ = super().program().argv
        options = ("-a", "127.0.0.1", "-p", str(self.port), "-m", str(self._http_port))
        return replace(super().program(), argv=(server, "-c", str(self._here / "nats" / "server.conf"), *options))

    async def answers(self) -> str | None:
        return await nats_answers(self.url(), **options_of("ops", self._secrets.seed("ops")))


class GuardedPostgres(Postgres):
    """PostgreSQL with the settings of deploy/postgres, and passwords."""

    def prepare(self) -> None:
        super().prepare()
        hba = self.folder / "pg_hba.conf"
        hba.write_text("local all,replication postgres trust\nlocal all all scram-sha-256\n")
        shutil.copy(DEPLOY / "postgres" / "postgresql.conf", self.folder / "production.conf")
        (self.folder / "production.conf").chmod(0o644)

    def program(self) -> Program:
        server, *_ = super().program().argv
        settings = {
            "config_file": str(self.folder / "production.conf"),
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "shared_buffers": "64MB",  # the machine has others on it
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return replace(super().program(), argv=(server, "-D", str(self.folder), *options))

    def tool(self, *words: str) -> str:
        """What a program of PostgreSQL's says, or one that needs them, as the superuser of this server."""
        binaries = Path(self.program().argv[0]).parent
        environment = {
            **os.environ,
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "PGHOST": str(self.socket_folder),
            "PGUSER": "postgres",
        }
        done = subprocess.run(words, env=environment, check=False, text=True, capture_output=True)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout


class RunningGuardedPostgres(RunningServer):
    """`url_of` a role that `Secrets` knows; `tool` runs PostgreSQL's programs."""

    def __init__(self, folder: Path, secrets: Secrets) -> None:
        self._postgres = GuardedPostgres(folder)
        self._secrets = secrets
        self.tool = self._postgres.tool
        self.url = self._postgres.url()
        self.folder = self._postgres.folder
        super().__init__(self._postgres)

    def initialise(self, *administrator: str) -> None:
        """As the image's entry point does; again as after an upgrade, or when passwords are others.

        `administrator` are libpq's variables of whoever does it instead of the superuser.
        """
        self._secrets.move_postgres(f"/{DATABASE}?host={self._postgres.socket_folder}")
        self.tool(
            "env",
            f"SWITCHBOARD_SQL={self._secrets.release.deploy / 'postgres'}",
            f"SWITCHBOARD_EVENT_STORE={self._secrets.release.event_store}",
            f"SWITCHBOARD_PASSWORDS={self._secrets.folder / 'postgres'}",
            *administrator,
            str(DEPLOY / "postgres" / "init.sh"),
        )


class RunningGuardedNats(RunningServer):
    def __init__(self, folder: Path, secrets: Secrets, more: str = "") -> None:
        self._secrets = secrets
        self.seed = secrets.seed
        nats = GuardedNats(folder, secrets, more)
        self.url = nats.url()
        super().__init__(nats)

    def reload(self) -> None:
        """The keys are read again."""
        self._server.prepare()
        super().reload()

    def connected_as(self, user: str, **options: Any) -> AbstractAsyncContextManager[Wire]:
        return connected(self.url, **options_of(user, self._secrets.seed(user)), **options)


class Production:
    """The servers and, as far as they were begun, the services; `nats` and `postgres` may be stopped and wiped."""

    def __init__(self, folder: Path, more_of_nats: str = "", release: Release = Release()) -> None:  # noqa: B008
        self.secrets = Secrets(folder / "secrets", release)
        self.nats = RunningGuardedNats(folder / "n", self.secrets, more_of_nats)
        self.postgres = RunningGuardedPostgres(folder / "p", self.secrets)
        self.members: dict[str, list[Member]] = {service: [] for service in SERVICES}
        self._folder = folder
        self.said: dict[str, str] = {}
        self._numbers = count(1)

    def settings_of(self, user: str) -> dict[str, str]:
        """What a service is told on Kubernetes, and other users likewise."""
        return {
            "SWITCHBOARD_NATS_URL": self.nats.url,
            "SWITCHBOARD_SECRETS_DIR": str(self.secrets.folder / user),
            **(self._environment_of(user) if user in SERVICES else {"SWITCHBOARD_NATS_INBOX_PREFIX": f"_INBOX.{user}"}),
        }

    def _environment_of(self, service: str) -> dict[str, str]:
        """The volume of a service is in the folder of this Switchboard."""
        volume = str(self._folder / "volume")
        return {name: value.replace(VOLUME, volume) for name, value in environment_of(service).items()}

    def begin(self, service: str) -> Member:
        """One more of a service, not ready yet; it ends with the thread that began it."""
        settings = self.settings_of(service) | {"SWITCHBOARD_LOG_FORMAT": "json"}
        member = Member(service, next(self._numbers), settings, self._folder)
        self.members[service].append(member)
        return member

    def keep_output(self) -> None:
        """What each service has written up to now, into `said`."""
        self.said = {service: members[-1].output() for service, members in self.members.items()}

    def end(self, service: str) -> int | None:
        """The longest running one, as by SIGTERM; its exit code."""
        child = self.members[service].pop(0).child
        child.stop(20.0)
        return child.poll()

    def begin_all(self) -> None:
        """Returns when all of them are ready."""
        for member in [self.begin(service) for service in SERVICES]:
            member.wait_until_ready()

    def end_all(self) -> None:
        for service in SERVICES:
            while self.members[service]:
                self.end(service)

    def command_line(self, user: str, *words: str, without: Collection[str] = ()) -> tuple[int, str]:
        """`switchboard …` as one of the users, some settings left out; exit code and output."""
        settings = {name: value for name, value in self.settings_of(user).items() if name not in without}
        ended = run_blocking(*words, environment=settings)
        return ended.code, ended.output + ended.errors

    def close(self) -> None:
        self.end_all()
        self.nats.kill()
        self.postgres.kill()


@contextmanager
def production(more_of_nats: str = "", release: Release = Release()) -> Iterator[Production]:  # noqa: B008
    """The servers, roles and tables; no service yet."""
    with new_folder() as folder:
        made = Production(folder, more_of_nats, release)
        try:
            made.postgres.initialise()
            yield made
        finally:
            made.close()


def environment_of(service: str) -> dict[str, str]:
    """What its manifest sets for this service alone."""
    deployment, *_ = yaml.safe_load_all((DEPLOY / "kubernetes" / f"{service}.yaml").read_text())
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


def options_of(user: str, seed: str) -> dict[str, Any]:
    """With what a user of the bus connects."""
    return {"nkeys_seed_str": seed, "inbox_prefix": f"_INBOX.{user}"}


async def greeted(url: str, seed: str | None) -> bytes:
    """What the server says to somebody with this key, or none: PONG to who may come in.

    Spoken by hand: nats-py leaves the connection open behind a refusal.
    """
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    nonce = json.loads((await reader.readline()).removeprefix(b"INFO "))["nonce"]
    who: dict[str, object] = {"verbose": False, "pedantic": False}
    if seed is not None:
        key = nkeys.from_seed(bytearray(seed.encode()))
        who |= {"nkey": key.public_key.decode(), "sig": base64.b64encode(key.sign(nonce.encode())).decode()}
    writer.write(f"CONNECT {json.dumps(who)}\r\nPING\r\n".encode())
    said = (await reader.readline()).strip()
    writer.close()
    await writer.wait_closed()
    return said
