"""The space that a server needs on the disk of its data."""

import shutil
from pathlib import Path

NEEDED_BYTES = 64 * 2**20


def shortage(folder: Path) -> str | None:
    """None if the disk has enough space, or the folder does not exist yet; else a message."""
    if not folder.exists():
        return None
    disk = shutil.disk_usage(folder)
    needed = min(NEEDED_BYTES, disk.total // 10)
    if disk.free > needed:
        return None
    return (
        f"no space: {disk.free / 2**20:.0f} MiB are free in {folder}; the server continues by itself with more than "
        f"{needed / 2**20:.0f} MiB"
    )
