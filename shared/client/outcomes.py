"""The results of questions, and `require`, which raises an exception in place of a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from shared.client.errors import CommandRefused, QuestionFailed
from shared.language.answers import Accepted, NotAnswered, Refused, Reply, Unchanged

T = TypeVar("T")


@dataclass(frozen=True)
class QueryResult(Generic[T]):
    """The result of a question as of a position in the log.

    Attributes:
        position: the position that the result reflects.
        result: the result itself.
        incomplete_since: the position of an event that could not be applied yet; None when nothing is missing.
    """

    position: int
    result: T
    incomplete_since: int | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list as of a position in the log.

    Attributes:
        position: the position that the page reflects.
        items: the items of this page.
        next: the `after` of the next page; None on the last page.
        incomplete_since: the position of an event that could not be applied yet; None when nothing is missing.
    """

    position: int
    items: Sequence[T]
    next: str | None
    incomplete_since: int | None = None


@overload
def require(outcome: Reply) -> Accepted | Unchanged: ...
@overload
def require(outcome: T | NotAnswered) -> T: ...


def require(outcome: T | Refused | NotAnswered) -> T:
    """Return the outcome of a command or question, or raise an exception when it did not succeed.

    Raises:
        CommandRefused: the command was refused.
        QuestionFailed: the question has no result.
    """
    if isinstance(outcome, Refused):
        raise CommandRefused(outcome)
    if isinstance(outcome, NotAnswered):
        raise QuestionFailed(outcome)
    return outcome
