"""The answer to a question: a result as of a position, a page of a list with its cursor, or an error."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from shared.core.address import CanonicalAddress, InvalidAddressError, canonical
from shared.language.questions import ListQuestion
from shared.language.reasons import CODES, QuestionError
from shared.messaging.endpoint import Reply, Request
from shared.messaging.json_body import problem
from shared.projections.cooperative import cooperatively

LARGEST_PAGE: Final = 800_000
AWAY_RETRY_MS: Final = 500


@dataclass
class QuestionRefusedError(Exception):
    """A question gets this error instead of a result."""

    error: QuestionError
    message: str
    details: Mapping[str, Any] = field(default_factory=dict)
    incomplete_since: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: items, each with the key after which the next page begins."""

    items: Sequence[tuple[str, Any]]
    more: bool


Result = Any | Page


def error_reply(request: Request, error: QuestionRefusedError) -> Reply:
    return Reply(request, error_body(error), (CODES[error.error], error.error))


def error_body(error: QuestionRefusedError) -> bytes:
    body: dict[str, Any] = {"error": error.error, "message": error.message, "details": dict(error.details)}
    if error.incomplete_since is not None:
        body["incomplete_since"] = error.incomplete_since
    return orjson.dumps(body)


def not_allowed(permission: str, message: str) -> QuestionRefusedError:
    return QuestionRefusedError(QuestionError.PERMISSION_MISSING, message, {"permission": permission})


def busy(why: str, retry_after_ms: int = AWAY_RETRY_MS) -> QuestionRefusedError:
    return QuestionRefusedError(
        QuestionError.BUSY, f"Not answered, {why}; ask again.", {"retry_after_ms": retry_after_ms}
    )


def failed() -> QuestionRefusedError:
    """The error for a question at which this code fails."""
    return QuestionRefusedError(
        QuestionError.INTERNAL_ERROR,
        "Not answered, because of a fault in Switchboard itself; its log has the place.",
    )


def canonical_or_refused(field: str, text: str) -> CanonicalAddress:
    """Return the canonical form of an address in a question.

    Raises:
        QuestionRefusedError: it is not an e-mail address.
    """
    try:
        return canonical(text)
    except InvalidAddressError as error:
        details = {"field": field, "what": error.what, "at": error.at}
        message = f"{field} is not an e-mail address: {error.what}."
        raise QuestionRefusedError(QuestionError.ADDRESS_INVALID, message, details) from None


def invalid(problems: Sequence[Mapping[str, str]]) -> QuestionRefusedError:
    fields = ", ".join(dict.fromkeys(problem["field"] for problem in problems if problem["field"]))
    message = f"The question cannot be read: see details.errors{f' for {fields}' if fields else ''}."
    return QuestionRefusedError(QuestionError.QUERY_INVALID, message[:500], {"errors": problems})


def too_large(size: int, limit: int, result: Result, reply: Mapping[str, Any]) -> QuestionRefusedError:
    """The error for an answer, or a first item of a page, that no message carries; a list goes on after `next`."""
    problem_text = f"the answer is larger than one message carries ({size:,} bytes, max_payload is {limit:,})"
    error = invalid([problem("", problem_text)])
    error.details = {**error.details, "bytes": size, "max_payload": limit}
    if isinstance(result, Page):
        error.message = f"Not answered: {problem_text}. Go on after details.next."
        error.details["next"] = reply["next"]
    else:
        error.message = f"Not answered: {problem_text}. Ask for less at once."
    return error


async def render_answer(
    position: int, result: Result, incomplete_since: int | None, largest_page: int = LARGEST_PAGE
) -> dict[str, Any]:
    """Render the body; a page ends before it is too large for a message, and other tasks run in between."""
    reply: dict[str, Any] = {"position": position}
    if isinstance(result, Page):
        items: list[orjson.Fragment] = []
        size = 0
        async for _, item in cooperatively(result.items):
            written = orjson.dumps(item)
            size += len(written) + 1
            if items and size > largest_page:
                break
            items.append(orjson.Fragment(written))
        more = result.more or len(items) < len(result.items)
        reply |= {"result": items, "next": cursor_for(result.items[len(items) - 1][0]) if more and items else None}
    else:
        reply["result"] = result
    if incomplete_since is not None:
        reply["incomplete_since"] = incomplete_since
    return reply


# ---- cursors


def cursor_for(key: str) -> str:
    """Return the opaque text by which a caller asks for the page after a key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def cursor_key(question: ListQuestion) -> str:
    """Return the key after which the page begins; the empty text for the first page.

    Raises:
        QuestionRefusedError: the cursor is invalid.
    """
    if question.after is None:
        return ""
    try:
        padded = question.after + "=" * (-len(question.after) % 4)
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except ValueError:
        key = "\x00"
    if "\x00" in key:
        raise invalid([problem("after", "this is not a cursor of an earlier page")])
    return key
