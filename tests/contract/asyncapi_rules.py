"""Whether a document is AsyncAPI 3.0, as far as it can be told without Node: its objects, references and agreements.

The shapes are those of the specification's objects that our document uses; another object, or another field of one, is
a problem here although AsyncAPI may know it. Schemas are judged elsewhere, as JSON Schemas.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

TEXT, ANY, LIST = "text", "any", "list"
KEY: Final = re.compile(r"[A-Za-z0-9._-]+")
EXTENSION: Final = re.compile(r"x-[A-Za-z0-9._-]+")
# A runtime expression that names a header's or a payload's field.
LOCATION: Final = re.compile(r"\$message\.(header|payload)#/([^/]+)")
LONGEST_QUEUE: Final = 255


class Shape(NamedTuple):
    """`fields` by name: text, anything, or the kind of the object; `*kind` for a map and `[kind` for a list of such."""

    required: frozenset[str]
    fields: Mapping[str, str]


def shape(required: str, **fields: str) -> Shape:
    return Shape(frozenset(required.split()), {name.rstrip("_"): kind for name, kind in fields.items()})


SHAPES: Final[Mapping[str, Shape]] = {
    "document": shape(
        "asyncapi info", asyncapi=TEXT, id=TEXT, info="info", servers="*server", defaultContentType=TEXT,
        channels="*channel", operations="*operation", components="components",
    ),
    "info": shape("title version", title=TEXT, version=TEXT, description=TEXT, license="license"),
    "license": shape("name", name=TEXT, url=TEXT),
    "server": shape("host protocol", host=TEXT, protocol=TEXT, description=TEXT),
    "channel": shape("", address=ANY, messages="*message", description=TEXT, parameters="*parameter"),
    "operation": shape(
        "action channel", action=TEXT, channel="reference", messages="[reference", reply="reply", bindings="bindings",
    ),
    "reply": shape("", channel="reference", messages="[reference"),
    "bindings": shape("", nats="nats"),
    "nats": shape("", queue=TEXT, bindingVersion=TEXT),
    "message": shape(
        "", name=TEXT, title=TEXT, summary=TEXT, contentType=TEXT, headers=ANY, payload=ANY,
        correlationId="correlation", examples="[example",
    ),
    "example": shape("", payload=ANY, headers=ANY),
    "parameter": shape("", description=TEXT, examples=LIST),
    "correlation": shape("location", location=TEXT),
    "components": shape(
        "", messages="*message", schemas="*schema", parameters="*parameter", correlationIds="*correlation",
    ),
}  # fmt: skip


def problems(document: Mapping[str, Any]) -> list[str]:
    """One sentence for each rule that does not hold."""
    found = list(misshapen(document, "document", "#"))
    if document.get("asyncapi") != "3.0.0":
        found.append("#/asyncapi is not 3.0.0")
    references = list(referred(document, "#"))
    found += [f"{where}: there is no {target}" for where, target in references if resolved(document, target) is None]
    if not found:
        found += [*channel_problems(document), *operation_problems(document), *message_problems(document)]
    return found


def misshapen(value: Any, kind: str, where: str) -> Iterator[str]:
    if kind in (ANY, "schema") or (isinstance(value, dict) and set(value) == {"$ref"}):
        return
    if kind == "reference":
        yield f"{where} is no reference"
    elif kind == TEXT:
        if not isinstance(value, str) or not value:
            yield f"{where} is no text"
    elif kind == LIST:
        if not isinstance(value, list):
            yield f"{where} is no list"
    elif kind.startswith("["):
        for number, one in enumerate(value):
            yield from misshapen(one, kind[1:], f"{where}/{number}")
    elif kind.startswith("*"):
        for name, one in value.items():
            if not KEY.fullmatch(name):
                yield f"{where}: {name!r} is no key"
            yield from misshapen(one, kind[1:], f"{where}/{name}")
    else:
        yield from misshapen_object(value, SHAPES[kind], where)


def misshapen_object(value: Mapping[str, Any], shape: Shape, where: str) -> Iterator[str]:
    for name in sorted(shape.required - value.keys()):
        yield f"{where} has no {name}"
    for name, one in value.items():
        if name in shape.fields:
            yield from misshapen(one, shape.fields[name], f"{where}/{name}")
        elif not EXTENSION.fullmatch(name):
            yield f"{where} has {name}, which is not known"


# ---- references


def referred(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every reference, with its place; not those inside examples, which are data."""
    if isinstance(value, dict):
        if isinstance(target := value.get("$ref"), str):
            yield where, target
        for name, one in value.items():
            if not (name == "examples" and isinstance(one, list)):
                yield from referred(one, f"{where}/{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from referred(one, f"{where}/{number}")


def resolved(document: Mapping[str, Any], target: str) -> Any:
    """What a reference within the document leads to, None when nowhere."""
    found: Any = document if target.startswith("#/") else None
    for part in target.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found


def followed(document: Mapping[str, Any], value: Any) -> Any:
    """The thing itself where a reference may stand."""
    while isinstance(value, dict) and isinstance(target := value.get("$ref"), str):
        value = resolved(document, target)
    return value


# ---- agreements


def channel_problems(document: Mapping[str, Any]) -> Iterator[str]:
    addresses: dict[str, str] = {}
    for name, channel in document["channels"].items():
        address = channel.get("address")
        named = set(re.findall(r"\{([^}]*)\}", address or ""))
        if named != set(channel.get("parameters", {})):
            yield f"channel {name}: its address names {sorted(named)}, its parameters are others"
        if not channel.get("messages"):
            yield f"channel {name} has no message"
        if address is not None and addresses.setdefault(address, name) != name:
            yield f"channel {name} has the address of {addresses[address]}"


def operation_problems(document: Mapping[str, Any]) -> Iterator[str]:
    for name, operation in document["operations"].items():
        if operation["action"] not in ("send", "receive"):
            yield f"operation {name} neither sends nor receives"
        for end in (operation, operation.get("reply", {})):
            channel = end.get("channel", {}).get("$ref", "")
            for message in end.get("messages", []):
                if not message["$ref"].startswith(f"{channel}/messages/"):
                    yield f"operation {name}: {message['$ref']} is none of {channel}"
        queue = operation.get("bindings", {}).get("nats", {}).get("queue", "")
        if len(queue) > LONGEST_QUEUE:
            yield f"operation {name}: the queue's name is too long"


def message_problems(document: Mapping[str, Any]) -> Iterator[str]:
    said = {ref["$ref"] for channel in document["channels"].values() for ref in channel["messages"].values()}
    for name, message in document["components"]["messages"].items():
        if f"#/components/messages/{name}" not in said:
            yield f"message {name} is in no channel"
        location = followed(document, message.get("correlationId", {})).get("location")
        if location is not None:
            found = LOCATION.fullmatch(location)
            part = "headers" if found and found[1] == "header" else "payload"
            properties = followed(document, message.get(part, {})).get("properties", {})
            if found is None or found[2] not in properties:
                yield f"message {name}: {location} leads nowhere"
