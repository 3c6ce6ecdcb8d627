"""The command line as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.real_servers import ROOT

DONE, REFUSED, USAGE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130


async def run(*arguments: str, url: str) -> tuple[int, str]:
    """The exit code, and all that was printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.ops.cli", *arguments,
        cwd=ROOT, env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "SWITCHBOARD_NATS_URL": url},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


def put(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
