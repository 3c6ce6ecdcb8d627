"""Classes that datamodel-code-generator makes read every recorded body, and write it again as it was."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from tests.tools.bodies import CONTRACT, SCHEMAS, Body, Recorded, recorded
from tests.tools.models import generate, module

ClassOf = Callable[[Recorded], type[BaseModel]]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def moments(value: Any) -> Any:
    """The same with times in one spelling: pydantic writes no zeros after the seconds."""
    if isinstance(value, dict):
        return {name: moments(one) for name, one in value.items()}
    if isinstance(value, list):
        return [moments(one) for one in value]
    if isinstance(value, str) and TIME.fullmatch(value):
        return datetime.fromisoformat(value).isoformat()
    return value


@pytest.fixture(scope="module")
def of_schemas(tmp_path_factory: pytest.TempPathFactory) -> ClassOf:
    """One file of classes for each schema."""
    folder = tmp_path_factory.mktemp("models") / "schemas"
    generate(SCHEMAS, "jsonschema", folder)

    @cache
    def made(room: str, name: str) -> Any:
        file = f"{name.replace('.', '_')}.py"
        return module(folder / room / file, f"models_{room}_{name.replace('.', '_')}")

    return lambda one: getattr(made(one.room, one.name), one.title)


@pytest.fixture(scope="module")
def of_document(tmp_path_factory: pytest.TempPathFactory) -> ClassOf:
    """One file of classes for the whole AsyncAPI document."""
    file = tmp_path_factory.mktemp("models") / "document.py"
    generate(CONTRACT / "asyncapi.json", "asyncapi", file)
    made = module(file, "models_of_the_document")
    numbered = [name for name in vars(made) if re.search(r"\D\d+$|^Model|Anonymous", name)]
    assert numbered == [], "a name that the next release would give to something else"
    return lambda one: getattr(made, one.title)


@pytest.mark.parametrize("source", ["of_schemas", "of_document"])
def test_generated_pydantic_classes_round_trip_every_recorded_body(source: str, request: pytest.FixtureRequest) -> None:
    class_of: ClassOf = request.getfixturevalue(source)
    for one in recorded():
        for body in one.valid():
            read = class_of(one).model_validate_json(json.dumps(body))
            written = json.loads(read.model_dump_json(by_alias=True, exclude_unset=True))
            assert moments(written) == moments(known(one, body)), (one.room, one.name)
        for body in one.invalid():
            with pytest.raises(ValidationError):
                class_of(one).model_validate_json(json.dumps(body))


def known(one: Recorded, body: Body) -> Body:
    """Without fields that the schema does not know, which a class ignores."""
    return {name: value for name, value in body.items() if name in one.schema["properties"]}
