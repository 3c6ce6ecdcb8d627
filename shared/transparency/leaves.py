"""The leaves of the two trees: an event of the log, an entry of the command journal, as canonical JSON.

Canonical JSON has sorted keys, no spaces, and ASCII only: `json.dumps(…, sort_keys=True, separators=(",", ":"))`. A
leaf covers every stored column of its row, and has no address and no user name in clear. A text of more than 1,000
characters is written as `{"sha256": …}` over its UTF-8, so that each row that PostgreSQL can have fits into a bundle.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC
from typing import Any, Final
from uuid import UUID

import orjson

from shared.process.journal_reader import JournalRow

LONGEST_TEXT: Final = 1_000

_LENGTH_BYTES: Final = 8
# A leaf up to here has no text that is too long.
_SHORT: Final = LONGEST_TEXT
_DELETE: Final = b"\x7f"


def event_leaf(stream: UUID, version: int, topic: str, state: bytes, position: int) -> bytes:
    """Return the leaf of an event, which has the index `position - 1`.

    Keys: account and time as the stored envelope has them, null where it cannot be read; position, stream, version,
    topic; sha256, the hash of the stored bytes in hex.
    """
    account, time = _in_envelope(state)
    return _canonical(
        {
            "account": account,
            "position": position,
            "sha256": hashlib.sha256(state).hexdigest(),
            "stream": stream,
            "time": time,
            "topic": topic,
            "version": version,
        }
    )


def event_leaves(events: Iterable[tuple[UUID, int, str, bytes, int]]) -> list[bytes]:
    """Return the leaves of events, such as `StoredEvent`."""
    return [event_leaf(*event) for event in events]


def journal_leaf(row: JournalRow) -> bytes:
    """Return the leaf of an entry of the command journal, which has the index `ordinal - 1`.

    Keys: the columns as they are named here, `recorded_at` in UTC with microseconds; sha256, the hash in hex over
    `sealed_columns`.
    """
    return _canonical(
        {
            "account": row.account,
            "command": row.command,
            "command_id": row.command_id,
            "entry": row.entry,
            "log_position": row.log_position,
            "ordinal": row.ordinal,
            "outcome": row.outcome,
            "position": row.position,
            "reason": row.reason,
            "recorded_at": row.recorded_at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z",
            "recorded_once": row.recorded_once,
            "sha256": hashlib.sha256(sealed_columns(row)).hexdigest(),
        }
    )


def journal_leaves(rows: Iterable[JournalRow]) -> list[bytes]:
    """Return the leaves of entries of the command journal."""
    return [journal_leaf(row) for row in rows]


def sealed_columns(row: JournalRow) -> bytes:
    """Return the columns that a leaf has only as a hash: actor in UTF-8, digest, body and reply, in this order.

    Each is a byte 1, its length as 8 bytes (big-endian), and its bytes; NULL is a byte 0.
    """
    actor = None if row.actor is None else row.actor.encode()
    return b"".join(
        b"\x00" if value is None else b"\x01" + len(value).to_bytes(_LENGTH_BYTES, "big") + value
        for value in (actor, row.digest, row.body, row.reply)
    )


def _in_envelope(state: bytes) -> tuple[str | None, str | None]:
    """Return account and time of a stored event; None for one that is not there as a text."""
    try:
        envelope = orjson.loads(state)
        account, time = envelope.get("account"), envelope.get("time")
    except (ValueError, AttributeError):
        return None, None
    return account if isinstance(account, str) else None, time if isinstance(time, str) else None


def _canonical(leaf: dict[str, Any]) -> bytes:
    """Write a leaf; its keys are sorted already."""
    written = orjson.dumps(leaf)
    # orjson writes other letters as they are, DELETE among them.
    if len(written) <= _SHORT and written.isascii() and _DELETE not in written:
        # A copy, since each result of orjson keeps its buffer of 4 KB: findings/orjson-result-keeps-buffer.sh.
        return b"%b" % written
    return _canonical_slowly(leaf)


def _canonical_slowly(leaf: dict[str, Any]) -> bytes:
    short = {name: _shortened(value) for name, value in leaf.items()}
    return json.dumps(short, separators=(",", ":"), sort_keys=True, default=str).encode("ascii")


def _shortened(value: object) -> object:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return {"sha256": hashlib.sha256(value.encode()).hexdigest()}
    return value
