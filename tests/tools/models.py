"""Generate classes with the command line of datamodel-code-generator, and import them."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

# Without collapsing, each list of patterned texts gets a class of its own per item, and numbers when names meet.
OPTIONS: Final = (
    "--output-model-type",
    "pydantic_v2.BaseModel",
    "--use-title-as-name",
    "--collapse-root-models",
    "--target-python-version",
    "3.11",
    "--disable-timestamp",
    "--formatters",
    "builtin",
)


def generate(source: Path, kind: str, to: Path) -> None:
    """Write classes of `source`, which is of the generator's input type `kind`."""
    command = [str(Path(sys.executable).with_name("datamodel-codegen")), "--input", str(source)]
    command += ["--input-file-type", kind, "--output", str(to), *OPTIONS]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def module(path: Path, name: str) -> ModuleType:
    """The module in a file, under a name of our choice."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made
