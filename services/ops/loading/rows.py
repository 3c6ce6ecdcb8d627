"""A file of commands, row by row: JSON lines, or CSV with the same names in its header.

    {"account": "acme", "command": "ConnectPersonal", "actor": "bob", "address": "bob@acme.example", "owner": "bob"}

    account,command,actor,address,owner
    acme,ConnectPersonal,bob,bob@acme.example,bob

In CSV an empty cell is absent, `true` and `false` are what they say where the field is a switch, and the parts of a
list are separated by `;`. Names that begin with `_` are notes and are not sent, so that what was refused can be loaded
again.
"""

import codecs
import csv
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from services.ops.loading.encodings import Unreadable
from services.ops.strict_json import parsed
from shared.language.commands import COMMANDS
from shared.language.subjects import TOKEN

NOTE: Final = "_"
LIST_SEPARATOR: Final = ";"
# Notes that keep what stood there when it could not be read.
TEXT: Final = "_text"
CELLS: Final = "_cells"
OWN: Final = ("account", "command")


@dataclass(frozen=True)
class Row:
    """One command. `line` counts from 1, a CSV's header is line 1; `trouble` says why it cannot be sent."""

    line: int
    account: str = ""
    command: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    trouble: str = ""

    def again(self) -> dict[str, Any]:
        """As a line of JSON that can be loaded again: under a new id, since this one has its answer."""
        kept = {name: value for name, value in self.fields.items() if name != "command_id"}
        return {"account": self.account, "command": self.command, **kept}


def rows_of(path: Path, account: str | None = None, actor: str | None = None) -> Iterator[Row]:
    """Every row of the file in order; `account` and `actor` are those of rows that name none.

    Raises:
        Unreadable: it is neither .jsonl nor .csv, no UTF-8, or a CSV without a usable header.
    """
    given = {"account": account or "", "actor": actor or ""}
    try:
        match path.suffix.lower():
            case ".jsonl" | ".ndjson":
                yield from _of_json(path, given)
            case ".csv":
                yield from _of_csv(path, given)
            case other:
                raise Unreadable(f"{path.name} ends in {other or 'nothing'}: name it .jsonl or .csv")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path.name} is not UTF-8: save it as UTF-8") from error


def count_of(path: Path) -> int:
    """About how many rows there are; empty lines, and line breaks in quotes, count too."""
    with path.open("rb") as file:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    return max(lines - (path.suffix.lower() == ".csv"), 1)


def digest_of(path: Path, account: str | None = None) -> str:
    """Of the file's bytes, all of which were looked at.

    Raises:
        Unreadable: it is neither .jsonl nor .csv, no UTF-8, or a CSV without a usable header.
    """
    digest, decoder, at = hashlib.sha256(), codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            _decode(decoder, path, chunk, at)
            at += len(chunk)
        _decode(decoder, path, b"", at, final=True)
    # How it is named, and a CSV's header.
    next(rows_of(path, account), None)
    return digest.hexdigest()


def _decode(decoder: codecs.IncrementalDecoder, path: Path, chunk: bytes, at: int, *, final: bool = False) -> None:
    """`at` is where the chunk begins, in bytes."""
    begun = len(decoder.getstate()[0])
    try:
        decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        byte = at - begun + error.start
        raise Unreadable(f"{path.name} is not UTF-8 at byte {byte:,}: save it as UTF-8") from error


def _of_json(path: Path, given: Mapping[str, str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                told = parsed(text)
            except ValueError as error:
                yield Row(line, fields={TEXT: text.strip()}, trouble=f"not JSON: {error}")
                continue
            if isinstance(told, dict):
                yield _row(line, told, given)
            else:
                yield Row(line, fields={TEXT: text.strip()}, trouble="not a JSON object")


def _of_csv(path: Path, given: Mapping[str, str]) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            names = reader.fieldnames or ()
        except csv.Error as error:
            raise Unreadable(f"the header of {path.name} is not CSV: {error}") from error
        missing = [name for name in OWN if name not in names and not given.get(name)]
        if missing:
            raise Unreadable(
                f"the header of {path.name} lacks {' and '.join(missing)}; it has {', '.join(names) or 'nothing'}"
            )
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # DictReader's own number is the one of the row before.
                yield Row(reader.reader.line_num, trouble=f"not CSV: {error}")
                continue
            yield _csv_row(reader.line_num, cells, given)


def _csv_row(line: int, cells: Mapping[str | None, Any], given: Mapping[str, str]) -> Row:
    if None in cells:
        there = {str(name): value for name, value in cells.items() if name is not None}
        return Row(
            line,
            there.pop("account", "") or "",
            there.pop("command", "") or "",
            {**there, CELLS: cells[None]},
            f"{len(cells[None])} more cells than the header names",
        )
    told = {str(name): value for name, value in cells.items() if value not in (None, "")}
    fields = COMMANDS[told["command"]].model_fields if told.get("command") in COMMANDS else {}
    return _row(line, {name: _typed(value, fields.get(name)) for name, value in told.items()}, given)


def _typed(text: str, declared: Any) -> Any:
    """A cell as the command's field has it; as it stands where it cannot be that, for the service to refuse."""
    if declared is None:
        return text
    adapter = _adapter(declared)
    for value in (text, [part.strip() for part in text.split(LIST_SEPARATOR) if part.strip()], _json(text)):
        try:
            adapter.validate_json(json.dumps(value), strict=True)
        except ValidationError:
            continue
        return value
    return text


@cache
def _adapters() -> dict[int, TypeAdapter[Any]]:
    return {}


def _adapter(declared: Any) -> TypeAdapter[Any]:
    """Of a field of a message, made once: the messages are there for ever."""
    found = _adapters().get(id(declared))
    if found is None:
        found = _adapters()[id(declared)] = TypeAdapter(declared.annotation)
    return found


def _json(text: str) -> Any:
    try:
        return parsed(text)
    except ValueError:
        return None


def _row(line: int, told: Mapping[str, Any], given: Mapping[str, str]) -> Row:
    fields = {name: value for name, value in told.items() if not name.startswith(NOTE) and value is not None}
    account, command = (fields.pop(name, given.get(name) or "") for name in OWN)
    if given["actor"]:
        fields.setdefault("actor", given["actor"])
    if not isinstance(account, str) or not isinstance(command, str) or not (account and command):
        return Row(line, str(account), str(command), fields, "account and command must be named")
    if not TOKEN.fullmatch(account) or not TOKEN.fullmatch(command):
        return Row(line, account, command, fields, "account or command cannot be part of a subject")
    return Row(line, account, command, fields)
