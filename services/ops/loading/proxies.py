"""The address list of one mailbox in a directory: `SMTP:bob@acme.example;smtp:b.baker@acme.example;X400:…`.

`SMTP:` marks the primary address and `smtp:` an alias (Microsoft Learn, "How the proxyAddresses attribute is
populated"). Microsoft 365 separates them by `+`, Exchange by a blank, a comma or a semicolon; the values of X.400 and
X.500 hold those characters too, so only one in front of a type and its colon separates.
"""

import re
from collections import Counter
from typing import NamedTuple

TYPED = re.compile(r"(?:^|[\s,;+|])\s*([A-Za-z][A-Za-z0-9]{0,15}):")
UNTYPED_SEPARATOR = re.compile(r"[\s,;|]+")
# Export-Csv writes a type in place of a list: System.String[], Microsoft.Exchange.Data.ProxyAddress…
TYPE_NAME = re.compile(r"(System|Microsoft|Deserialized)(\.[A-Za-z]+)+(`\d)?(\[.*\])?")


class Proxies(NamedTuple):
    """The primary addresses and the aliases, in order; `others` counts entries of other types, by type."""

    primaries: tuple[str, ...]
    aliases: tuple[str, ...]
    others: Counter[str]


def is_typed(text: str) -> bool:
    """Whether the list begins with a type, such as `SMTP:`."""
    return TYPED.match(text.strip()) is not None


def is_type_name(text: str) -> bool:
    """Whether the cell holds the name of a .NET type in place of the list."""
    return "@" not in text and TYPE_NAME.fullmatch(text.strip()) is not None


def proxies(text: str) -> Proxies:
    """Read a list of addresses; those without a type are aliases."""
    marks = list(TYPED.finditer(text))
    primaries: list[str] = []
    aliases = [one for one in UNTYPED_SEPARATOR.split(text[: marks[0].start()] if marks else text) if one]
    others: Counter[str] = Counter()
    for number, mark in enumerate(marks):
        end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
        kind, value = mark[1], text[mark.end() : end].strip(" \t\r\n,;+|")
        if not value:
            continue
        if kind == "SMTP":
            primaries.append(value)
        elif kind.lower() == "smtp":
            aliases.append(value)
        else:
            others[kind.upper()] += 1
    return Proxies(tuple(primaries), tuple(aliases), others)
