"""The client as other projects install it: its own package, its own requirements, types that mypy sees."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.installed import install
from tests.real_servers import ROOT, RunningSwitchboard, new_folder

TYPED_CALLER = """
import asyncio
from typing import assert_type

from switchboard_client import (
    Accepted, Account, NotAnswered, Page, QueryResult, ReceivedEvent, Refused, Unchanged, connect, iterate, require,
)
from switchboard_client.language.answers import UsageShown, UserEntry


async def main() -> None:
    async with connect("nats://127.0.0.1:4222") as switchboard:
        acme = switchboard.account("acme", actor="ana")
        assert_type(acme, Account)
        reply = await acme.connect_team("sales@acme.example", "inbox", visibility_acknowledged=True, command_id="…")
        assert_type(reply, Accepted | Unchanged | Refused)
        assert_type(require(reply), Accepted | Unchanged)
        assert_type(await acme.usage(at_least=4), QueryResult[UsageShown] | NotAnswered)
        assert_type(await acme.users(limit=4), Page[UserEntry] | NotAnswered)
        async for user in iterate(acme.users):
            assert_type(user, UserEntry)
        async for event in switchboard.events(after=1):
            assert_type(event, ReceivedEvent)
        async for event in switchboard.replay("crm-2026", account="acme"):
            assert_type(event, ReceivedEvent)


asyncio.run(main())
"""
WRONG_CALLER = """
from switchboard_client import Account


async def connect_nothing(acme: Account) -> None:
    await acme.connect_team(1, "inbox", colour="red")
"""
ERRORS = """
import switchboard_client as client
found = [one for one in map(vars(client).get, client.__all__) if isinstance(one, type) and issubclass(one, Exception)]
print(len(found) > 1, *(one.__name__ for one in found if not issubclass(one, client.SwitchboardError)))
"""
DOCSTRINGS = """
import inspect
import switchboard_client as client
owners = [client, *(value for name in client.__all__ if inspect.isclass(value := getattr(client, name)))]
for owner in owners:
    for name, value in vars(owner).items():
        public = not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value))
        if public and value.__module__.startswith("switchboard_client") and not inspect.getdoc(value):
            print(owner.__name__, name)
"""


@pytest.fixture(scope="module")
def python() -> Iterator[Path]:
    with new_folder() as folder:
        yield install(folder)


def test_the_environment_has_the_client_and_nothing_of_the_services(python: Path) -> None:
    packages = next(python.parent.parent.glob("lib/python*/site-packages"))
    names = {path.name for path in packages.iterdir()}
    assert "switchboard_client" in names
    assert not names & {"shared", "services", "psycopg", "structlog", "pydantic_settings", "prometheus_client", "idna"}
    assert (packages / "switchboard_client" / "py.typed").exists()


def test_it_requires_four_libraries_with_the_bounds_of_the_repository(python: Path) -> None:
    program = "from importlib.metadata import requires; print(*sorted(requires('switchboard-client')), sep='\\n')"
    names = [line.partition("<")[0].partition(">")[0] for line in ran(python, program).splitlines()]
    assert names == ["nats-py", "nkeys", "orjson", "pydantic"]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "nats-py>=2.16,<2.17" in own
    assert "nats-py<2.17,>=2.16" in ran(python, program)


def test_every_exception_has_one_root(python: Path) -> None:
    assert ran(python, ERRORS).split() == ["True"]


def test_everything_public_has_a_docstring(python: Path) -> None:
    assert ran(python, DOCSTRINGS) == ""


def test_mypy_sees_the_types_of_a_caller(python: Path, folder: Path) -> None:
    assert checked(python, folder, TYPED_CALLER) == (0, "Success: no issues found in 1 source file\n")


def test_mypy_refuses_a_wrong_call(python: Path, folder: Path) -> None:
    code, output = checked(python, folder, WRONG_CALLER)
    assert code == 1
    assert 'Argument 1 to "connect_team" of "Calls" has incompatible type "int"; expected "str"' in output
    assert 'Unexpected keyword argument "colour"' in output


def test_the_program_of_its_readme_runs(python: Path, running: RunningSwitchboard, folder: Path) -> None:
    text = (ROOT / "shared/client/README.md").read_text()
    program = text.partition("```python\n")[2].partition("```")[0]
    assert 'connect("nats://127.0.0.1:4222")' in program
    output = ran(python, program.replace("nats://127.0.0.1:4222", running.nats_url), cwd=folder)
    assert output.startswith("ACCOUNT_NOT_FOUND ")


def ran(python: Path, program: str, cwd: Path | None = None) -> str:
    """What the program prints, which sees the environment only."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    argv = [str(python), "-c", program]
    done = subprocess.run(argv, cwd=cwd or python.parent, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def checked(python: Path, folder: Path, caller: str) -> tuple[int, str]:
    (folder / "caller.py").write_text(caller)
    argv = (sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), "caller.py")
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout
