"""Tables of access: each interval with the rule that gave it, and the people who left."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from services.ops.audit.layout import ByWidth, block, grid, indented, table
from services.ops.audit.text import NOTHING, event_name, number, time_of, value

Item = Mapping[str, Any]

# Of the access that lasts, so much is named.
NAMED: Final = 5

# `via` is the inbox, the team or the primary address that the rule goes through.
RULES: Final[Mapping[str, str]] = {
    "member": "member of the inbox {via}",
    "team": "in the team {via}",
    "everyone": "the inbox {via} is open to everyone",
    "owner": "owner of the address",
    "alias": "as an alias of {via}",
    "administrator": "administrator of the account",
}


def of_place(items: Sequence[Item]) -> Iterator[RenderableType]:
    """The users of one address or inbox."""
    lives = {(item["user"], item["added"]) for item in items}
    reused = {user for user, _ in lives if sum(user == other for other, _ in lives) > 1}
    yield from _intervals("User", [(_person(item, reused), item) for item in merged(items)])


def of_user(items: Sequence[Item]) -> Iterator[RenderableType]:
    """The addresses and inboxes of one user."""
    yield from _intervals("What", [(_place(item), item) for item in merged(items)])


def merged(items: Sequence[Item]) -> list[Item]:
    """One interval in place of several that differ only in what the user could do: "read and send"."""
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for item in items:
        ends = (item["from"]["position"], item["to"] and item["to"]["position"])
        names = (item[name] for name in ("user", "added", "address", "inbox", "rule", "via"))
        groups.setdefault((*names, *ends), []).append(item)
    return [{**group[0], "can": " and ".join(str(one["can"]) for one in group)} for group in groups.values()]


def count(items: Sequence[Item]) -> int:
    return len(merged(items))


def _intervals(title: str, rows: Sequence[tuple[str, Item]]) -> Iterator[RenderableType]:
    if rows:
        wide = table((title, "Could", "By which rule", "From", "Until"), times=(3, 4))
        for name, one in rows:
            edges = (edge(one[side], in_lines=True) if one[side] else "now" for side in ("from", "to"))
            wide.add_row(*map(Text, (name, value(one["can"]), rule(one), *edges)))
        yield ByWidth(wide, (_interval(name, one) for name, one in rows))


def _interval(name: str, one: Item) -> RenderableType:
    head = Text.assemble((name, "bold"), f"  {value(one['can'])}: {rule(one)}")
    until = edge(one["to"], in_lines=False) if one["to"] else "now"
    return block(head, indented(grid([("from", edge(one["from"], in_lines=False)), ("until", until)])))


def rule(one: Item) -> str:
    """The rule in words; one of a later release as it is."""
    words = RULES.get(one["rule"], f"{value(one['rule'])} {{via}}")
    return words.replace("{via}", value(one["via"]))


def edge(one: Item, *, in_lines: bool) -> str:
    """When it began or ended, by which event and whom, and where in the log."""
    place = f"position {number(one['position'])}"
    if one["time"] is None:
        return f"{place}, an event that cannot be read"
    by = f"{event_name(one['type'])} by {value(one['actor'])}"
    return "\n".join((time_of(one["time"]), by, place)) if in_lines else f"{time_of(one['time'])}  {by}, {place}"


def _person(one: Item, reused: set[str]) -> str:
    """The id, with the name where that is another; of an id that several people had, since when."""
    words = [] if one["name"].lower() == one["user"].lower() else [value(one["name"])]
    words += [f"the user added at position {number(one['added'])}"] if one["user"] in reused else []
    return f"{value(one['user'])} ({', '.join(words)})" if words else value(one["user"])


def _place(one: Item) -> str:
    if one["address"]:
        return value(one["address"])
    return f"inbox {value(one['inbox'])}" if one["inbox"] else "the whole account"


# ---- people who left


def leavers(items: Sequence[Item]) -> Iterator[RenderableType]:
    """Those over the limit first, as the service orders them."""
    if items:
        wide = table(("User", "Left", "Last access ended", "Hours", "Without an owner meanwhile"), times=(1, 2))
        for one in items:
            cells = (edge(one["left"], in_lines=True), _last_access(one, in_lines=True), _hours(one))
            wide.add_row(_leaver(one, "\n"), *map(Text, (*cells, _orphaned(one, "\n"))))
        yield ByWidth(wide, map(_left, items))


def _left(one: Item) -> RenderableType:
    facts = [
        ("left", edge(one["left"], in_lines=False)),
        ("last access ended", _last_access(one, in_lines=False)),
        ("hours after", _hours(one)),
        ("without an owner", _orphaned(one, "\n")),
    ]
    return block(_leaver(one, "  "), indented(grid(facts)))


def _leaver(one: Item, between: str) -> Text:
    late = f"{between}! too late" if one["over_limit"] else ""
    return Text.assemble((_person(one, set()), "bold"), (late, "bold red"))


def _last_access(one: Item, *, in_lines: bool) -> str:
    if lasting := merged(one["remaining"]):
        names = ", ".join(f"{value(each['can'])} {_place(each)}" for each in lasting[:NAMED])
        return f"not yet: {names}{' and more' if len(lasting) > NAMED else ''}"
    return edge(one["last_access"], in_lines=in_lines) if one["last_access"] else "had none"


def _hours(one: Item) -> str:
    return NOTHING if one["hours"] is None else f"{one['hours']:,.1f}"


def _orphaned(one: Item, between: str) -> str:
    return between.join(map(_orphan, one["orphaned"])) or NOTHING


def _orphan(one: Item) -> str:
    """The address, and who has it since, by whom."""
    if not one["to"]:
        return f"{value(one['address'])} still"
    holder = one["owner"] or (one["inbox"] and f"inbox {one['inbox']}")
    end = f"now of {value(holder)}" if holder else "released"
    return f"{value(one['address'])} until {time_of(one['to']['time'])}, {end}, by {value(one['to']['actor'])}"
