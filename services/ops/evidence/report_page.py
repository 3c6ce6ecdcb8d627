"""The page of a report about access: one file without scripts, for a screen, a telephone and paper."""

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final

from services.ops.audit.access import edge, rule
from services.ops.audit.text import event_name, number, time_of, value
from services.ops.evidence.report_style import CSS
from services.ops.printable import printable

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
# The fields of each kind that the population shows.
SHOWN_FIELDS: Final[Mapping[str, Sequence[str]]] = {
    "user": ("name", "status", "permissions", "seat"),
    "team": ("name", "members"),
    "inbox": ("name", "access", "members", "teams", "archived"),
    "address": ("state", "kind", "owner", "inbox", "aliases"),
}
KINDS: Final = {"user": "Users", "team": "Teams", "inbox": "Inboxes", "address": "Addresses"}

Item = Mapping[str, Any]
Columns = Mapping[str, Callable[[Item], str]]


def page(report: Item) -> str:
    """Return the whole page. Every text of the report is escaped."""
    title = f"Access report: {report['account']}"
    parts = [
        _head(report),
        _proof(report["evidence"], report["unprotected"]),
        *(_population(report["population"], kind) for kind in KINDS),
        _section("Access at the end of the period", report["access"], _of_interval()),
        _section("Granted in the period", report["grants"], _of_interval()),
        _section("Ended in the period", report["ends"], _of_interval()),
        _section("People who left", report["leavers"], LEAVERS),
        _section("Refused attempts, counted", report["refusals"]["groups"], GROUPS),
        _section("Refused attempts", report["refusals"]["attempts"], ATTEMPTS),
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<h1>{_text(title)}</h1>\n"
        f"{''.join(parts)}</body>\n</html>\n"
    )


def _head(report: Item) -> str:
    made = report["made"]
    return _facts(
        {
            "From": _moment(report["from"], "the beginning of the log"),
            "To": _moment(report["to"], "the end of the log"),
            "Made": f"{time_of(made['at'])} by {made['by']}, with {made['with']}",
            "Log": f"{report['log']['id']}, {number(report['log']['position'])} events",
        }
    )


def _moment(moment: int | str | None, none: str) -> str:
    return f"position {moment:,}" if isinstance(moment, int) else moment or none


def _proof(evidence: Item, unprotected: Item) -> str:
    parts = ["<h2>How far it is proven</h2>\n"]
    if evidence["checkpoint"] is None:
        parts.append(_warning(f"Nothing here is proven: {evidence['problem']}"))
    else:
        facts = {
            "Checkpoint": evidence["origin"],
            "Size, root": f"{number(evidence['size'])} events, {evidence['root']}",
            "Last event": f"position {number(evidence['last_event'])}",
        }
        parts.append(_facts(facts))
        if evidence["problem"]:
            parts.append(_warning(evidence["problem"]))
    parts += [_warning(text) for text in _windows(unprotected)]
    return "".join(parts)


def _windows(unprotected: Item) -> list[str]:
    """Return what limits the proof, or the times in it."""
    found = [
        f"{number(one['behind'])} rows of the {value(one['tree'])} are under no checkpoint yet."
        for one in unprotected["proof"] if one["behind"]
    ]  # fmt: skip
    found += [
        f"No longer signed, the {value(one['tree'])}: {one['error']}." for one in unprotected["proof"] if one["error"]
    ]
    if not unprotected["proof"]:
        found.append("No checkpoints are made: nothing proves that the log does not change.")
    if unprotected["clocks"]["events"]:
        places = ", ".join(f"{number(one['from'])} to {number(one['to'])}" for one in unprotected["clocks"]["places"])
        found.append(
            f"Clocks ran back: {number(unprotected['clocks']['events'])} events have an earlier time than one before "
            f"them (positions {places})."
        )
    found += [
        f"Dead letters: {number(one['parked'])} events {event_name(one['type'])} wait, {number(one['given_up'])} were "
        f"given up, positions {number(one['first'])} to {number(one['last'])}."
        for one in unprotected["dead_letters"]
    ]
    return found


def _population(population: Sequence[Item], kind: str) -> str:
    columns: dict[str, Callable[[Item], str]] = {kind.capitalize(): lambda one: value(one["name"])}
    for field in SHOWN_FIELDS[kind]:
        columns[field.capitalize()] = lambda one, field=field: value(one["fields"].get(field))  # type: ignore[misc]
    found = [one for one in population if one["aggregate"] == kind]
    return _section(f"{KINDS[kind]} at the end of the period", found, columns)


def _of_interval() -> Columns:
    return {
        "User": lambda one: value(one["user"]),
        "Place": _place,
        "Could": lambda one: value(one["can"]),
        "Rule": rule,
        "From": lambda one: edge(one["from"], in_lines=True),
        "Until": lambda one: edge(one["to"], in_lines=True) if one["to"] else "it lasts",
    }


def _place(one: Item) -> str:
    if one["address"]:
        return value(one["address"])
    return f"inbox {value(one['inbox'])}" if one["inbox"] else "the whole account"


LEAVERS: Final[Columns] = {
    "User": lambda one: f"{value(one['user'])}{' (too late)' if one['over_limit'] else ''}",
    "Left": lambda one: edge(one["left"], in_lines=True),
    "Last access ended": lambda one: edge(one["last_access"], in_lines=True) if one["last_access"] else "-",
    "Hours": lambda one: "-" if one["hours"] is None else f"{one['hours']:,.1f}",
    "Remaining": lambda one: ", ".join(map(_place, one["remaining"])) or "-",
    "Orphaned": lambda one: ", ".join(value(each["address"]) for each in one["orphaned"]) or "-",
}
GROUPS: Final[Columns] = {
    "Reason": lambda one: value(one["reason"]),
    "Command": lambda one: value(one["command"]),
    "Count": lambda one: number(one["count"]),
    "First": lambda one: time_of(one["first"]),
    "Last": lambda one: time_of(one["last"]),
}
ATTEMPTS: Final[Columns] = {
    "Time": lambda one: time_of(one["time"]),
    "By": lambda one: value(one["actor"]),
    "Attempt": lambda one: value(one["sentence"]),
    "Reason": lambda one: value(one["reason"]),
    "Ordinal": lambda one: number(one["ordinal"]),
}


def _section(title: str, items: Sequence[Item], columns: Columns) -> str:
    head = f"<h2>{_text(title)} <span class=dim>({number(len(items))})</span></h2>\n"
    if not items:
        return f"{head}<p class=dim>None.</p>\n"
    titles = "".join(f"<th scope=col>{_text(name)}</th>" for name in columns)
    rows = "".join(f"<tr>{''.join(_cell(name, show(one)) for name, show in columns.items())}</tr>\n" for one in items)
    return f"{head}<table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"


def _cell(name: str, text: str) -> str:
    return f'<td data-label="{escape(name)}">{_text(text)}</td>'


def _facts(facts: Mapping[str, str]) -> str:
    return f"<dl>{''.join(f'<dt>{_text(name)}</dt><dd>{_text(text)}</dd>' for name, text in facts.items())}</dl>\n"


def _warning(text: str) -> str:
    return f"<p class=warn>{_text(text)}</p>\n"


def _text(plain: str) -> str:
    """Escape a text; line breaks stay."""
    return escape(printable(plain, "\n")).replace("\n", "<br>")
