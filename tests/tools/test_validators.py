"""The schemas mean the same to every validator of JSON Schema that Python has."""

from collections.abc import Callable, Mapping
from typing import Any

import fastjsonschema
import jsonschema_rs
import pytest
from jsonschema import Draft202012Validator, ValidationError

from tests.tools.bodies import Body, recorded

Validate = Callable[[Body], object]


def by_jsonschema(schema: Mapping[str, Any]) -> Validate:
    validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    validate: Validate = validator.validate
    return validate


def by_jsonschema_rs(schema: Mapping[str, Any]) -> Validate:
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    validate: Validate = validator.validate
    return validate


def by_fastjsonschema(schema: Mapping[str, Any]) -> Validate:
    compiled: Validate = fastjsonschema.compile(schema, use_default=False)
    return compiled


VALIDATORS = {
    "jsonschema": (by_jsonschema, ValidationError),
    "jsonschema-rs": (by_jsonschema_rs, jsonschema_rs.ValidationError),
    "fastjsonschema": (by_fastjsonschema, fastjsonschema.JsonSchemaValueException),
}


@pytest.mark.parametrize("tool", VALIDATORS)
def test_a_validator_takes_every_recorded_body_and_refuses_what_lacks_a_field(tool: str) -> None:
    validator_of, error = VALIDATORS[tool]
    for one in recorded():
        validate = validator_of(one.schema)
        for body in one.valid():
            validate(body)
        for body in one.invalid():
            with pytest.raises(error):
                validate(body)


@pytest.mark.parametrize("tool", VALIDATORS)
def test_a_validator_that_checks_formats_refuses_a_time_that_is_none(tool: str) -> None:
    validator_of, error = VALIDATORS[tool]
    told = next(one for one in recorded() if one.name == "DefaultSenderChanged.v1")
    validator_of(told.schema)(told.body)
    with pytest.raises(error):
        validator_of(told.schema)({**told.body, "claimed_at": "yesterday"})
