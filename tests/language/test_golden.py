"""Nothing that is stored or published changes its name, its fields or its form: only additions are easy."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from pydantic import ValidationError, create_model

from services.connections.store.unit_of_work import name_of
from shared.language.events import EVENTS
from shared.language.recorded import stream_id
from shared.process import stored_events
from shared.wire import cloud_events
from tests.language.golden import DIGESTED, HISTORIES, answer_classes, differences, now, with_additions, written


def test_nothing_that_was_written_down_has_changed() -> None:
    changed, _ = differences(written(), now())
    assert not changed, "\n".join((*changed, "give it a new name or version instead: see tests/language/golden.py"))


def test_everything_there_is_has_been_written_down() -> None:
    _, added = differences(written(), now())
    assert not added, "run: python -m tests.language.golden"


@pytest.mark.parametrize("name", sorted(written()["states"]))
def test_what_was_stored_once_is_read_and_would_be_written_the_same(name: str) -> None:
    state = written()["states"][name].encode()
    event = EVENTS[name].model_validate(orjson.loads(state)["data"])
    stream = stream_id("acme", event.aggregate, name_of(event, "acme"))
    recorded = stored_events.from_state(stream, 3, name, state, 7)
    assert (recorded.version, recorded.position, recorded.account) == (3, 7, "acme")
    assert orjson.loads(stored_events.to_state(recorded)) == orjson.loads(state)
    assert cloud_events.from_wire(*cloud_events.to_wire(recorded)[1:], stream) == recorded


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
    added = {
        "events": {"a": {"fields": {"x": {"type": "string"}, "y": {"type": "string", "required": False}}}, "b": {}}
    }
    assert differences(golden, changed)[0]
    assert differences(golden, {"events": {}})[0] == ["/events/a: is gone"]
    assert differences(golden, added) == ([], ["/events/a/fields/y", "/events/b"])
    assert with_additions(golden, added) == added
    assert with_additions(golden, changed) == golden


# Not what was written down: what a change at hand breaks is told once, by the first test.
BEFORE = now()


class Now:
    """What the code has, for tests to change as somebody might."""

    def __init__(self) -> None:
        self.all = deepcopy(BEFORE)

    def fields(self, room: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.all[room][name]["fields"]
        return found

    @property
    def told(self) -> tuple[list[str], list[str]]:
        return differences(BEFORE, self.all)


ASKED_OR_STORED = [
    ("commands", "ConnectTeam"),
    ("questions", "Address"),
    ("events", "switchboard.TeamConnected.v1"),
]


@pytest.mark.parametrize(("room", "name"), [*ASKED_OR_STORED, ("answers", "AddressEntry"), ("answers", "Refused")])
def test_a_field_that_vanishes_or_changes_its_type_breaks_somebody(room: str, name: str) -> None:
    gone, otherwise = Now(), Now()
    field = min(gone.fields(room, name))
    del gone.fields(room, name)[field]
    otherwise.fields(room, name)[field] = {"type": "integer", "required": True}
    assert f"/{room}/{name}/fields/{field}: is gone" in gone.told[0]
    assert any(told.startswith(f"/{room}/{name}/fields/{field}/") for told in otherwise.told[0])


@pytest.mark.parametrize(("room", "name"), ASKED_OR_STORED)
def test_a_new_field_of_what_is_asked_or_stored_must_be_optional(room: str, name: str) -> None:
    optional, required = Now(), Now()
    optional.fields(room, name)["mood"] = {"type": "string", "required": False}
    required.fields(room, name)["mood"] = {"type": "string", "required": True}
    path = f"/{room}/{name}/fields/mood"
    assert optional.told == ([], [path])
    assert required.told == ([f"{path}: is new and asks for more"], [])
    assert with_additions(BEFORE, optional.all)[room][name]["fields"]["mood"]
    assert "mood" not in with_additions(BEFORE, required.all)[room][name]["fields"], "it must not be let in"


def test_what_stands_within_a_command_may_not_ask_for_more_either() -> None:
    found = Now()
    found.all["commands"]["SetRouting"]["types"]["UsersAndTeams"]["required"] = ["users"]
    assert found.told[0] == ["/commands/SetRouting/types/UsersAndTeams/required: is new and asks for more"]


@pytest.mark.parametrize(("room", "name"), ASKED_OR_STORED)
def test_a_field_that_was_there_gets_no_new_rule(room: str, name: str) -> None:
    found = Now()
    field = next(field for field, kind in found.fields(room, name).items() if "minItems" not in kind)
    found.fields(room, name)[field]["minItems"] = 3
    assert found.told == ([f"/{room}/{name}/fields/{field}/minItems: is new and asks for more"], [])
    assert "minItems" not in with_additions(BEFORE, found.all)[room][name]["fields"][field]


def test_what_stands_within_a_command_gets_optional_fields_and_no_new_rule() -> None:
    found = Now()
    within = found.all["commands"]["SetRouting"]["types"]["UsersAndTeams"]["properties"]
    within["mood"] = {"type": "string"}
    within["users"]["minItems"] = 1
    path = "/commands/SetRouting/types/UsersAndTeams/properties"
    assert found.told == ([f"{path}/users/minItems: is new and asks for more"], [f"{path}/mood"])


@pytest.mark.parametrize("name", ["Accepted", "AddressEntry", "NotAnswered"])
def test_answers_and_replies_may_gain_any_field_and_may_not_leave_one_out(name: str) -> None:
    more, less = Now(), Now()
    more.fields("answers", name)["mood"] = {"type": "string", "required": True}
    assert more.told == ([], [f"/answers/{name}/fields/mood"])
    field = next(field for field, kind in less.fields("answers", name).items() if kind["required"])
    less.fields("answers", name)[field]["required"] = False
    assert less.told[0] == [f"/answers/{name}/fields/{field}/required: written True, now False"]


def choice(room: str, name: str, field: str, found: dict[str, Any]) -> tuple[str, list[str]]:
    """The words that a field may have, and their path; wherever in it they stand."""
    said, path = found[room][name]["fields"][field], f"/{room}/{name}/fields/{field}"
    while "enum" not in said:
        within = "anyOf" if "anyOf" in said else "items"
        said, path = (said["anyOf"][0], f"{path}/anyOf/0") if within == "anyOf" else (said["items"], f"{path}/items")
    return f"{path}/enum", said["enum"]


@pytest.mark.parametrize("field", ["health", "kind", "tools"])
def test_a_choice_that_is_answered_may_gain_words_and_lose_none(field: str) -> None:
    more, less, other = Now(), Now(), Now()
    path, words = choice("answers", "AddressEntry", field, more.all)
    first = words[0]
    words.insert(0, "stalled")
    assert more.told == ([], [f"{path}/stalled"])
    taken = with_additions(BEFORE, more.all)
    assert differences(taken, more.all) == ([], [])
    assert differences(taken, BEFORE)[0] == [f"{path}/stalled: is gone"]
    choice("answers", "AddressEntry", field, less.all)[1].remove(first)
    assert less.told == ([f"{path}/{first}: is gone"], [])
    assert with_additions(BEFORE, less.all) == BEFORE
    choice("answers", "AddressEntry", field, other.all)[1][0] = "stalled"
    assert other.told == ([f"{path}/{first}: is gone"], [f"{path}/stalled"])


@pytest.mark.parametrize("name", sorted(BEFORE["answers"]))
def test_a_reader_of_today_takes_the_words_that_a_choice_may_gain(name: str) -> None:
    for field, kind in answer_classes()[name].model_fields.items():
        if "'enum': " in str(BEFORE["answers"][name]["fields"][kind.alias or field]):
            word = ("stalled",) if "items" in BEFORE["answers"][name]["fields"][field] else "stalled"
            reader = create_model("Reader", **{field: (kind.annotation, kind)})  # type: ignore[call-overload]
            assert reader.model_validate({field: word}).model_dump() == {field: word}


@pytest.mark.parametrize(
    ("room", "name", "field"),
    [
        ("commands", "ChangePlan", "plan"),
        ("questions", "Addresses", "state"),
        ("events", "switchboard.PlanChanged.v1", "plan"),
    ],
)
def test_a_choice_that_is_asked_or_stored_stays_as_it_is(room: str, name: str, field: str) -> None:
    found = Now()
    path, words = choice(room, name, field, found.all)
    words.append("stalled")
    ((told,), added) = found.told
    assert path.startswith(told.partition(":")[0])
    assert added == []
    assert with_additions(BEFORE, found.all) == BEFORE


def test_what_else_an_answer_may_be_neither_grows_nor_shrinks() -> None:
    found = Now()
    found.fields("answers", "AddressEntry")["owner"]["anyOf"].append({"type": "integer"})
    ((told,), added) = found.told
    assert told.startswith("/answers/AddressEntry/fields/owner/anyOf: written ")
    assert added == []


def test_what_cannot_be_made_any_more_is_told_and_nothing_is_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(HISTORIES, "aliases", [("AliasAdded", {"renamed": "a@b.example"})])
    monkeypatch.setitem(DIGESTED, "SetFromName", {"actor": "ana", "renamed": "x"})
    monkeypatch.setitem(HISTORIES, "another", [("AliasAdded", {"renamed": "a@b.example"})])
    found = now()
    changed, added = differences(BEFORE, found)
    assert [told.partition(":")[0] for told in changed] == ["/digests/SetFromName", "/sets/aliases", "/sets/another"]
    assert (added, with_additions(BEFORE, found)) == ([], BEFORE)


def test_a_question_keeps_what_its_result_is_made_of() -> None:
    found = Now()
    found.all["results"]["Users"]["page"] = False
    found.all["results"]["Address"]["of"] = {"$ref": "#/$defs/AddressEntry"}
    assert len(found.told[0]) == 2


def test_a_question_a_reason_and_an_event_do_not_vanish() -> None:
    found = Now()
    del found.all["questions"]["Usage"], found.all["reasons"]["BUSY"], found.all["events"]["switchboard.ToolBound.v1"]
    assert found.told[0] == [
        "/events/switchboard.ToolBound.v1: is gone", "/questions/Usage: is gone", "/reasons/BUSY: is gone",
    ]  # fmt: skip
