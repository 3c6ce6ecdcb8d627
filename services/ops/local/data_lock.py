"""The lock that keeps a second launcher from the data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.ops.local.errors import ServerStartError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the data folder, which is created if it is missing.

    Raises:
        ServerStartError: another launcher holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "launcher.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ServerStartError(
                f"Another Switchboard (process {lock.read().strip() or 'unknown'}) runs with the data in {folder}. "
                "Stop it, or set SWITCHBOARD_DATA_DIR to another folder."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
