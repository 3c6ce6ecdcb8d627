"""The difference of two moments, and the event after which a value was so."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from services.ops.audit.layout import block, grid, indented
from services.ops.audit.text import changes_of, exact_time, number, value

Item = Mapping[str, Any]

SIGNS: Final = {"added": ("+", "green"), "removed": ("-", "red"), "changed": ("~", "yellow")}


def changes(items: Sequence[Item]) -> Iterator[RenderableType]:
    """Each thing that differs: its fields, and the sentences of the events in between."""
    yield from map(_thing, items)


def _thing(one: Item) -> RenderableType:
    sign, colour = SIGNS.get(one["change"], ("?", ""))
    title = f" {value(one['aggregate'])} {value(one['name'])}"
    parts: list[RenderableType] = [Text.assemble((sign, colour), (title, "bold"), f"  {value(one['change'])}")]
    if one["fields"]:
        parts.append(indented(changes_of(one["fields"]), 4))
    parts += [indented(Text(value(sentence))) for sentence in one["sentences"]]
    return block(*parts)


def bisected(found: Item) -> Iterator[RenderableType]:
    """The first moment at which the value was so, the event, and the value before and after."""
    if found["position"] is None:
        advice = "`switchboard query` shows the answer of now, and so which paths there are."
        yield block(Text(f"It never became so, up to position {number(found['last'])}. {advice}"))
        return
    sentence = value(found["sentence"]) if found["sentence"] else "It was so already as of the first moment."
    values = grid((side, value(found[side])) for side in ("before", "after"))
    head = Text.assemble((exact_time(found["time"]), "bold"), "  ", (f"position {number(found['position'])}", "dim"))
    yield block(head, indented(Text(sentence)), indented(values))


def search_further(found: Item) -> Item | None:
    """The fields of a search that goes on where another had no more time."""
    return None if found["complete"] else {"from": found["last"]}
