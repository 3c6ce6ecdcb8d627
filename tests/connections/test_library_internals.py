"""A release of eventsourcing that lacks an internal is named before the write side starts."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.connections.store.library_internals import unsupported_release
from tests.real_servers import ROOT


def test_the_installed_release_has_every_internal() -> None:
    assert unsupported_release() is None


@pytest.mark.parametrize(
    ("internal", "name"),
    [
        ("construct_factory", "Application.construct_factory"),
        ("compressor", "Mapper.compressor"),
        ("transaction", "PostgresDatastore.transaction"),
        ("pool", "PostgresDatastore.pool"),
    ],
)
def test_the_service_does_not_start_without_an_internal(internal: str, name: str, folder: Path) -> None:
    spec = importlib.util.find_spec("eventsourcing")
    assert spec is not None
    assert spec.origin is not None
    shutil.copytree(Path(spec.origin).parent, folder / "eventsourcing")
    for path in (folder / "eventsourcing").rglob("*.py"):
        path.write_text(re.sub(rf"\b{internal}\b", f"{internal}_renamed", path.read_text()))
    done = subprocess.run(
        [sys.executable, "-m", "services.connections.app"],
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.search(rf"connections: eventsourcing [0-9.]+ lacks {name}", done.stderr), done.stderr
