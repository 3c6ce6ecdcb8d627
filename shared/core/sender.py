r"""The sender in the header of a mail: any text, read as far as possible.

Every mail has to go somewhere, so nothing here refuses. The result has two uses: the key that keeps one person for a
sender, and the names that a never-log list may have for the sender.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import idna

from shared.core.address import ADDRESS_OCTETS, DOMAIN_OCTETS, LABEL_OCTETS, InvalidAddressError, canonical

# A header may name several; a text made to be long is not read to its end.
MOST_ADDRESSES = 16
MOST_PARTS = 64
# The length that is read of an address, on either side of the @.
LONGEST_SIDE = 1_000

_AT_SIGNS = str.maketrans({"\uff20": "@", "\ufe6b": "@"})
# An open quote, comment or bracket ends with the text: each pattern reads a character once.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"?', re.DOTALL)
_COMMENT = re.compile(r"\([^()]*+\)")
_NESTED_COMMENTS = 3
_SEPARATOR = re.compile(r"[,;]")
_AFTER_LOCAL_PART = re.compile(r"[\s<>()\[\],;:\\\"]")
_AFTER_DOMAIN = re.compile(r"[\s<>()\[\],;:\\\"/]")
_DOTS = re.compile("[.\u3002\uff0e\uff61]+")
_AROUND_A_DOMAIN = ".'`!?*\u3002\uff0e\uff61"


@dataclass(frozen=True, slots=True)
class Sender:
    """`key` is the canonical address where the text has one, else the text as given.

    `names` are the sender's possible entries in a never-log list: each address, its domain, the domains above.
    """

    key: str
    names: frozenset[str]

    def is_in(self, never_log: Iterable[str]) -> bool:
        """Whether a never-log list, in canonical form, names the sender, its domain or a domain above."""
        return not self.names.isdisjoint(never_log)


def read_sender(text: str) -> Sender:
    """Read a sender from any text; the work is bounded by its length."""
    if (whole := _canonical_or_none(text)) is not None:
        return Sender(whole, _names_of(whole))
    found = list(islice(_addresses(text), MOST_ADDRESSES))
    names = frozenset().union(*(_names_of(address) for address in found))
    address = _canonical_or_none(found[0]) if len(found) == 1 else None
    return Sender(text if address is None else address, names)


def _canonical_or_none(text: str) -> str | None:
    try:
        return canonical(text).address
    except InvalidAddressError:
        return None


def _names_of(address: str) -> frozenset[str]:
    """The address, its domain, and the domains above; an entry is no longer than an address may be."""
    domain = address.rpartition("@")[2]
    labels = domain[-ADDRESS_OCTETS:].split(".")
    above = (".".join(labels[start:]) for start in range(len(labels)))
    return frozenset(name for name in (address, domain, *above) if name)


# ---- several addresses with names, comments and accidents around them


def _addresses(text: str) -> Iterator[str]:
    """The addresses in a header, as `local@domain` in lower case; the local part may be empty."""
    text = text.translate(_AT_SIGNS)
    if "@" not in text:
        return
    found = list(islice(_addresses_in(_without_names(text)), MOST_ADDRESSES))
    # An open quote has hidden the address: read the text without quotes.
    yield from found or _addresses_in(text.replace('"', " "))


def _without_names(text: str) -> str:
    """The text without quoted names and comments; a quoted local part loses its quotes only."""

    def unquoted(found: re.Match[str]) -> str:
        if text[found.end() : found.end() + 1] != "@":
            return " "
        # A character that only quotes allow must not end a shorter, different local part.
        return _AFTER_LOCAL_PART.sub("\ufffd", found[1])

    text = _QUOTED.sub(unquoted, text)
    for _ in range(_NESTED_COMMENTS):
        text = _COMMENT.sub(" ", text)
    return text


def _addresses_in(text: str) -> Iterator[str]:
    for part in islice((part for part in _SEPARATOR.split(text) if "@" in part), MOST_PARTS):
        inside = part.rpartition("<")[2].partition(">")[0]
        bare = (inside if "@" in inside else part).strip("@ \t\r\n")
        if bare[:1] == "'" == bare[-1:]:
            bare = bare[1:-1]
        local, _, domain = bare.rpartition("@")
        if domain := _domain(domain):
            yield f"{_local_part(local)}@{domain}"


def _local_part(text: str) -> str:
    shown = "".join(filter(str.isprintable, text[-LONGEST_SIDE:].rstrip()))
    return _AFTER_LOCAL_PART.split(shown)[-1].lower()


def _domain(text: str) -> str:
    """Each label in canonical form as far as it has one; empty ones are left out, as at the end of a name."""
    text = _AFTER_DOMAIN.split(text.lstrip(), maxsplit=1)[0][-LONGEST_SIDE:].strip(_AROUND_A_DOMAIN)
    return ".".join(label for label in map(_label, _DOTS.split(text)[-DOMAIN_OCTETS // 2 :]) if label)


def _label(text: str) -> str:
    if not text.isascii() and len(text) <= LABEL_OCTETS:
        try:
            return idna.alabel(idna.uts46_remap(text, std3_rules=True)).decode("ascii")
        except UnicodeError:
            pass
    return "".join(filter(str.isprintable, text)).lower()
