"""How far a load has come, in a small file beside the one that is loaded: begun once, gone on with, removed at the end.

Its id makes the id of every command out of the row's line, so that a row that is sent again by the same load has its
answer already, and a load begun anew gives new commands.
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from shared.language.recorded import named
from shared.process.clock import new_id


class Changed(Exception):
    """The file is not the one that the load was begun with."""


class Elsewhere(Exception):
    """What was answered before is not on record: this is another Switchboard, or one restored from an earlier day."""


class Mended(Exception):
    """Somebody changed the refused rows since they were written, and is not to lose that."""


class Otherwise(Exception):
    """The load was begun with other options; says which."""


@dataclass
class Place:
    """`rows` from the beginning are answered, and `refused_bytes` of the file of refused ones are of them.

    `digest` is the loaded file's, and `given` what the command line said that makes commands of its rows. The last row
    that has a position in the log is the `known_row`-th, at `known_position`, with the event
    `known_event` if it made one; 0, 0 and empty when there is none.
    `refused_digest` is that of the refused ones.
    """

    path: Path
    digest: str
    given: dict[str, str | None] = field(default_factory=dict)
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
    def of(cls, path: Path, digest: str, given: dict[str, str | None]) -> "Place":
        """Where an earlier run of this load came to, or its beginning, which is on disk when this returns.

        Raises:
            Changed: the load was begun with another file of that name.
            Otherwise: it was begun with other options.
            OSError: the folder cannot be written to.
        """
        if path.exists():
            found: dict[str, Any] = orjson.loads(path.read_bytes())
            if found["digest"] != digest:
                raise Changed
            before = found.get("given", {})
            if before != given:
                raise Otherwise(", ".join(f"--{name} {value or '(none)'}" for name, value in before.items()))
            return cls(path, **found)
        begun = cls(path, digest, given)
        begun.keep()
        return begun

    def id_of(self, line: int) -> str:
        return str(named(f"load/{self.load}/{line}"))

    def keep(self) -> None:
        told = {name: value for name, value in asdict(self).items() if name != "path"}
        beside = self.path.with_name(f"{self.path.name}.new")
        with beside.open("wb") as file:
            file.write(orjson.dumps(told))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
