"""The files of transparency logs over HTTP, as C2SP's tlog-tiles says: checkpoints, tiles, bundles, verifier keys.

They are read from a folder as they are. Only names that a tree can have are looked up, so no path leads elsewhere.
"""

import asyncio
import re
from pathlib import Path
from typing import Final

from shared.process.health import Page, Route

PREFIX: Final = "/tlog/"
TREES: Final = ("events", "journal")
VERIFIER_KEYS: Final = "verifier-keys"

_TREE: Final = f"(?:{'|'.join(TREES)})"
_LEVEL: Final = r"(?:[0-9]|[1-5][0-9]|6[0-3]|entries)"
_WIDTH: Final = r"(?:[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_TEXT: Final = re.compile(rf"{VERIFIER_KEYS}|{_TREE}/checkpoint")
_TILE: Final = re.compile(rf"{_TREE}/tile/{_LEVEL}(?:/x[0-9]{{3}})*/[0-9]{{3}}(?:\.p/{_WIDTH})?")

_FOR_SECONDS: Final = "no-cache"
_FOR_EVER: Final = "public, max-age=31536000, immutable"


def tree_files(folder: Path) -> Route:
    """Return the route that answers with the files of a folder, which has one folder for each tree."""

    async def page(path: str) -> Page | None:
        name = path.removeprefix(PREFIX)
        if _TEXT.fullmatch(name):
            kind, cache = "text/plain; charset=utf-8", _FOR_SECONDS
        elif _TILE.fullmatch(name):
            kind, cache = "application/octet-stream", _FOR_EVER
        else:
            return None
        body = await asyncio.to_thread(_content, folder / name)
        return None if body is None else Page(kind, body, cache, large="/entries/" in name)

    return page


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        # Not made yet, or a partial tile that gave way to the full one.
        return None
