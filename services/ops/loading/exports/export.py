"""The content of an export: people with their mailboxes, shared mailboxes, and what is left out."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.proxies import Proxies, is_type_name, proxies
from services.ops.loading.tables import read_table


class Person(NamedTuple):
    """`own_id` is their id in the other system; `by_address` when that is only the address."""

    file: str
    line: int
    own_id: str
    name: str
    address: str
    aliases: tuple[str, ...] = ()
    active: bool = True
    provider: str | None = None
    by_address: bool = False


class Shared(NamedTuple):
    """A mailbox that several people open."""

    file: str
    line: int
    own_id: str
    name: str
    address: str
    aliases: tuple[str, ...] = ()
    provider: str | None = None


@dataclass
class Export:
    """All files of an export; `left_out` counts skipped entries by kind; `notes` are printed."""

    rows: int = 0
    # For a list in pages: the ids on these pages, and the number of entries on all pages.
    listed: set[str] = field(default_factory=set)
    total: int = 0
    people: list[Person] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


class Line:
    """A row of a table by the plain names of its columns: `Email Address [Required]` is `emailaddress`."""

    def __init__(self, file: str, line: int, cells: Mapping[str, str]) -> None:
        self.file = file
        self.line = line
        self._cells = cells

    def text(self, *names: str) -> str:
        """The first of the columns with a value."""
        return next((text for name in names if (text := self._cells.get(name, "").strip())), "")

    def switch(self, name: str) -> bool | None:
        """None when the cell is empty.

        Raises:
            UnreadableFileError: it is neither true nor false.
        """
        word = self.text(name).lower()
        if word in ("", "true", "yes", "false", "no"):
            return {"": None, "true": True, "yes": True}.get(word, False)
        raise UnreadableFileError(
            f"line {self.line} of {self.file} has {self.text(name)!r} in {name}; it must be true or false"
        )

    def proxies(self, *names: str) -> Proxies:
        """
        Raises:
            UnreadableFileError: the cell holds the name of a type in place of addresses.
        """
        text = self.text(*names)
        if is_type_name(text):
            raise UnreadableFileError(
                f"line {self.line} of {self.file} has {text} where its addresses should be, as Export-Csv writes lists:"
                " export them joined, Select-Object *,@{n='EmailAddresses';e={$_.EmailAddresses -join ';'}}"
                " -ExcludeProperty EmailAddresses"
            )
        return proxies(text)


def lines_of(path: Path, needed: Mapping[str, tuple[str, ...]]) -> tuple[frozenset[str], Iterator[Line]]:
    """The columns of a table and its rows; `needed` are the required columns with their possible names.

    Raises:
        UnreadableFileError: a column is missing, or the file is not a table.
    """
    table = read_table(path)
    words = {title: word_of(title) for title in table.header if title}
    there = frozenset(words.values())
    missing = [title for title, names in needed.items() if not there.intersection(names)]
    if missing:
        raise UnreadableFileError(f"{path.name} is not such an export: its header lacks {' and '.join(missing)}")
    twice = [word for word, count in Counter(words.values()).items() if count > 1]
    if twice:
        titles = " and ".join(title for title, word in words.items() if word in twice)
        raise UnreadableFileError(f"{path.name} has two columns with one name: {titles}. Remove one")
    return there, (
        Line(path.name, line, {words[title]: text for title, text in cells.items()}) for line, cells in table.rows()
    )


def word_of(title: str) -> str:
    """The name of a column without remarks in brackets, blanks and capitals."""
    return "".join(title.partition("[")[0].casefold().split()).replace("_", "")


def first_filled(*names: str) -> str:
    """The first name that is not blank."""
    return next((name for name in names if name.strip()), "").strip()
