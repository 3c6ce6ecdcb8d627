"""Validators and generators of Node hold what the contract promises; left out by name where Node or npm is missing."""

import importlib
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.tools.bodies import CONTRACT, ROOT, for_node, recorded

HERE = Path(__file__).parent
NODE = os.environ.get("NODE", "")
INSTALLED = HERE / "node_modules/installed"
# What must be tried at the least: the recorded bodies.
BODIES = len(list(recorded()))


def need(tool: str) -> None:
    """Skip the test by the tool's name where it is not at hand."""
    if not NODE:
        pytest.skip(f"{tool}: no Node on this machine")
    if not INSTALLED.is_file():
        pytest.skip(f"{tool}: npm could not install tests/tools/package-lock.json")


def node(*words: str) -> str:
    environment = os.environ | {"NODE_PATH": str(HERE / "node_modules")}
    ran = subprocess.run([NODE, *words], capture_output=True, text=True, check=False, timeout=600, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def judged(program: str, folder: Path) -> dict[str, Any]:
    """What a program of node/ found: how many bodies it tried, and a line for each that was wrong."""
    bodies = folder / "bodies.json"
    bodies.write_text(for_node())
    made = folder / "made"
    made.mkdir()
    said = node(str(HERE / "node" / program), str(bodies), str(made), str(CONTRACT / "asyncapi.json"))
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.mark.parametrize("tool", ["ajv", "zod", "quicktype", "json-schema-to-typescript"])
def test_a_tool_of_node_round_trips_every_recorded_body(tool: str, tmp_path: Path) -> None:
    need(tool)
    found = judged(f"{tool}.mjs", tmp_path)
    assert found["wrong"] == []
    assert found["tried"] > BODIES


def test_modelinas_classes_round_trip_every_recorded_body_in_typescript_and_with_pydantic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("@asyncapi/modelina")
    found = judged("modelina.mjs", tmp_path)
    assert found["wrong"] == []
    assert found["tried"] > BODIES
    monkeypatch.syspath_prepend(tmp_path / "made")
    for one in recorded():
        file = re.sub(r"(?<!^)(?=[A-Z])", "_", one.title).lower()
        made: type[BaseModel] = getattr(importlib.import_module(f"asyncapimodels.{file}"), one.title)
        for body in one.valid():
            read = made.model_validate_json(json.dumps(body))
            written = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
            known = {name: value for name, value in body.items() if name in one.schema["properties"]}
            assert written == known, (one.room, one.name)


def test_the_parser_of_asyncapi_finds_nothing_wrong_in_the_document() -> None:
    need("@asyncapi/parser")
    said = node(str(ROOT / "tests/contract/parse.cjs"), str(CONTRACT / "asyncapi.json"))
    counted = [int(number) for number in said.split(":")[1].split(",")]
    assert min(counted) > 0
