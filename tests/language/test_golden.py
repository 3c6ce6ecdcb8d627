"""Nothing that is stored or published changes its name, its fields or its form: only additions are easy."""

import orjson
import pytest
from pydantic import ValidationError

from shared.language.events import EVENTS
from shared.language.recorded import stream_id
from shared.runtime import codec
from shared.runtime.ledger import name_of
from tests.language.golden import differences, now, with_additions, written


def test_nothing_that_was_written_down_has_changed() -> None:
    changed, _ = differences(written(), now())
    assert not changed, "give it a new name or version instead: see tests/language/golden.py"


def test_everything_there_is_has_been_written_down() -> None:
    _, added = differences(written(), now())
    assert not added, "run: python -m tests.language.golden"


@pytest.mark.parametrize("name", sorted(written()["states"]))
def test_what_was_stored_once_is_read_and_would_be_written_the_same(name: str) -> None:
    state = written()["states"][name].encode()
    event = EVENTS[name].model_validate(orjson.loads(state)["data"])
    stream = stream_id("acme", event.aggregate, name_of(event, "acme"))
    recorded = codec.from_state(stream, 3, name, state, 7)
    assert (recorded.version, recorded.position, recorded.account) == (3, 7, "acme")
    assert orjson.loads(codec.to_state(recorded)) == orjson.loads(state)
    assert codec.from_wire(*codec.to_wire(recorded)[1:], stream) == recorded


def test_each_stored_event_without_its_optional_fields_is_read_too() -> None:
    for name, event in written()["events"].items():
        data = orjson.loads(written()["states"][name])["data"]
        required = {field for field, kind in event["fields"].items() if kind["required"]}
        least = {field: value for field, value in data.items() if field in required}
        EVENTS[name].model_validate(least)
        for field in required:
            with pytest.raises(ValidationError):
                EVENTS[name].model_validate({other: value for other, value in least.items() if other != field})


def test_a_changed_field_is_noticed_and_an_added_one_is_taken_in() -> None:
    golden = {"events": {"a": {"fields": {"x": {"type": "string"}}}}}
    changed = {"events": {"a": {"fields": {"x": {"type": "integer"}}}}}
    added = {"events": {"a": {"fields": {"x": {"type": "string"}, "y": {"type": "string"}}}, "b": {}}}
    assert differences(golden, changed)[0]
    assert differences(golden, {"events": {}})[0] == ["/events/a: is gone"]
    assert differences(golden, added) == ([], ["/events/a/fields/y", "/events/b"])
    assert with_additions(golden, added) == added
    assert with_additions(golden, changed) == golden
