"""What a client asked and heard, on record as it happens: a history is a file of JSON lines, one file per client.

Three kinds of lines. An invocation is with the operating system before its request goes out:

    {"line": "invoked", "client": 3, "id": "<command id>", "account": "acme", "command": "ConnectPersonal",
     "actor": "bob", "fields": {"address": …}, "at": 81276312…}

and an ending follows when the client is through with the command:

    {"line": "ended", "id": "<command id>", "at": 81279…, "tries": [{"begin": …, "end": …, "how": "timeout"},
     {"begin": …, "end": …, "how": "reply", "raw": "{…}", "error": [409, "ADDRESS_ALREADY_PERSONAL"]}]}

A question to a view stands on record when it is over, whatever came of it:

    {"line": "asked", "client": 3, "account": "acme", "question": "Address", "address": …, "at_least": 1042,
     "as_of": null, "begin": …, "end": …, "how": "reply", "raw": "{…}", "error": null}

`raw` is the reply word for word and `error` its micro headers, or null. Times are nanoseconds of `time.monotonic_ns`,
one clock for all processes of a machine. A client that is killed leaves invocations without an ending: their outcome is
unknown, like that of a command given up, and is neither success nor failure.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import orjson

How = Literal["reply", "BUSY", "VIEW_BEHIND", "HISTORY_BEHIND", "timeout", "bus error"]
Outcome = Literal["accepted", "unchanged", "refused", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("accepted", "unchanged", "refused")


class BrokenHistoryError(Exception):
    """A file holds what no client writes, other than a torn last line; says where."""


class Answer(NamedTuple):
    """A reply word for word; `error` is (code, name) of its micro headers."""

    raw: bytes
    error: tuple[int, str] | None = None


class Try(NamedTuple):
    """One request, of a command under its id; only "timeout" and "bus error" bear no answer."""

    begin: int
    end: int
    how: How
    answer: Answer | None = None


@dataclass
class Command:
    """One command of one client. `ended` is None when the client was killed before it was through with it."""

    client: int
    id: str
    account: str
    name: str
    actor: str
    fields: Mapping[str, Any]
    invoked: int
    ended: int | None = None
    tries: Sequence[Try] = ()

    @cached_property
    def _answered(self) -> Try | None:
        return next((one for one in self.tries if one.how == "reply"), None)

    @property
    def answer(self) -> Answer | None:
        """The first one that is a decision."""
        return self._answered.answer if self._answered else None

    @property
    def completed(self) -> int | None:
        """When the answer came; None when the outcome is unknown, and it may still take effect."""
        return self._answered.end if self._answered and self.outcome != "unknown" else None

    @cached_property
    def reply(self) -> Mapping[str, Any]:
        """The answer's fields; none when there is no answer, or it is no JSON object."""
        return _object(self.answer)

    @cached_property
    def outcome(self) -> Outcome:
        told = self.reply.get("outcome")
        return next((outcome for outcome in OUTCOMES if outcome == told), "unknown")

    @property
    def reason(self) -> str | None:
        """Why it was refused."""
        return self.reply.get("reason")

    @property
    def position(self) -> int:
        """Of an accepted command its last event's, of an unchanged one the log's end when it was decided."""
        position: int = self.reply["position"]
        return position

    @property
    def address(self) -> str | None:
        return self.fields.get("address")


@dataclass(frozen=True)
class Question:
    """One question about an address, asked once. `at_least` is the position of an answer that the client had before.

    `as_of` is the position of the past that it is about; None of a question about the present.
    """

    client: int
    account: str
    name: str
    address: str
    at_least: int
    asked: Try
    as_of: int | None = None

    @cached_property
    def reply(self) -> Mapping[str, Any]:
        """The answer's fields; none when there is no answer, or it is no JSON object."""
        return _object(self.asked.answer)

    @property
    def position(self) -> int:
        """Of the log, which the answer is as of."""
        position: int = self.reply["position"]
        return position


def _object(answer: Answer | None) -> Mapping[str, Any]:
    try:
        told = orjson.loads(answer.raw) if answer else {}
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


class Recorder:
    """Writes the history of one client; an invocation is with the operating system when `invoked` returns."""

    def __init__(self, path: Path, client: int) -> None:
        self._client = client
        self._file = path.open("xb")

    def invoked(self, id_: str, account: str, name: str, actor: str, fields: Mapping[str, Any]) -> None:
        told = {"client": self._client, "id": id_, "account": account, "command": name, "actor": actor}
        self._write({"line": "invoked", **told, "fields": fields, "at": time.monotonic_ns()})

    def ended(self, id_: str, tries: Iterable[Try]) -> None:
        """After this, nothing more is done about the command."""
        told = [_try_as_line(one) for one in tries]
        self._write({"line": "ended", "id": id_, "at": time.monotonic_ns(), "tries": told})

    def asked(self, account: str, name: str, address: str, at_least: int, asked: Try, as_of: int | None = None) -> None:
        about = {"account": account, "question": name, "address": address, "at_least": at_least, "as_of": as_of}
        self._write({"line": "asked", "client": self._client, **about, **_try_as_line(asked)})

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: Mapping[str, Any]) -> None:
        self._file.write(orjson.dumps(line) + b"\n")
        self._file.flush()


def read(paths: Iterable[Path]) -> list[Command]:
    """Every command of these files, in the order of their invocations.

    Raises:
        BrokenHistoryError: a line before the last is unreadable, an id comes twice, or an end has no beginning.
    """
    commands: dict[str, Command] = {}
    for path in paths:
        for number, line in enumerate(_lines(path), start=1):
            try:
                _take(line, commands)
            except (KeyError, ValueError, TypeError) as error:
                raise BrokenHistoryError(f"{path}:{number}: {error!r}") from error
    return sorted(commands.values(), key=lambda command: command.invoked)


def questions(paths: Iterable[Path]) -> list[Question]:
    """Every question of these files.

    Raises:
        BrokenHistoryError: as `read`.
    """
    return [_question(line) for path in paths for line in _lines(path) if line["line"] == "asked"]


def _question(line: Mapping[str, Any]) -> Question:
    client, account, name = line["client"], line["account"], line["question"]
    # Histories of earlier runs have questions about the present only.
    as_of = line.get("as_of")
    return Question(client, account, name, line["address"], line["at_least"], _try_from_line(line), as_of)


def _lines(path: Path) -> list[Mapping[str, Any]]:
    *whole, torn = path.read_bytes().split(b"\n")
    lines = []
    for number, line in enumerate(whole, start=1):
        try:
            lines.append(orjson.loads(line))
        except orjson.JSONDecodeError as error:
            raise BrokenHistoryError(f"{path}:{number}: {error}") from error
    del torn  # empty, or of a client that was killed while it wrote: its command's outcome is unknown
    return lines


def _take(line: Mapping[str, Any], commands: dict[str, Command]) -> None:
    if line["line"] == "asked":
        return
    id_ = line["id"]
    if line["line"] == "invoked":
        if id_ in commands:
            raise ValueError(f"the command {id_} is given twice")
        words = line["account"], line["command"], line["actor"]
        commands[id_] = Command(line["client"], id_, *words, line["fields"], line["at"])
    else:
        command = commands[id_]
        command.ended = line["at"]
        command.tries = [_try_from_line(one) for one in line["tries"]]


def _try_as_line(one: Try) -> dict[str, Any]:
    line: dict[str, Any] = {"begin": one.begin, "end": one.end, "how": one.how}
    if one.answer is not None:
        line |= {"raw": one.answer.raw.decode("utf-8", "backslashreplace"), "error": one.answer.error}
    return line


def _try_from_line(line: Mapping[str, Any]) -> Try:
    if "raw" not in line:
        return Try(line["begin"], line["end"], line["how"])
    error = line["error"]
    answer = Answer(line["raw"].encode(), (error[0], error[1]) if error else None)
    return Try(line["begin"], line["end"], line["how"], answer)
