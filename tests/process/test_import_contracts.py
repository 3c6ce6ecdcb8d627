"""The import contracts of pyproject.toml refuse what they are there for, tried on a copy of the packages."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def copy_of_packages(folder: Path) -> Path:
    for package in ("shared", "services"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def plant(folder: Path, module: str, line: str) -> None:
    """Append an import to the module."""
    with (folder / module).open("a") as file:
        file.write(f"\n{line}\n")


def checked(folder: Path, contract: str) -> tuple[int, str]:
    """Return the exit code and the output of one contract, checked in the folder."""
    found = subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--contract", contract], cwd=folder, capture_output=True, text=True, check=False
    )
    return found.returncode, found.stdout


@pytest.mark.parametrize(
    ("contract", "module", "line", "named"),
    [
        ("no-cycles", "shared/projections/definition.py", "import shared.projections.rebuild.rebuild", "rebuild"),
        ("no-cycles", "shared/process/clock.py", "import shared.process.failpoints", "failpoints"),
        ("services-are-independent", "services/relay/errors.py", "import services.routing.app", "services.routing"),
        ("layers", "shared/process/clock.py", "import shared.messaging.admission", "shared.messaging.admission"),
        ("layers", "shared/transparency/fields.py", "import shared.messaging.admission", "shared.messaging.admission"),
        ("transparency-without-io", "shared/transparency/tiles.py", "import psycopg", "psycopg"),
        ("domains-import-pydantic-only", "services/routing/domain/resolve.py", "import structlog", "structlog"),
        (
            "steps-of-projections",
            "shared/projections/consumer.py",
            "import shared.projections.rebuild.rebuild",
            "rebuild",
        ),
        ("users-of-postgresql", "services/relay/relay.py", "import psycopg", "psycopg"),
        ("users-of-nats", "services/connections/writer.py", "import nats", "nats"),
    ],
)
def test_a_planted_import_is_refused(contract: str, module: str, line: str, named: str, tmp_path: Path) -> None:
    folder = copy_of_packages(tmp_path)
    assert checked(folder, contract)[0] == 0
    plant(folder, module, line)
    code, output = checked(folder, contract)
    assert code == 1
    assert "0 kept, 1 broken" in output
    assert named in output.partition("Broken contracts")[2]
