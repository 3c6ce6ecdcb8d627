"""A reply that is too large for a message keeps its outcome and reason, and loses its lists."""

from typing import Any, Final

import orjson

# The lists that may be emptied; the other fields have the outcome of the command or question.
LISTS: Final[dict[str, Any]] = {"events": [], "warnings": [], "next_steps": []}


def truncated_reply(reply: bytes, limit: int) -> bytes:
    """Truncate the reply to `limit` bytes, if a message carries a few hundred; outcome and reason stay.

    `details` gets the size of the reply and the limit.
    """
    body: dict[str, Any] = orjson.loads(reply)
    body |= {name: empty for name, empty in LISTS.items() if name in body}
    if "details" in body or "reason" in body or "error" in body:
        body["details"] = {"shortened": True, "bytes": len(reply), "max_payload": limit}
    if len(data := orjson.dumps(body)) > limit and "message" in body:
        body["message"] = "This reply is larger than one message carries (max_payload)."
        body |= {"next_actions": []} if "next_actions" in body else {}
        data = orjson.dumps(body)
    return data
