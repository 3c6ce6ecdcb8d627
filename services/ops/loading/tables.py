"""A table in a file: CSV as spreadsheets, shells and other systems write it, read to its end before it is used.

    table = read_table(path)             # raises the first faults of the file, by line
    table.header                         # ("user", "Email Address [Required]"), as written, stripped
    for line, cells in table.rows():     # 2, {"user": "bob", "Email Address [Required]": "bob@acme.example"}
        ...

An empty or blank cell is absent from `cells`. A row without any cell is skipped and not counted. Line breaks within a
quoted cell become LF. Names of columns are compared by `plain`; the caller decides which columns are allowed.

Supported: UTF-8 with and without a mark, UTF-16 and UTF-32 with one; cells separated by comma, semicolon or tab, or by
the character of a first line `sep=`; a first line `#TYPE` of PowerShell.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from services.ops.loading.encodings import UnreadableFileError, text_of

SEPARATORS: Final = (",", ";", "\t")
# Large enough for a rule or a list of a thousand names; an open quote swallows at most this much.
LARGEST_CELL: Final = 1 << 20
MOST_FAULTS: Final = 10
# The characters of a line without cells.
BLANK: Final = ' \t\r\n,;"'
# Some programs write a second mark behind the first.
MARK: Final = "\ufeff"
NAMES_SEPARATOR: Final = re.compile(r'"?sep=([^"\w ])"?[,;\t]*\s*$', re.IGNORECASE)

Cells = dict[str, str]


class Fault(NamedTuple):
    """A row that cannot be read; `line` counts from 1 in the file."""

    line: int
    what: str


@dataclass(frozen=True)
class Table:
    """A file that was read to its end: `count` rows; `digest` is the SHA-256 of its bytes."""

    path: Path
    header: tuple[str, ...]
    count: int
    digest: str
    encoding: str
    of_lines: Collection[str]

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Read the rows again, one at a time: the first line in the file, and the cells by the header's names.

        Raises:
            UnreadableFileError: the file changed.
        """
        named = [(number, title) for number, title in enumerate(self.header) if title]
        with _Reader(self.path, self.encoding) as reading:
            for row in reading.rows(self.of_lines):
                if isinstance(row, Fault):
                    raise UnreadableFileError(_fault_text(self.path, [row], 1))
                line, cells = row
                yield line, {title: _text(cells[number]) for number, title in named if cells[number].strip()}


def plain(title: str) -> str:
    """The name of a column for comparison: `Visibility Acknowledged ` is `visibility_acknowledged`."""
    return "_".join(title.casefold().split())


def read_table(path: Path, of_lines: Collection[str] = ()) -> Table:
    """Read the whole file once; cells of the columns `of_lines` (plain names) often have several lines.

    Raises:
        UnreadableFileError: it is not text, has no header or one with a column twice, or has ambiguous rows; the
            first of these are named by line.
    """
    text = text_of(path)
    with _Reader(path, text.encoding) as reading:
        faults: list[Fault] = []
        count = faulty = 0
        for row in reading.rows(of_lines):
            if not isinstance(row, Fault):
                count += 1
            elif (faulty := faulty + 1) <= MOST_FAULTS:
                faults.append(row)
        if faults:
            raise UnreadableFileError(_fault_text(path, faults, faulty))
        return Table(path, reading.header, count, text.digest, text.encoding, of_lines)


def _fault_text(path: Path, faults: list[Fault], count: int) -> str:
    lines = "; ".join(f"line {fault.line:,}: {fault.what}" for fault in faults)
    more = f"; and {count - len(faults):,} more" if count > len(faults) else ""
    return f"{path.name} cannot be read, and nothing was started: {lines}{more}"


class _Lines:
    """The lines of a file; `record` has those since the last row, `number` counts all."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self.number = 0
        self.record: list[str] = []

    def __iter__(self) -> Iterator[str]:
        for line in self._file:
            self.number += 1
            self.record.append(line)
            yield line


class _Reader:
    """One pass through a file, its header first."""

    def __init__(self, path: Path, encoding: str) -> None:
        self._path = path
        self._file = path.open(encoding=encoding, newline="")
        self._lines = _Lines(self._file)
        self._ordered = iter(self._lines)
        try:
            first, named = self._first()
            self.separator = named or _separator(first)
            csv.field_size_limit(LARGEST_CELL)
            self._csv = csv.reader(chain([first], self._ordered), delimiter=self.separator, strict=True)
            self.header = self._header()
        except BaseException:
            self._file.close()
            raise
        self._width = len(self.header)
        self._nameless = "" in self.header
        self._blank_quote = f'{self.separator} "'

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _first(self) -> tuple[str, str]:
        """The first line of the header, and the separator if a line before it names one."""
        named = ""
        for line in self._ordered:
            at_top = self._lines.number == 1
            if at_top and (found := NAMES_SEPARATOR.match(line)):
                named = found[1]
            elif line.strip(BLANK) and not (at_top and line.lstrip('"').startswith("#TYPE ")):
                return line, named
        raise UnreadableFileError(f"the header of {self._path.name} has nothing")

    def _header(self) -> tuple[str, ...]:
        line = self._lines.number
        try:
            titles = [" ".join(title.strip(MARK).split()) for title in next(self._csv)]
        except csv.Error as error:
            raise UnreadableFileError(
                f"the header of {self._path.name}, line {line}, is not CSV: {_words(error)}"
            ) from error
        twice = [title for title, count in Counter(map(plain, filter(None, titles))).items() if count > 1]
        if twice:
            names = " and ".join(next(title for title in titles if plain(title) == one) for one in twice)
            raise UnreadableFileError(f"{names} is in the header twice, in line {line} of {self._path.name}: leave one")
        return tuple(titles)

    def rows(self, of_lines: Collection[str]) -> Iterator[tuple[int, list[str]] | Fault]:
        """All rows or their faults; ends at a quote that swallowed lines, since the rest is ambiguous."""
        lines, record = self._lines, self._lines.record
        while True:
            record.clear()
            line = lines.number + 1
            try:
                cells = next(self._csv)
            except StopIteration:
                return
            except csv.Error as error:
                fault: Fault | None = self._torn(error)
            else:
                if not any(cells) or not any(map(str.strip, cells)):
                    continue
                fault = self._fault(line, cells, of_lines)
            if fault is None:
                yield line, cells
            else:
                yield fault
                if len(record) > 1:
                    return

    def _fault(self, line: int, cells: list[str], of_lines: Collection[str]) -> Fault | None:
        if len(cells) != self._width:
            return self._other_count(line, len(cells))
        if self._nameless and (fault := self._without_name(line, cells)):
            return fault
        record = self._lines.record
        if self._blank_quote in record[0] and any(cell[:1] == " " and cell.lstrip()[:1] == '"' for cell in cells):
            return Fault(line, "a blank before a quote keeps the quote from opening a cell: remove the blank")
        return self._swallowed(line, cells, of_lines) if len(record) > 1 else None

    def _torn(self, error: csv.Error) -> Fault:
        record = self._lines.record
        first = self._lines.number - len(record) + 1
        line = first + _opened(record, self.separator)
        words = str(error)
        if "unexpected end" in words:
            return Fault(line, "a quote opens and is not closed before the end of the file")
        if "field larger" in words:
            if len(record) > 1:
                return Fault(line, f"a quote opens and is not closed within {LARGEST_CELL:,} characters")
            return Fault(line, f"a cell has more than {LARGEST_CELL:,} characters")
        if len(record) > 1:
            return Fault(
                line, f"a quote opens and is not closed on its line; in line {self._lines.number:,} {_words(error)}"
            )
        return Fault(line, _words(error))

    def _other_count(self, line: int, count: int) -> Fault:
        record = self._lines.record
        difference = count - self._width
        what = f"{abs(difference)} {'more' if difference > 0 else 'fewer'} cells than the header names"
        if len(record) == 1:
            return Fault(line, what)
        line += _opened(record, self.separator, first=True)
        return Fault(line, f"a quote opens and is not closed on its line; the row then has {what}")

    def _without_name(self, line: int, cells: list[str]) -> Fault | None:
        filled = [number for number, title in enumerate(self.header) if not title and cells[number].strip()]
        if not filled:
            return None
        return Fault(line, f"cell {filled[0] + 1} has a value, and its column has no name in the header")

    def _swallowed(self, line: int, cells: list[str], of_lines: Collection[str]) -> Fault | None:
        """Find a quoted cell that looks like another row.

        Where texts of several lines are usual, the two must share a cell, such as the account or the command.
        """
        record = self._lines.record
        usual = all(plain(title) in of_lines for title, cell in zip(self.header, cells, strict=True) if "\n" in cell)
        for text in record[1:]:
            inner = next(csv.reader([text], delimiter=self.separator), [])
            alike = any(mine == its and mine.strip() for mine, its in zip(cells, inner, strict=False))
            if len(inner) >= self._width > 1 and (alike or not usual):
                opened = line + _opened(record, self.separator, first=True)
                return Fault(opened, "a quote opens and is not closed on its line; the quoted text looks like a row")
        return None


def _text(cell: str) -> str:
    """Line breaks within a cell as LF."""
    return cell.replace("\r\n", "\n") if "\r" in cell else cell


def _words(error: csv.Error) -> str:
    words = str(error)
    return "text follows a closing quote" if "expected after" in words else words


def _separator(header: str) -> str:
    """The one that occurs most in the header, outside of quotes."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=unquoted.count)


def _opened(record: list[str], separator: str, *, first: bool = False) -> int:
    """The line of a record, from 0, on which a quote that spans lines opened: the last such quote, or the first."""
    found, opened_on = 0, 0
    quoted, closed, begins = False, False, True
    for number, line in enumerate(record):
        for character in line:
            if character != '"':
                closed, begins = False, not quoted and character in (separator, "\r", "\n")
            elif quoted:
                quoted, closed = False, True
            elif closed:
                # A doubled quote is a quote character.
                quoted, closed = True, False
            elif begins:
                quoted, opened_on = True, number
        if quoted:
            found = opened_on
            if first:
                return found
    return found
