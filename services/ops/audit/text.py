"""Times, values and changed fields as text for people."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.ops.audit.layout import grid, indented
from services.ops.printable import printable
from shared.core.rule_words import in_words
from shared.language.rules import Rule

LONGEST_VALUE: Final = 400
# Longer values of a changed field are shown below one another.
LONGEST_BEFORE: Final = 28
LONGEST_AFTER: Final = 48
RULE: Final[TypeAdapter[Rule]] = TypeAdapter(Rule)
NOTHING: Final = "-"


def exact_time(recorded: str | None) -> str:
    """A time of the log in UTC, as exact as it was recorded."""
    return _in_utc(recorded, exact=True)


def time_of(recorded: str | None) -> str:
    """A time of the log in UTC, in seconds."""
    return _in_utc(recorded, exact=False)


def _in_utc(recorded: str | None, *, exact: bool) -> str:
    if recorded is None:
        return NOTHING
    try:
        at = datetime.fromisoformat(recorded).astimezone(UTC)
    except ValueError:
        return printable(recorded)
    digits = ("microseconds" if at.microsecond % 1_000 else "milliseconds") if exact else "seconds"
    return at.replace(tzinfo=None).isoformat(" ", digits) + "Z"


def number(of: int | None) -> str:
    return NOTHING if of is None else f"{of:,}"


def event_name(stored: str | None) -> str:
    """The name of an event without the words that all of them have: `TeamConnected`."""
    return value(stored and stored.removeprefix("switchboard.").partition(".")[0])


def value(of: Any) -> str:
    """A value of a field in one line; a long one is cut, with its length."""
    match of:
        case bool():
            return "yes" if of else "no"
        case None | "" | list() | dict() if not of:
            return NOTHING
        case list() if all(isinstance(one, str | int) for one in of):
            text = ", ".join(map(value, of))
        case dict() if "kind" in of:
            text = _rule(of)
        case list() | dict():
            text = json.dumps(of, ensure_ascii=False)
        case _:
            text = str(of)
    safe = printable(text)
    return safe if len(safe) <= LONGEST_VALUE else f"{safe[:LONGEST_VALUE]}… ({len(text):,} characters)"


def _rule(of: Mapping[str, Any]) -> str:
    """A routing rule in words; one of a later release as it is."""
    try:
        return in_words(RULE.validate_json(json.dumps(of)))
    except ValidationError:
        return json.dumps(of, ensure_ascii=False)


def changes_of(changes: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Each field that changed: short values in aligned columns, long ones below one another."""
    short, long = Table.grid(padding=(0, 2)), list[RenderableType]()
    short.add_column(no_wrap=True)
    for one in changes:
        name = Text(value(one["field"]), style="dim")
        before, after = value(one["before"]), value(one["after"])
        if len(before) <= LONGEST_BEFORE and len(after) <= LONGEST_AFTER:
            short.add_row(name, Text(before), "→", Text(after))
        else:
            long += [name, indented(grid([("before", before), ("after", after)]))]
    return Group(*([short] if short.row_count else []), *long)
