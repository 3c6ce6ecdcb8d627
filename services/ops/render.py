"""Replies and answers for people: a refusal with advice, a list as a table, anything else key by key."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.ops.printable import LINE_BREAK, printable
from services.ops.terminal import out

# Labels of frequent details; all others have their names on the wire.
WORDS: Final[Mapping[str, str]] = {
    "holder": "held by",
    "former_owner": "former owner",
    "since": "since",
    "primary": "alias of",
    "retry_after_ms": "retry after, ms",
}
# The errors are shown below.
SEE_ERRORS: Final = re.compile(r": see details\.errors.*$")
# Wider than any terminal, to measure the natural width of a table.
WIDEST: Final = 10_000


def reply(command: str, body: Mapping[str, Any]) -> None:
    """The reply to a command."""
    out.print(reply_of(command, body))


def reply_of(command: str, body: Mapping[str, Any]) -> RenderableType:
    match body.get("outcome"):
        case "accepted":
            return _accepted(command, body)
        case "unchanged":
            return _head("=", "yellow", "Unchanged", f"{command}: this was already the case", body)
        case "refused":
            return _refused(body)
    return value_of(body)


def _head(sign: str, colour: str, word: str, text: str, body: Mapping[str, Any]) -> Text:
    where = "dry run, nothing was written" if body.get("dry_run") else f"position {body.get('position', '?')}"
    return Text.assemble((f"{sign} {word}", f"bold {colour}"), f"  {text}  ", (where, "dim"))


def _accepted(command: str, body: Mapping[str, Any]) -> RenderableType:
    listed = [str(event["type"]) for event in body.get("events", ())]
    more = body.get("event_count", len(listed)) - len(listed)
    events = ", ".join(listed) + (f" and {more} more" if more > 0 else "")
    parts: list[RenderableType] = [_head("✓", "green", "Accepted", f"{command}: {events}", body)]
    parts += [Text.assemble(("  ! ", "yellow"), plain(one.get("message"))) for one in body.get("warnings", ())]
    if steps := body.get("next_steps"):
        parts.append(Text("  Next steps", style="dim"))
        parts.append(_actions([(step["command"], "", step["why"]) for step in steps]))
    return Group(*parts)


def _refused(body: Mapping[str, Any]) -> RenderableType:
    head = Text.assemble(("✗ Refused", "bold red"), "  ", (plain(body.get("reason")), "bold"))
    message = SEE_ERRORS.sub(":", plain(body.get("message")))
    parts: list[RenderableType] = [head, Text(f"  {message}")]
    details = dict(body.get("details") or {})
    errors = details.pop("errors", None)
    details.pop("known", None)  # all names; the most similar are suggested instead
    if details:
        parts.append(Padding(value_of(details), (0, 0, 0, 2)))
    if errors:
        parts.append(Padding(value_of(errors), (0, 0, 0, 2)))
    if actions := body.get("next_actions"):
        parts.append(Text("  You can", style="dim"))
        parts.append(_actions([(one["command"], " or ".join(one["by"]), one["why"]) for one in actions]))
    return Group(*parts)


def _actions(rows: Sequence[tuple[str, str, str]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    for command, by, why in rows:
        who = Text(f"by {by}" if by else "", style="dim")
        grid.add_row("   →", Text(plain(command), style="cyan"), Text(plain(why)), who)
    return grid


# ---- answers


def answer(body: Mapping[str, Any], *, is_list: bool = False) -> None:
    """The answer to a question."""
    out.print(answer_of(body, is_list=is_list))


def answer_of(body: Mapping[str, Any], *, is_list: bool = False) -> RenderableType:
    if "error" in body:
        return _refused({"reason": body["error"], **body})
    parts: list[RenderableType] = [value_of(body.get("result"))]
    tail = f"as of position {body.get('position')}"
    if body.get("next"):
        tail += f"; more with after={body['next']}"
    elif is_list:
        tail = f"{len(body.get('result') or ())} in all, {tail}"
    if body.get("incomplete_since"):
        tail += f"; incomplete since position {body['incomplete_since']}: see `switchboard views parked list`"
    return Group(*parts, Text(tail, style="dim"))


def value_of(value: Any) -> RenderableType:
    """A list of objects as a table, an object key by key, another value as text."""
    if isinstance(value, Mapping):
        grid = Table.grid(padding=(0, 2))
        grid.add_column()
        grid.add_column(overflow="fold")
        for key, one in value.items():
            grid.add_row(Text(_label(key), style="dim"), Text(plain(one)))
        return grid
    if isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
        return table_of(value)
    return Text(plain(value))


def table_of(rows: Sequence[Mapping[str, Any]]) -> RenderableType:
    """A table with a column for each key that has a value; too wide for the terminal, one object below the other."""
    keys = dict.fromkeys(key for row in rows for key in row)
    columns = [key for key in keys if any(_has_value(row.get(key)) for row in rows)]
    table = plain_table(*(escape(_label(key)) for key in columns))
    for row in rows:
        table.add_row(*(Text(plain(row.get(key))) for key in columns))
    if Measurement.get(out, out.options.update(max_width=WIDEST), table).maximum <= out.width:
        return table
    return Group(*(Padding(value_of({key: row.get(key) for key in columns}), (0, 0, 1, 0)) for row in rows))


def plain_table(*titles: str) -> Table:
    """A table without lines, to read, copy and cut."""
    return Table(*titles, header_style="dim", box=None, pad_edge=False)


def _label(key: str) -> str:
    return WORDS.get(key) or printable(key)


def _has_value(value: Any) -> bool:
    return value not in (None, [], {}, "")


def plain(value: Any) -> str:
    """A value in a cell; texts are data, so that a terminal acts on none of their characters."""
    match value:
        case None | "":
            return "-"
        case True:
            return "yes"
        case False:
            return "no"
        case Mapping():
            return ", ".join(f"{printable(key)} {plain(one)}" for key, one in value.items() if _has_value(one)) or "-"
        case list() | tuple():
            return ", ".join(map(plain, value)) or "-"
    return printable(str(value), LINE_BREAK)
