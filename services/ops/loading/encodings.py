"""The encoding of a text file: detected without guessing, or an error that names the first invalid byte."""

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20
# Longer marks first: the mark of UTF-32 begins with that of UTF-16.
MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# The first bytes of files that often have a wrong ending.
NO_TEXT: Final = (
    (b"PK\x03\x04", "is a workbook or an archive"),
    (b"\xd0\xcf\x11\xe0", "is a workbook"),
    (b"\x1f\x8b", "is compressed"),
)


class UnreadableFileError(Exception):
    """The whole file cannot be read; the message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Text:
    """A file that was read to its end: `encoding` for `open`, and the SHA-256 `digest` of its bytes."""

    encoding: str
    digest: str


def text_of(path: Path) -> Text:
    """Read a file to its end, as bytes: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Raises:
        UnreadableFileError: it has another encoding, or is not text; names the first invalid byte, counted from 0.
    """
    require_file(path)
    digest, at, lines = hashlib.sha256(), 0, 1
    with path.open("rb") as file:
        beginning = file.read(1_024)
        encoding = _encoding(path, beginning)
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)()
        while True:
            chunk = file.read(CHUNK)
            digest.update(chunk)
            try:
                lines += decoder.decode(chunk, not chunk).count("\n")
            except UnicodeDecodeError as error:
                # The object is the bytes that the decoder held back, and the chunk behind them.
                held = len(error.object) - len(chunk)
                lines += error.object[: error.start].decode(error.encoding, "ignore").count("\n")
                raise UnreadableFileError(
                    _other_encoding(path, encoding, max(at - held + error.start, 0), lines)
                ) from error
            if not chunk:
                return Text(encoding, digest.hexdigest())
            at += len(chunk)


def require_file(path: Path) -> None:
    """
    Raises:
        UnreadableFileError: it is a pipe or the like, which cannot be read twice.
    """
    if not path.is_file():
        raise UnreadableFileError(
            f"{path.name} cannot be read twice, because it is a pipe or a device: save it to a file first"
        )


def _encoding(path: Path, beginning: bytes) -> str:
    for mark, what in NO_TEXT:
        if beginning.startswith(mark):
            raise UnreadableFileError(f"{path.name} {what}, not text: save it as CSV in UTF-8")
    for mark, encoding in MARKS:
        if beginning.startswith(mark):
            return encoding
    if b"\0" in beginning:
        of_two = not (beginning[1:64:2].strip(b"\0") and beginning[0:64:2].strip(b"\0"))
        what = "seems to be UTF-16 without its mark" if of_two else "is not text"
        raise UnreadableFileError(f"{path.name} has a zero byte at {beginning.index(0):,} and {what}: save it as UTF-8")
    return "utf-8"


def _other_encoding(path: Path, encoding: str, byte: int, line: int) -> str:
    if encoding.startswith(("utf-16", "utf-32")):
        name = encoding.upper()
        return f"{path.name} is not {name} at byte {byte:,} (line {line:,}), though its mark says so: save it as UTF-8"
    return (
        f"{path.name} is not UTF-8 at byte {byte:,} (line {line:,}); it may be Windows-1252 or Latin-1."
        " Save it as UTF-8: a spreadsheet calls it CSV UTF-8"
    )
