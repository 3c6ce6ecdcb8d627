"""The contract keeps to forms that code generators take; `make test-tools` tries the generators themselves."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from services.ops.contract import meanings, titles
from services.ops.contract.asyncapi import document
from services.ops.contract.schemas import messages

# What one thing may say otherwise in each place; the field `description` is a schema, not a text.
ABOUT = ("description", "default", "$schema", "$id", "$defs")


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """A schema, and every schema in it."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from parts(one)
    elif isinstance(value, list):
        for one in value:
            yield from parts(one)


def content(value: Any) -> Any:
    """What a schema demands, without words about it."""
    if isinstance(value, dict):
        return {name: content(one) for name, one in value.items() if name not in ABOUT or isinstance(one, dict)}
    return [content(one) for one in value] if isinstance(value, list) else value


def every_part() -> list[dict[str, Any]]:
    made = document()
    headers = [message.get("headers", {}) for message in made["components"]["messages"].values()]
    return [
        part
        for schema in (*(message.schema for message in messages()), *made["components"]["schemas"].values(), *headers)
        for part in parts(schema)
    ]


def test_every_choice_has_a_title_and_no_constant_is_a_bare_text() -> None:
    choices = [part for part in every_part() if isinstance(part.get("enum"), list)]
    assert len(choices) > len(titles.CHOICES)
    assert [choice for choice in choices if not choice.get("title")] == []
    assert [part for part in every_part() if "const" in part] == []


def test_a_choice_or_list_that_may_be_null_is_that_or_null() -> None:
    for part in every_part():
        assert None not in part.get("enum", []), part
        if isinstance(part.get("type"), list):
            assert "null" in part["type"], part
            assert not {"array", "object"} & set(part["type"]), part
            assert "enum" not in part, part


def test_a_list_of_texts_with_a_pattern_names_its_items() -> None:
    items = [part["items"] for part in every_part() if isinstance(part.get("items"), dict)]
    named = {item["title"] for item in items if "pattern" in item}
    assert named == set(titles.ITEMS.values())


def test_one_title_means_one_thing_wherever_it_stands() -> None:
    """A reference to a rule leads to the room's own: its title says which."""
    found: dict[str, set[str]] = defaultdict(set)
    for message in messages():
        for part in parts(message.schema):
            if isinstance(part.get("title"), str) and ("type" in part or "enum" in part):
                bare = {word: value for word, value in part.items() if word not in ABOUT}
                found[part["title"]].add(json.dumps(content(bare), sort_keys=True))
    assert {title: several for title, several in found.items() if len(several) > 1} == {}


def test_times_say_that_they_are_times() -> None:
    times = [
        field
        for message in messages()
        for part in parts(message.schema)
        for name, field in part.get("properties", {}).items()
        if name in ("since", "claimed_at")
    ]
    assert len(times) > 1
    assert {field["format"] for field in times} == {"date-time"}


def test_every_message_says_its_type_and_role_to_eventcatalog() -> None:
    made = {
        name.partition(".")[0]: (message["x-eventcatalog-message-type"], message["x-eventcatalog-role"])
        for name, message in document()["components"]["messages"].items()
    }
    assert made == {
        "commands": ("command", "provider"),
        "dry_runs": ("command", "provider"),
        "replies": ("command", "provider"),
        "questions": ("query", "provider"),
        "answers": ("query", "provider"),
        "events": ("event", "provider"),
        "replays": ("event", "provider"),
    }


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        (titles.title_of_choice, (["yes", "no"],), "The choice of yes, no"),
        (titles.title_of_item, ("Pause", "moods"), "The items of Pause.moods"),
    ],
)
def test_what_has_no_title_yet_is_told_with_the_place(name: Any, value: tuple[Any, ...], told: str) -> None:
    with pytest.raises(meanings.MissingDescriptionError, match=rf"^{told} .*services/ops/contract/titles\.py$"):
        name(*value)
