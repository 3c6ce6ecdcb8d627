"""A reply that no message carries keeps what was decided and why, and loses what it lists."""

from typing import Any, Final

import orjson

# What each may be cut to; the rest says what became of the command or question.
LISTS: Final[dict[str, Any]] = {"events": [], "warnings": [], "next_steps": []}


def shortened(reply: bytes, limit: int) -> bytes:
    """At most `limit` bytes, as long as a message carries a few hundred; of the same outcome and reason.

    How large it was, and how much one message carries, stands in `details`.
    """
    body: dict[str, Any] = orjson.loads(reply)
    body |= {name: empty for name, empty in LISTS.items() if name in body}
    if "details" in body or "reason" in body or "error" in body:
        body["details"] = {"shortened": True, "bytes": len(reply), "max_payload": limit}
    if len(written := orjson.dumps(body)) > limit and "message" in body:
        body["message"] = "This reply is larger than one message carries (max_payload)."
        body |= {"next_actions": []} if "next_actions" in body else {}
        written = orjson.dumps(body)
    return written
