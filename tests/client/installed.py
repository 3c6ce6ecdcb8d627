"""The client's wheel, installed in an environment that has what the wheel requires and nothing else."""

import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

from tests.real_servers import ROOT

REQUIRES = "Requires-Dist: "


def install(folder: Path) -> Path:
    """Build the wheel and install it below the folder; returns the environment's Python.

    Its requirements are links to the distributions of the environment that runs the tests. pip, which sees no index,
    refuses when one of them is missing or of another version.
    """
    build = (sys.executable, "deploy/client_wheel.py", str(folder / "stage"), str(folder / "dist"))
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = folder / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    for needed in closure(requirements_of(wheel)):
        link(needed, packages)
    options = ("--quiet", "--no-index", "--disable-pip-version-check")
    subprocess.run((str(python), "-m", "pip", "install", *options, str(wheel)), check=True, capture_output=True)
    return python


def requirements_of(wheel: Path) -> list[str]:
    with ZipFile(wheel) as archive:
        name = next(one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        lines = archive.read(name).decode().splitlines()
    return [line.removeprefix(REQUIRES) for line in lines if line.startswith(REQUIRES)]


def closure(requirements: list[str]) -> Iterator[Distribution]:
    """The distributions that these need, each once."""
    left, names = [Requirement(one) for one in requirements], set[str]()
    while left:
        one = left.pop()
        if one.name.lower() in names or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        names.add(one.name.lower())
        found = distribution(one.name)
        yield found
        left += [Requirement(text) for text in found.requires or ()]


def link(found: Distribution, packages: Path) -> None:
    tops = {path.parts[0] for path in found.files or () if path.parts[0] not in {"..", "__pycache__"}}
    for top in tops:
        (packages / top).symlink_to(Path(str(found.locate_file(top))))
