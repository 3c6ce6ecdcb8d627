"""The command line as a process of its own."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests import command_line

DONE, REFUSED, USAGE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130


async def run(*arguments: str, url: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    ended = await command_line.run(*arguments, environment={"SWITCHBOARD_NATS_URL": url}, merged=True)
    return ended.code, ended.output


def put(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
