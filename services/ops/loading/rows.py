"""A file of commands, row by row: JSON lines, or CSV with the same names in its header.

    {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "bob@acme.example", "owner": "bob"}

    account,command,actor,address,owner
    acme,ConnectPersonal,bob,bob@acme.example,bob

In CSV an empty or blank cell is absent, and every other one is read by its field's type: `true` and `false` in any
capitals where the field is a switch, whole numbers, lists with `;` between their parts (`;` alone is the empty list),
JSON where the field is an object. What its field cannot take, and what stands in a column that is none of the
command's, makes the row a refused one.

Names that begin with `_` are notes and are not sent, so that what was refused can be loaded again.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.ops.loading import cells
from services.ops.loading.encodings import Text, Unreadable, text_of
from services.ops.loading.tables import Cells, Table, plain, read_table
from services.ops.strict_json import NamedTwice, parsed
from shared.language.subjects import TOKEN

NOTE: Final = "_"
# A note that keeps what stood there when it could not be read.
TEXT: Final = "_text"
OWN: Final = ("account", "command")
OF_JSON: Final = frozenset((".jsonl", ".ndjson"))
OF_TABLES: Final = frozenset((".csv", ".tsv"))


@dataclass(frozen=True)
class Row:
    """One command. `line` is its first one in the file, from 1; `trouble` says why it cannot be sent."""

    line: int
    account: str = ""
    command: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""

    def again(self) -> dict[str, Any]:
        """As a line of JSON that can be loaded again: under a new id, since this one has its answer."""
        kept = {name: value for name, value in self.fields.items() if name != "command_id"}
        return {"account": self.account, "command": self.command, **kept}


@dataclass(frozen=True)
class Rows:
    """A file that was read to its end: it has `count` rows, `digest` is of its bytes."""

    count: int
    digest: str
    _again: Callable[[], Iterator[Row]]
    _path: Path
    _stamp: tuple[int, ...]

    def __iter__(self) -> Iterator[Row]:
        """Every row in order, read anew.

        Raises:
            Unreadable: the file is no longer what it was; no row of another file is given for one of this.
        """
        rows, stamp = self._again(), self._stamp
        while True:
            try:
                row = next(rows, None)
            finally:
                # Before what a row of another file would say.
                stamp = self._as_it_was(stamp)
            if row is None:
                return
            yield row

    def _as_it_was(self, stamp: tuple[int, ...]) -> tuple[int, ...]:
        now = _stamp(self._path)
        if now != stamp and not (now and text_of(self._path).digest == self.digest):
            raise Unreadable(
                f"{self._path.name} was changed while it was loaded: put it back as it was and the same command line"
                " goes on, or begin again with --anew"
            )
        return now


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes with a file; nothing of one that is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read(path: Path, account: str | None = None, actor: str | None = None) -> Rows:
    """Read a whole file; `account` and `actor` are those of rows that name none.

    Raises:
        Unreadable: it is neither .jsonl nor .csv, no UTF-8, or a CSV whose header or rows cannot be told.
    """
    given = {"account": account or "", "actor": actor or ""}
    stamp = _stamp(path)
    ending = path.suffix.lower()
    if ending in OF_JSON:
        text = text_of(path)
        count = 0
        for number, line in _lines(path, text):
            if not count and (line == "[" or line.startswith("[{")):
                raise Unreadable(f"line {number} of {path.name} begins a list: write one JSON object a line, no list")
            count += 1
        return Rows(count, text.digest, lambda: _of_json(path, text, given), path, stamp)
    if ending in OF_TABLES:
        table = read_table(path, cells.OF_LINES)
        _require_own(table, given)
        return Rows(table.count, table.digest, lambda: _of_table(table, given), path, stamp)
    raise Unreadable(f"{path.name} ends in {ending or 'nothing'}: name it .jsonl or .csv")


# ---- JSON lines


def _lines(path: Path, text: Text) -> Iterator[tuple[int, str]]:
    with path.open(encoding=text.encoding) as file:
        for number, line in enumerate(file, 1):
            if stripped := line.strip():
                yield number, stripped


def _of_json(path: Path, text: Text, given: Mapping[str, str]) -> Iterator[Row]:
    try:
        for number, line in _lines(path, text):
            yield _json_row(number, line, given)
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path.name} was changed while it was read") from error


def _json_row(number: int, line: str, given: Mapping[str, str]) -> Row:
    kept = {TEXT: line}
    try:
        told = parsed(line)
    except NamedTwice as error:
        return Row(number, fields=kept, trouble=str(error))
    except ValueError as error:
        return Row(number, fields=kept, trouble=f"not JSON: {error}")
    if not isinstance(told, dict):
        return Row(number, fields=kept, trouble="not a JSON object: each line is one, such as {…}")
    return _row(number, {name: value for name, value in told.items() if value is not None}, given)


# ---- tables


def _require_own(table: Table, given: Mapping[str, str]) -> None:
    names = [plain(title) for title in table.header]
    missing = [name for name in OWN if name not in names and not given.get(name)]
    if missing:
        has = ", ".join(filter(None, names))
        raise Unreadable(f"the header of {table.path.name} lacks {' and '.join(missing)}; it has {has or 'nothing'}")


def _of_table(table: Table, given: Mapping[str, str]) -> Iterator[Row]:
    names = {title: plain(title) for title in table.header}
    for line, row in table.rows():
        yield _table_row(line, {names[title]: cell for title, cell in row.items()}, given)


def _table_row(line: int, row: Cells, given: Mapping[str, str]) -> Row:
    own = {name: row.pop(name).strip() for name in OWN if name in row}
    fields, faults = cells.read(
        own.get("command", ""), {name: cell for name, cell in row.items() if not name.startswith(NOTE)}
    )
    return _row(line, own | fields, given, "; ".join(faults))


def _row(line: int, told: Mapping[str, Any], given: Mapping[str, str], trouble: str = "") -> Row:
    fields = {name: value for name, value in told.items() if not name.startswith(NOTE)}
    account, command = (fields.pop(name, given.get(name) or "") for name in OWN)
    if given["actor"]:
        fields.setdefault("actor", given["actor"])
    if not isinstance(account, str) or not isinstance(command, str) or not (account and command):
        return Row(line, str(account), str(command), fields, "account and command must be named")
    if not TOKEN.fullmatch(account) or not TOKEN.fullmatch(command):
        return Row(line, account, command, fields, "account or command cannot be part of a subject")
    return Row(line, account, command, fields, trouble)
