"""How far the answers of the audit and their proof reach, clocks that ran back, dead letters."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from services.ops.audit.layout import block, grid, table
from services.ops.audit.text import event_name, number, time_of, value

Item = Mapping[str, Any]


def coverage(found: Item) -> Iterator[RenderableType]:
    yield block(_ends(found))
    yield block(*_proof(found.get("proof", ())))
    yield block(_clocks(found["clocks"]))
    yield block(_dead_letters(found["dead_letters"]))


def _ends(found: Item) -> RenderableType:
    log = found["log"]
    return grid(
        [
            ("log", f"{number(log['position'])} events of {number(log['ordinal'])} commands"),
            ("first event", time_of(log["first_time"])),
            ("last event", time_of(log["last_time"])),
            ("history", _reach(found["history"])),
            ("index", _reach(found["index"])),
            ("log id", value(log["id"])),
        ]
    )


def _reach(one: Item) -> str:
    if one["behind"] == 0:
        return f"complete, to position {number(one['position'])}"
    behind = "1 event behind" if one["behind"] == 1 else f"{number(one['behind'])} events behind"
    age = "" if one["seconds"] is None else f"; the oldest of them is {one['seconds']:,.0f} s old"
    return f"to position {number(one['position'])}; {behind}{age}"


def _proof(trees: Sequence[Item]) -> Iterator[RenderableType]:
    if not trees:
        yield Text("No checkpoints are made: nothing proves that the log does not change.")
        return
    yield Text("Checkpoints prove that the log does not change:")
    yield grid([row for one in trees for row in _proof_of(one)])


def _proof_of(one: Item) -> Iterator[tuple[str, str]]:
    counted, rows = ("position", "events") if one["tree"] == "events" else ("ordinal", "entries")
    if one["time"] is None:
        yield value(one["tree"]), "no checkpoint yet"
    else:
        whole = "" if one["behind"] else "complete, "
        yield value(one["tree"]), f"{whole}signed to {counted} {number(one['size'])} at {time_of(one['time'])}"
    if one["behind"]:
        yield "", f"{number(one['behind'])} {rows} are under no checkpoint"
    if one["error"] is not None:
        yield "", f"NOT SIGNED: {value(one['error'])}"
    witnesses = [f"{value(by['name'])}, {time_of(by['time'])}" for by in one.get("witnessed", ())]
    yield "", f"witnessed by {'; '.join(witnesses)}" if witnesses else "no witness"
    yield "", value(one["origin"])


def _clocks(clocks: Item) -> RenderableType:
    if not clocks["events"]:
        return Text("No clock ran back by more than a second.")
    head = Text(f"Clocks ran back: {number(clocks['events'])} events have an earlier time than one before them.")
    places = table(("From position", "To position", "Events", "By, seconds", "At"))
    for one in clocks["places"]:
        cells = (number(one["from"]), number(one["to"]), number(one["events"]), f"{one['milliseconds'] / 1_000:,.1f}")
        places.add_row(*map(Text, (*cells, time_of(one["time"]))))
    return Group(head, places)


def _dead_letters(found: Sequence[Item]) -> RenderableType:
    if not found:
        return Text("No dead letters: every event of this account is in the history.")
    letters = table(("Dead letters", "Waiting", "Given up", "First position", "Last position"))
    for one in found:
        numbers = (one["parked"], one["given_up"], one["first"], one["last"])
        letters.add_row(Text(event_name(one["type"])), *map(number, numbers))
    return letters
