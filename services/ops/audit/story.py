"""The past as a story: one block for each entry of a timeline, each refused attempt, each question of an auditor."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from services.ops.audit.layout import ByWidth, block, indented, table
from services.ops.audit.text import changes_of, exact_time, number, time_of, value

Item = Mapping[str, Any]


def timeline(items: Sequence[Item]) -> Iterator[RenderableType]:
    yield from map(entry, items)


def refusals(items: Sequence[Item]) -> Iterator[RenderableType]:
    """The groups first, as a table; then the attempts."""
    if groups := [item["group"] for item in items if item["group"]]:
        yield _groups(groups)
    for item in items:
        if item["entry"]:
            yield entry(item["entry"], item["today"])


def about(items: Sequence[Item]) -> Iterator[RenderableType]:
    """Facts and attempts, and the questions of auditors, in the order of the answer."""
    for item in items:
        yield entry(item["entry"]) if item["entry"] else _question(item["question"])


def entry(one: Item, today: Item | None = None) -> RenderableType:
    """When, by whom, where in the log; one sentence; the fields that changed; the ids to go on with."""
    place = f"{'' if one['event'] else 'after '}position {number(one['position'])}"
    head = Text.assemble((exact_time(one["time"]), "bold"), f"  {value(one['actor'])}  ", (place, "dim"))
    parts: list[RenderableType] = [head, indented(Text(value(one["sentence"])))]
    parts += [indented(line) for line in _outcome(one)]
    if today:
        parts.append(indented(Text(f"Today: {_today(today)}")))
    if one["changes"]:
        parts.append(indented(changes_of(one["changes"]), 4))
    if words := _trail(one):
        parts.append(indented(Text(words, style="dim")))
    return block(*parts)


def _outcome(one: Item) -> Iterator[Text]:
    match one["outcome"]:
        case "refused":
            message = value(one["message"])
            # The sentence of an attempt has it already, up to its advice.
            more = "" if message.partition(". ")[0].rstrip(".") in value(one["sentence"]) else f"  {message}"
            yield Text.assemble(("✗ Refused", "bold red"), "  ", (value(one["reason"]), "bold"), more)
        case "unchanged":
            yield Text("= Unchanged", style="yellow")
    if one["dead_letter"]:
        yield Text("! This event could not be applied: no answer shows its effect (a dead letter).", style="yellow")


def _trail(one: Item) -> str:
    """The command and its id, to trace it; the correlation only where it is another id."""
    words = [f"{value(one['command'])}, command_id {value(one['command_id'])}"] if one["command_id"] else []
    if one["correlation_id"] and one["correlation_id"] != one["command_id"]:
        words.append(f"correlation_id {value(one['correlation_id'])}")
    return ", ".join(words)


def _groups(groups: Sequence[Item]) -> RenderableType:
    wide = table(("Refused because", "Command", "Times", "First", "Last"), times=(3, 4))
    for one in groups:
        times = (time_of(one["first"]), time_of(one["last"]))
        wide.add_row(*map(Text, (value(one["reason"]), value(one["command"]), number(one["count"]), *times)))
    return ByWidth(wide, map(_group, groups))


def _group(one: Item) -> RenderableType:
    times = "once" if one["count"] == 1 else f"{number(one['count'])} times"
    head = Text.assemble((value(one["reason"]), "bold"), f"  {value(one['command'])}, {times}")
    return block(head, indented(Text(f"first {time_of(one['first'])}, last {time_of(one['last'])}")))


def _today(today: Item) -> str:
    if today["outcome"] is None:
        return f"not known: {value(today['missing'])}"
    if today["outcome"] == "refused":
        return f"refused  {value(today['reason'])}  {value(today['message'])}"
    if today["outcome"] == "unchanged":
        return "the same command would change nothing: it is so already."
    return f"the same command would be {value(today['outcome'])}."


def _question(one: Item) -> RenderableType:
    place = f"as of position {number(one['position'])}" if one["position"] else ""
    head = Text.assemble((exact_time(one["time"]), "bold"), f"  {value(one['actor'])}  ", (place, "dim"))
    fields = ", ".join(f"{value(name)} {value(given)}" for name, given in one["fields"].items() if given is not None)
    text = (
        f"Asked the audit for {value(one['question'])} ({fields or 'of the whole account'}): {value(one['outcome'])}."
    )
    return block(head, indented(Text(text)))
