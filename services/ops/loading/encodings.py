"""How the bytes of a file are to be read as text; where that would be a guess, the first byte at fault is named."""

import codecs
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20
# The longer marks first: one of UTF-32 begins like one of UTF-16.
MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What is saved under the wrong ending, by its first bytes.
NO_TEXT: Final = (
    (b"PK\x03\x04", "is a workbook or an archive"),
    (b"\xd0\xcf\x11\xe0", "is a workbook"),
    (b"\x1f\x8b", "is compressed"),
)


class Unreadable(Exception):
    """The file as a whole cannot be read; says what is wrong with it, where, and what to do."""


@dataclass(frozen=True)
class Text:
    """A file whose bytes were all read once: `encoding` is for `open`, `digest` is of the bytes."""

    encoding: str
    digest: str


def text_of(path: Path) -> Text:
    """Read a file to its end, as bytes: UTF-8, or UTF-16 and UTF-32 with a byte order mark.

    Raises:
        Unreadable: it is in another encoding, or no text; names the first byte at fault, counted from 0 in the file.
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
                # The object is what the decoder held back, if anything, and the chunk behind it.
                held = len(error.object) - len(chunk)
                lines += error.object[: error.start].decode(error.encoding, "ignore").count("\n")
                raise Unreadable(_other_encoding(path, encoding, max(at - held + error.start, 0), lines)) from error
            if not chunk:
                return Text(encoding, digest.hexdigest())
            at += len(chunk)


def require_file(path: Path) -> None:
    """
    Raises:
        Unreadable: it is read once only, as what another command writes; files are read to their end before, too.
    """
    if not path.is_file():
        raise Unreadable(f"{path.name} is no file that can be read twice, as a pipe is none: save it to a file first")


def _encoding(path: Path, beginning: bytes) -> str:
    for mark, what in NO_TEXT:
        if beginning.startswith(mark):
            raise Unreadable(f"{path.name} {what}, no text: save it as CSV in UTF-8")
    for mark, encoding in MARKS:
        if beginning.startswith(mark):
            return encoding
    if b"\0" in beginning:
        of_two = not (beginning[1:64:2].strip(b"\0") and beginning[0:64:2].strip(b"\0"))
        what = "seems to be UTF-16 without its mark" if of_two else "is no text"
        raise Unreadable(f"{path.name} has a zero byte at {beginning.index(0):,} and {what}: save it as UTF-8")
    return "utf-8"


def _other_encoding(path: Path, encoding: str, byte: int, line: int) -> str:
    if encoding.startswith(("utf-16", "utf-32")):
        name = encoding.upper()
        return f"{path.name} is not {name} at byte {byte:,} (line {line:,}), though its mark says so: save it as UTF-8"
    return (
        f"{path.name} is not UTF-8 at byte {byte:,} (line {line:,}); it may be Windows-1252 or Latin-1."
        " Save it as UTF-8: a spreadsheet calls it CSV UTF-8"
    )
