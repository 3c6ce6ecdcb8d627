"""The parts of the page: text, tables of fields, examples. Plain text is escaped here."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from services.ops.contract import examples
from services.ops.contract.headers import pattern_of
from services.ops.contract.schemas import Schema, without_null
from shared.language import subjects
from shared.language.reasons import CODES
from shared.language.text import Id

LONGEST_LINE: Final = 90
ID: Final = pattern_of(Id)


def text(plain: str) -> str:
    return escape(plain, quote=False)


def anchor(group: str, name: str) -> str:
    return f"{group}.{name}"


def link(group: str, name: str, plain: str) -> str:
    return f'<a href="#{anchor(group, name)}">{text(plain)}</a>'


def links(group: str, names: Iterable[str]) -> str:
    return " ".join(link(group, name, name) for name in names)


def code(plain: str) -> str:
    return f"<code>{text(plain)}</code>"


def inline(plain: str) -> str:
    """Plain text with `code`, as markup."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(plain))


def prose(plain: str) -> str:
    """Plain text with `code`, in paragraphs."""
    return "".join(f"<p>{inline(part)}</p>\n" for part in plain.split("\n\n") if part)


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Pairs of a name and a value; values are markup."""
    return "<dl>" + "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in rows) + "</dl>\n"


def table(rows: Iterable[Iterable[str]]) -> str:
    """A table; the first cell of each row is its heading, and all cells are markup."""
    found = []
    for row in rows:
        name, *rest = row
        found.append(f"<tr><th>{name}</th>" + "".join(f"<td>{cell}</td>" for cell in rest) + "</tr>")
    return f'<div class="wide"><table>{"".join(found)}</table></div>\n'


# ---- fields


def fields(schema: Schema, without: Iterable[str] = ()) -> str:
    """A table of the fields, then one for each object in them."""
    names = [name for name in schema["properties"] if name not in without]
    own = field_table(schema, names) if names else '<p class="none">No fields of its own.</p>\n'
    return own + "".join(
        f"<details open><summary>{text(name)}</summary>{prose(one.get('description', ''))}{fields(one)}</details>\n"
        for name, one in schema.get("$defs", {}).items()
    )


def field_table(schema: Schema, names: Iterable[str]) -> str:
    """A table of these fields. Optional fields are shown without null, which means the same."""
    required = schema.get("required", ())
    properties = {name: schema["properties"][name] for name in names if name in schema["properties"]}
    return table(
        (code(name), type_of(one), "", meaning(one))
        if name in required
        else (code(name), type_of(without_null(one)), "<i>optional</i>", meaning(one))
        for name, one in properties.items()
    )


def meaning(schema: Schema) -> str:
    default = schema.get("default")
    default_text = "" if default is None else f" Default: {code(json.dumps(default))}."
    return inline(schema.get("description", "")) + default_text


def type_of(schema: Schema) -> str:
    """The type in words."""
    if "$ref" in schema:
        return f"<i>{text(schema['$ref'].rpartition('/')[2])}</i>"
    if alternatives := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(type_of(one) for one in alternatives)
    if "enum" in schema:
        return " · ".join(code(str(one)) for one in schema["enum"])
    types = schema.get("type", "anything")
    return " or ".join(word_of(one, schema) for one in (types if isinstance(types, list) else [types]))


def word_of(name: str, schema: Schema) -> str:
    match name:
        case "array":
            return f"list of {type_of(schema['items'])}"
        case "string" if schema.get("pattern") == ID:
            return "id"
        case "string":
            return "text" if "maxLength" not in schema else f"text, at most {schema['maxLength']:,}"
        case "integer":
            return "number"
        case "boolean":
            return "true or false"
        case _:
            return name


# ---- examples


def exchange(subject: str, example: examples.Exchange) -> str:
    """A request as typed, and its reply."""
    verb = f"nats req {subject}"
    request = f"{verb} {shlex.quote(as_json(example.body, taken=len(verb)))}"
    return f"<pre>{code(request)}</pre>\n{reply(example.reply)}"


def reply(body: Mapping[str, Any]) -> str:
    """A reply or an answer; an error begins with its headers."""
    name = body.get("reason") or body.get("error")
    heads = {subjects.ERROR_CODE: str(CODES[name]), subjects.ERROR: name} if name else {}
    return message(heads, body)


def message(heads: Mapping[str, str], body: Mapping[str, Any]) -> str:
    """Headers, as `nats` prints them, and the body."""
    lines = "".join(f"{name}: {value}\n" for name, value in heads.items())
    whole = lines + ("\n" if lines else "") + as_json(body)
    return f'<pre class="reply">{code(whole)}</pre>\n'


def as_json(value: Any, indent: str = "", taken: int = 0) -> str:
    """JSON on one line if it fits; `taken` characters of the first line are not free."""
    line = json.dumps(value, ensure_ascii=False)
    inner = f"{indent}  "
    if taken + len(indent) + len(line) <= LONGEST_LINE or not isinstance(value, dict | list):
        return line
    if isinstance(value, dict):
        parts = [f"{json.dumps(name)}: {as_json(one, inner)}" for name, one in value.items()]
        return "{\n" + ",\n".join(f"{inner}{part}" for part in parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(f"{inner}{as_json(one, inner)}" for one in value) + f"\n{indent}]"
