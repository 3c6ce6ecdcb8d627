"""A duplicate name is found however it is written, and no body without one is refused."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.duplicate_names import duplicate_names


def found_in(text: str) -> set[str]:
    data = text.encode()
    return {".".join(map(str, path)) for path in duplicate_names(data, orjson.loads(data))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"owner":"bob","owner":"cleo"}', {"owner"}),
        ('{"owner":"bob","owner":"bob"}', {"owner"}),
        ('{"owner":null,"owner":"cleo"}', {"owner"}),
        ('{"owner" : "bob", "owner"\n:"cleo"}', {"owner"}),
        ('{"owner":"bob","\\u006fwner":"cleo"}', {"owner"}),
        ('{"owner":"service:x","owner":"service:x"}', {"owner"}),
        # What the lost value says must not make up for its name.
        ('{"owner":"a","owner":"b\\u003a"}', {"owner"}),
        ('{"actor":"a","actor":"service\\u003Aa"}', {"actor"}),
        ('{"a":1,"a":2,"b":3,"b":3,"a":0}', {"a", "b"}),
        ('{"":1,"":2}', {""}),
        ('{"a:b":1,"a:b":2}', {"a:b"}),
        ('{"rule":{"kind":"x","kind":"y"}}', {"rule.kind"}),
        ('{"rule":{"fallback":{"users":[],"users":["a"]},"kind":"x"},"actor":"service:a"}', {"rule.fallback.users"}),
        ('{"members":["a",{"b":1,"b":2}]}', {"members.1.b"}),
        ('{"rule":{"a":1,"a":2},"rule":1}', {"rule"}),
        ('{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"b":1,"b":1}}}}}}}}}}}', {"a.a.a.a.a.a.a.a"}),
    ],
)
def test_a_duplicate_name_is_found_with_its_path(text: str, expected: set[str]) -> None:
    assert found_in(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '{"actor":"service:x","note":"he said \\"owner\\":\\"bob\\", twice","owner":"a"}',
        '{"note":"{\\"a\\":1,\\"a\\":2}"}',
        '{"note":"\\u003a\\u003A:","actor":"\\u003a"}',
        '{"a:b":":","b":{"a:b":[":",1,null,":"]}}',
        '{"owner":"owner","users":["owner","owner"],"rule":{"owner":1},"fallback":{"owner":{"owner":1}}}',
        '{"Owner":1,"owner":2,"owner ":3}',
        '{"n":' + "9" * 300 + ',"x":"a:b","y":1e5,"z":[[1.5]]}',
        '{"a":' * 900 + '"x:y"' + "}" * 900,
    ],
)
def test_a_body_without_one_is_left_alone(text: str) -> None:
    assert found_in(text) == set()


NAMES = st.sampled_from(["a", "b", "actor", "a:b", "é", '"', "\\u0061", ""])
TEXTS = st.sampled_from(["", ":", "service:a", '":', '{"a":1,"a":2}', "é", "\\u003a", "\\"])
COLON = st.sampled_from([":", " :", ": ", "\n:\t"])
ESCAPED = st.booleans()


@st.composite
def values(draw: Any, depth: int = 0) -> str:
    """JSON as any client may write it: names again, escapes, blanks."""
    kind = draw(st.integers(0, 5 if depth < 3 else 3))
    if kind == 4:
        return "[" + ",".join(draw(st.lists(values(depth + 1), max_size=3))) + "]"
    if kind == 5:
        return draw(objects(depth + 1))  # type: ignore[no-any-return]
    return written(draw(TEXTS), draw(ESCAPED)) if kind else draw(st.sampled_from(["1", "null", "true", "1.5"]))


@st.composite
def objects(draw: Any, depth: int = 0) -> str:
    names = draw(st.lists(NAMES, max_size=4))
    return "{" + ",".join(f"{written(one, draw(ESCAPED))}{draw(COLON)}{draw(values(depth))}" for one in names) + "}"


def written(text: str, escaped: bool) -> str:
    return (
        '"' + "".join(f"\\u{ord(one):04x}" for one in text) + '"' if escaped else json.dumps(text, ensure_ascii=False)
    )


@given(objects())
def test_counting_finds_what_reading_name_by_name_finds(text: str) -> None:
    twice = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        twice = twice or len(dict(pairs)) < len(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    assert bool(found_in(text)) == twice
