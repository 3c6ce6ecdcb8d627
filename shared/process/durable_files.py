"""Files that are whole and on the disk, or not there: written beside their place, flushed, and then renamed."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

# The name while it is written, before the id of the process.
UNFINISHED: Final = ".unfinished"


def make_folder(folder: Path, mode: int = 0o755) -> None:
    """Make a folder with its parents; they are there after a loss of power."""
    if folder.exists():
        return
    make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    flush_folder(folder.parent)


def write_file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace a file durably."""
    write_files({path: content}, mode)


def write_files(files: Mapping[Path, bytes], mode: int = 0o644) -> None:
    """Replace files durably, in their order; each folder is flushed once."""
    folders = {path.parent for path in files}
    for folder in folders:
        make_folder(folder)
    for path, content in files.items():
        unfinished = Path(f"{path}{UNFINISHED}.{os.getpid()}")
        _write(unfinished, content, mode)
        unfinished.replace(path)
    for folder in folders:
        flush_folder(folder)


def flush_file(file: IO[bytes]) -> None:
    """Flush what was written to the disk."""
    file.flush()
    os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        flush_file(file)
