"""The way of a command: as it was given, its outcome, its events, and who had them when."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from services.ops.audit.layout import block, grid, indented
from services.ops.audit.text import event_name, exact_time, number, value
from services.ops.printable import LINE_BREAK, printable

Item = Mapping[str, Any]

COLOURS: Final = {"accepted": "green", "unchanged": "yellow", "refused": "bold red"}


def trace(items: Sequence[Item]) -> Iterator[RenderableType]:
    yield from map(command, items)


def command(one: Item) -> RenderableType:
    """The command and its outcome; below, each event with its times."""
    head = Text.assemble((exact_time(one["time"]), "bold"), f"  {value(one['actor'])}  {value(one['command'])}  ")
    head.append(value(one["outcome"]), COLOURS.get(one["outcome"], ""))
    parts: list[RenderableType] = [head, indented(grid(_facts(one)))]
    for each in one["events"]:
        parts += [Text(), indented(_event(each))]
    if (more := one["event_count"] - len(one["events"])) > 0:
        parts += [Text(), indented(Text(f"{more:,} more events: `switchboard audit timeline` shows all of them."))]
    return block(*parts)


def _facts(one: Item) -> Iterator[tuple[str, str]]:
    for name in ("command_id", "correlation_id"):
        if one[name]:
            yield name, value(one[name])
    yield "journal", f"entry {number(one['ordinal'])}"
    if one["position"]:
        yield "position", number(one["position"])
    yield "as given", _json(one["body"])
    if one["outcome"] == "refused":
        yield "refused", f"{value(one['reason'])}  {value(one['reply'].get('message'))}"


def _event(one: Item) -> RenderableType:
    head = Text.assemble((event_name(one["type"]), "bold"), f"  position {number(one['position'])}")
    return Group(head, indented(Text(value(one["sentence"]))), indented(grid(_times(one))))


def _times(one: Item) -> Iterator[tuple[str, str]]:
    yield "recorded", exact_time(one["time"])
    for name, at in {"published": one["published"], **one["applied"]}.items():
        yield value(name), _reached(one, name, at)


def _reached(one: Item, name: str, at: str | None) -> str:
    if at is None:
        return f"not known: {value(one['missing'].get(name))}"
    later = one["after_ms"].get(name)
    return exact_time(at) + ("" if later is None else f"  after {later:,.1f} ms")


def _json(body: Any) -> str:
    if body is None:
        return "not readable"
    return printable(json.dumps(body, indent=2, ensure_ascii=False), LINE_BREAK)
