"""What a row of a view holds: JSON values only, so that what is stored is what was folded."""

from typing import Any

Doc = dict[str, Any]


class UnknownAggregateError(Exception):
    """An event of an aggregate whose beginning was never seen."""


def require_started(doc: Doc | None) -> Doc:
    """The document of an aggregate that has begun."""
    if doc is None:
        raise UnknownAggregateError("the aggregate has not begun here")
    return doc
