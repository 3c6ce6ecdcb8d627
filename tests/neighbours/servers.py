"""The versions of PostgreSQL and NATS that are tried, and servers of them to start, kill and wipe."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from services.ops.local.children import Program, identity
from services.ops.local.nats_server import Nats
from services.ops.local.postgres_server import Postgres, postgres_binaries
from services.ops.local.processes import end_processes, processes_of
from services.ops.local.system_user import grant_access
from tests.real_servers import ROOT, RunningServer, free_port, wait_until

HERE: Final = Path(__file__).parent
# The oldest and the newest of the package index from 2.12 on, written by `make lock`.
NATS_REQUIREMENTS: Final[Sequence[Path]] = (HERE / "requirements-oldest.txt", HERE / "requirements-newest.txt")
DEBIAN: Final = Path("/usr/lib/postgresql")
OLDEST_POSTGRES: Final = 16
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+|\d+")


class MissingServerError(Exception):
    """A version cannot be had here; says how to get it."""


@dataclass(frozen=True)
class Version:
    """A server at hand; `binaries` is the folder of its programs."""

    server: str
    number: str
    binaries: Path

    @property
    def major(self) -> int:
        return int(self.number.partition(".")[0])

    def __str__(self) -> str:
        return f"{self.server} {self.number}"


# ---- what there is


def nats_versions(folder: Path) -> list[Version]:
    """The oldest and the newest nats-server, installed below a folder, oldest first.

    Raises:
        MissingServerError: the package index does not give one.
    """
    found: dict[str, Version] = {}
    for requirements in NATS_REQUIREMENTS:
        binaries = _installed(requirements, folder / requirements.stem) / "bin"
        number = _number(binaries / "nats-server")
        found[number] = Version("NATS", number, binaries)
    return list(found.values())


def postgres_versions() -> list[Version]:
    """Those of the wheel and of Debian's packages, one of each major version, oldest first."""
    wheel = postgres_binaries().parent.parent
    found: dict[int, Version] = {}
    for binaries in (*wheel.glob("pginstall*/bin"), *DEBIAN.glob("*/bin")):
        if (binaries / "postgres").exists() and (binaries / "initdb").exists():
            version = Version("PostgreSQL", _number(binaries / "postgres"), binaries)
            found.setdefault(version.major, version)
    return [found[major] for major in sorted(found)]


def pairs(nats: Sequence[Version], postgres: Sequence[Version]) -> list[tuple[Version, Version]]:
    """The oldest beside the oldest, the newest beside the newest, each of the others once."""
    longest = max(len(nats), len(postgres))
    spread = [(_at(nats, number, longest), _at(postgres, number, longest)) for number in range(longest)]
    return list(dict.fromkeys(spread))


def _at(versions: Sequence[Version], number: int, of: int) -> Version:
    return versions[round(number * (len(versions) - 1) / max(of - 1, 1))]


def _number(program: Path) -> str:
    told = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    number = _VERSION.search(told)
    assert number is not None, told
    return number[0]


def _installed(requirements: Path, folder: Path) -> Path:
    """The folder, with what the file names in it."""
    options = ["--quiet", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--target", str(folder)]
    tools = ROOT / ".tools/bin"
    # uv does not read pip's configuration: where only pip knows the index, pip installs the same locked files.
    installers = (
        [str(tools / "uv"), "pip", "install", "--python", sys.executable],
        [str(tools / "python"), "-m", "pip", "install"],
    )
    told = ""
    for installer in installers:
        try:
            done = subprocess.run(
                [*installer, *options, "-r", str(requirements)], capture_output=True, text=True, check=False
            )
        except OSError as error:
            told = str(error)
            continue
        if done.returncode == 0:
            return folder
        told = done.stderr.strip()
    raise MissingServerError(
        f"{requirements.name} cannot be installed ({told}): `make install` first; the package index must answer"
    )


# ---- servers


class OtherNats(Nats):
    """NATS of a version that is not the environment's."""

    def __init__(self, version: Version, data_dir: Path) -> None:
        super().__init__(data_dir, free_port())
        self._binary = str(version.binaries / "nats-server")

    def program(self) -> Program:
        program = super().program()
        return replace(program, argv=(self._binary, *program.argv[1:]))


class OtherPostgres(Postgres):
    """PostgreSQL of a version that is not the environment's."""

    def __init__(self, version: Version, data_dir: Path) -> None:
        super().__init__(data_dir)
        self._binaries = version.binaries

    def prepare(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        if self._user:
            grant_access(self._user, self.folder.parent, postgres_binaries())
        if not self.folder.exists():
            self._make()
        if self.socket_folder != self.folder:
            self._own_socket_folder()
        end_processes(processes_of("postgres", folder=self.folder), signal.SIGINT)
        self._forget_stale_pid()

    def program(self) -> Program:
        program = super().program()
        return replace(program, argv=(str(self._binaries / "postgres"), *program.argv[1:]))

    def is_up(self) -> bool:
        """Whether it takes connections, of whatever version it is."""
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _make(self) -> None:
        self.folder.mkdir(mode=0o700)
        if self._user:
            shutil.chown(self.folder, self._user, self._user)
        # PostgreSQL 16 has no locales of its own yet, as the environment's servers use.
        options = "--auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C -U postgres"
        subprocess.run(
            [str(self._binaries / "initdb"), "-D", str(self.folder), *options.split()],
            capture_output=True,
            check=True,
            cwd="/",
            **identity(self._user),
        )


class Neighbour(RunningServer):
    """A running server of some version."""

    def __init__(self, version: Version, data_dir: Path) -> None:
        server = OtherNats(version, data_dir) if version.server == "NATS" else OtherPostgres(version, data_dir)
        self.url = server.url()
        super().__init__(server)


class TooOldPostgres(RunningServer):
    """A running PostgreSQL that Switchboard does not work with."""

    def __init__(self, version: Version, data_dir: Path) -> None:
        server = OtherPostgres(version, data_dir)
        self.url = server.url("postgres")
        super().__init__(server, start=False)
        self.launch()
        wait_until(server.is_up, what=f"{version} to answer")
