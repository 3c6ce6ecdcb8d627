"""A file of commands, row by row: JSON lines, or CSV with the same names in its header.

    {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "bob@acme.example", "owner": "bob"}

    account,command,actor,address,owner
    acme,ConnectPersonal,bob,bob@acme.example,bob

In CSV an empty or blank cell is absent. Every other cell is read by the type of its field: `true` and `false` in any
case for a switch, whole numbers, lists separated by `;` (`;` alone is the empty list), JSON for an object. A value that
its field does not take, or in a column that the command does not have, makes the row a refused one.

Names that begin with `_` are notes and are not sent, so that a file of refused rows can be loaded.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.ops.loading import cells
from services.ops.loading.encodings import Text, UnreadableFileError, text_of
from services.ops.loading.tables import Cells, Table, plain, read_table
from services.ops.strict_json import DuplicateKeyError, parsed
from shared.language.subjects import TOKEN

NOTE: Final = "_"
# The note that holds an unreadable line.
TEXT: Final = "_text"
OWN: Final = ("account", "command")
OF_JSON: Final = frozenset((".jsonl", ".ndjson"))
OF_TABLES: Final = frozenset((".csv", ".tsv"))


@dataclass(frozen=True)
class Row:
    """One command. `line` is its first line in the file, from 1; `error` says why it cannot be sent."""

    line: int
    account: str = ""
    command: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""

    def to_reload(self) -> dict[str, Any]:
        """The row as a line of JSON to load, without its command id: that one has its answer."""
        fields = {name: value for name, value in self.fields.items() if name != "command_id"}
        return {"account": self.account, "command": self.command, **fields}


@dataclass(frozen=True)
class Rows:
    """A file that was read to its end: `count` rows; `digest` is the SHA-256 of its bytes, in hexadecimal."""

    count: int
    digest: str
    _reread: Callable[[], Iterator[Row]]
    _path: Path
    _stamp: tuple[int, ...]

    def __iter__(self) -> Iterator[Row]:
        """Read every row again, in order.

        Raises:
            UnreadableFileError: the file changed since it was counted; no row of the changed file is returned.
        """
        rows, stamp = self._reread(), self._stamp
        while True:
            try:
                row = next(rows, None)
            finally:
                # Also before an error in a row of the changed file.
                stamp = self._require_unchanged(stamp)
            if row is None:
                return
            yield row

    def _require_unchanged(self, stamp: tuple[int, ...]) -> tuple[int, ...]:
        now = _stamp(self._path)
        if now != stamp and not (now and text_of(self._path).digest == self.digest):
            raise UnreadableFileError(
                f"{self._path.name} was changed while it was loaded: restore it and run the same command to resume,"
                " or start over with --anew"
            )
        return now


def _stamp(path: Path) -> tuple[int, ...]:
    """The file's device, inode, size and time of change; empty for a removed file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def read(path: Path, account: str | None = None, actor: str | None = None) -> Rows:
    """Read a whole file; `account` and `actor` are for rows without one.

    Raises:
        UnreadableFileError: it is neither .jsonl nor .csv, not UTF-8, or a CSV with an ambiguous header or row.
    """
    defaults = {"account": account or "", "actor": actor or ""}
    stamp = _stamp(path)
    ending = path.suffix.lower()
    if ending in OF_JSON:
        text = text_of(path)
        count = 0
        for number, line in _lines(path, text):
            if not count and (line == "[" or line.startswith("[{")):
                raise UnreadableFileError(f"line {number} of {path.name} begins a list: write one JSON object a line")
            count += 1
        return Rows(count, text.digest, lambda: _of_json(path, text, defaults), path, stamp)
    if ending in OF_TABLES:
        table = read_table(path, cells.OF_LINES)
        _require_own(table, defaults)
        return Rows(table.count, table.digest, lambda: _of_table(table, defaults), path, stamp)
    raise UnreadableFileError(f"{path.name} ends in {ending or 'nothing'}: name it .jsonl or .csv")


# ---- JSON lines


def _lines(path: Path, text: Text) -> Iterator[tuple[int, str]]:
    with path.open(encoding=text.encoding) as file:
        for number, line in enumerate(file, 1):
            if stripped := line.strip():
                yield number, stripped


def _of_json(path: Path, text: Text, defaults: Mapping[str, str]) -> Iterator[Row]:
    try:
        for number, line in _lines(path, text):
            yield _json_row(number, line, defaults)
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"{path.name} was changed while it was read") from error


def _json_row(number: int, line: str, defaults: Mapping[str, str]) -> Row:
    as_read = {TEXT: line}
    try:
        values = parsed(line)
    except DuplicateKeyError as error:
        return Row(number, fields=as_read, error=str(error))
    except ValueError as error:
        return Row(number, fields=as_read, error=f"not JSON: {error}")
    if not isinstance(values, dict):
        return Row(number, fields=as_read, error="not a JSON object: write one object a line, such as {…}")
    return _row(number, {name: value for name, value in values.items() if value is not None}, defaults)


# ---- tables


def _require_own(table: Table, defaults: Mapping[str, str]) -> None:
    names = [plain(title) for title in table.header]
    missing = [name for name in OWN if name not in names and not defaults.get(name)]
    if missing:
        header = ", ".join(filter(None, names)) or "nothing"
        raise UnreadableFileError(f"the header of {table.path.name} lacks {' and '.join(missing)}; it has {header}")


def _of_table(table: Table, defaults: Mapping[str, str]) -> Iterator[Row]:
    names = {title: plain(title) for title in table.header}
    for line, row in table.rows():
        yield _table_row(line, {names[title]: cell for title, cell in row.items()}, defaults)


def _table_row(line: int, row: Cells, defaults: Mapping[str, str]) -> Row:
    own = {name: row.pop(name).strip() for name in OWN if name in row}
    fields, faults = cells.read(
        own.get("command", ""), {name: cell for name, cell in row.items() if not name.startswith(NOTE)}
    )
    return _row(line, own | fields, defaults, "; ".join(faults))


def _row(line: int, values: Mapping[str, Any], defaults: Mapping[str, str], error: str = "") -> Row:
    fields = {name: value for name, value in values.items() if not name.startswith(NOTE)}
    account, command = (fields.pop(name, defaults.get(name) or "") for name in OWN)
    if defaults["actor"]:
        fields.setdefault("actor", defaults["actor"])
    if not isinstance(account, str) or not isinstance(command, str) or not (account and command):
        return Row(line, str(account), str(command), fields, "account and command are required")
    if not TOKEN.fullmatch(account) or not TOKEN.fullmatch(command):
        return Row(line, account, command, fields, "account or command cannot be part of a subject")
    return Row(line, account, command, fields, error)
