"""The file of a load's checkpoint, beside the loaded file; `load.py` decides when it is saved.

Its id and a row's line make the id of the row's command. A row that the same load sends twice therefore gets its first
answer again, and a load that starts over sends new commands.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shared.language.recorded import named
from shared.process.clock import new_id


class InputChangedError(Exception):
    """The file differs from the one that the load started with."""


class WrongServerError(Exception):
    """An earlier answer is not on record: another Switchboard, or one restored from an older backup."""


class RejectsFileEditedError(Exception):
    """The file of refused rows was edited since the load wrote it; overwriting it would lose those edits."""


class OptionsChangedError(Exception):
    """The load started with other options; the message names them."""


@dataclass
class Checkpoint:
    """The first `rows` rows are answered, and the first `refused_bytes` of the file of refused rows belong to them.

    `digest` is the loaded file's, `refused_digest` that of the refused rows. `options` of the command line shape the
    commands. Row number `known_row` is the last with a position, `known_position`; `known_event` is the id of its first
    event. They are 0, 0 and empty when no row has a position.
    """

    path: Path
    digest: str
    options: dict[str, str | None] = field(default_factory=dict)
    load: str = field(default_factory=new_id)
    rows: int = 0
    accepted: int = 0
    unchanged: int = 0
    refused: int = 0
    refused_bytes: int = 0
    refused_digest: str = ""
    known_row: int = 0
    known_position: int = 0
    known_event: str = ""

    @classmethod
    def open(cls, path: Path, digest: str, options: dict[str, str | None]) -> "Checkpoint":
        """Read the checkpoint of an earlier run, or write the first one.

        Raises:
            InputChangedError: the load started with another file of that name.
            OptionsChangedError: it started with other options.
            OSError: the folder cannot be written to.
        """
        if path.exists():
            stored: dict[str, Any] = orjson.loads(path.read_bytes())
            if stored["digest"] != digest:
                raise InputChangedError
            # Stored under this name by every release.
            before = stored.pop("given", {})
            if before != options:
                raise OptionsChangedError(", ".join(f"--{name} {value or '(none)'}" for name, value in before.items()))
            return cls(path, options=before, **stored)
        first = cls(path, digest, options)
        first.save()
        return first

    def command_id(self, line: int) -> str:
        return str(named(f"load/{self.load}/{line}"))

    def save(self) -> None:
        """Replace the file on disk, and flush it."""
        stored = {"given" if name == "options" else name: value for name, value in asdict(self).items()}
        del stored["path"]
        new = self.path.with_name(f"{self.path.name}.new")
        with new.open("wb") as file:
            file.write(orjson.dumps(stored))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
