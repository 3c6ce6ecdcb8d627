"""Builds the client as a wheel of its own, `switchboard_client`: `make client`, or `python deploy/client_wheel.py`.

The code stays in shared/client, shared/language and shared/wire. The wheel has the same modules under one package, with
their imports rewritten, and requires only the libraries that they load.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
NAME: Final = "switchboard_client"
# Each package of the repository with its place in the wheel.
PACKAGES: Final = {"shared.client": NAME, "shared.language": f"{NAME}.language", "shared.wire": f"{NAME}.wire"}
REQUIRED: Final = ("nats-py", "nkeys", "orjson", "pydantic")
COPIED: Final = ("requires-python", "license", "classifiers")


def main(stage: Path, dist: Path) -> None:
    """Lay the wheel's source out in `stage`, and build it into `dist`; offline, with hatchling of this environment."""
    shutil.rmtree(stage, ignore_errors=True)
    for package, place in PACKAGES.items():
        copy(ROOT / package.replace(".", "/"), stage / place.replace(".", "/"))
    (stage / NAME / "py.typed").touch()
    shutil.copy(ROOT / "LICENSE", stage)
    shutil.copy(ROOT / "shared/client/README.md", stage)
    (stage / "pyproject.toml").write_text(project(), encoding="utf-8")
    argv = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(dist.resolve()))
    subprocess.run(argv, cwd=stage, check=True)  # noqa: S603  our own words


def copy(package: Path, place: Path) -> None:
    place.mkdir(parents=True)
    for path in package.glob("*.py"):
        text = rewritten(path.read_text(encoding="utf-8"))
        require_own_imports(path, text)
        (place / path.name).write_text(text, encoding="utf-8")


def rewritten(text: str) -> str:
    """The text with the wheel's names of its packages; in docstrings, too."""
    for package, place in PACKAGES.items():
        text = re.sub(rf"\b{re.escape(package)}\b", place, text)
        parent, _, child = package.rpartition(".")
        text = re.sub(rf"^from {parent} import {child}$", f"from {NAME} import {child}", text, flags=re.MULTILINE)
    return text


def require_own_imports(path: Path, text: str) -> None:
    """
    Raises:
        SystemExit: the module imports something of this repository that is not in the wheel.
    """
    foreign = [name for name in imported(text) if name.partition(".")[0] in {"services", "shared"}]
    if foreign:
        sys.exit(f"{path} imports {', '.join(foreign)}, which the client's wheel does not have")


def imported(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def project() -> str:
    """The wheel's pyproject.toml, from the repository's own."""
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    settings = {
        "name": NAME.replace("_", "-"),
        "version": version(),
        "description": "A typed, asynchronous client of Switchboard, the service of record for e-mail addresses.",
        "readme": "README.md",
        "license-files": ["LICENSE"],
        "dependencies": [required(own, name) for name in REQUIRED],
        **{key: own[key] for key in COPIED},
    }
    # JSON's texts and lists are TOML's.
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    build = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n[project]\n'
    return build + "\n".join(lines) + f'\n\n[tool.hatch.build.targets.wheel]\npackages = ["{NAME}"]\n'


def required(own: Mapping[str, Any], name: str) -> str:
    found: str = next(one for one in own["dependencies"] if re.fullmatch(rf"{name}\b[^-].*", one))
    return found


def version() -> str:
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / "shared/__init__.py").read_text(), re.MULTILINE)
    assert found
    return found[1]


if __name__ == "__main__":
    given = [Path(argument) for argument in sys.argv[1:]]
    main(*given) if given else main(ROOT / "build/client", ROOT / "dist")
