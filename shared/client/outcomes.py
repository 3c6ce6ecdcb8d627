"""What questions come back as; and `required`, for those who would rather have an exception than look at a refusal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from shared.language.answers import Accepted, NotAnswered, Refused, Reply, Unchanged

T = TypeVar("T")


@dataclass(frozen=True)
class Found(Generic[T]):
    """A result as of `position`; `incomplete_since` when an event that it rests on could not be applied yet."""

    position: int
    result: T
    incomplete_since: int | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """A page of a list; `next` is the `after` of the following page, None on the last one."""

    position: int
    items: Sequence[T]
    next: str | None
    incomplete_since: int | None = None


class NotDone(Exception):
    """What had to succeed did not; `why` is the refusal, or the error of the question."""

    def __init__(self, why: Refused | NotAnswered) -> None:
        super().__init__(f"{why.reason if isinstance(why, Refused) else why.error}: {why.message}")
        self.why = why


@overload
def required(outcome: Reply) -> Accepted | Unchanged: ...
@overload
def required(outcome: T | NotAnswered) -> T: ...


def required(outcome: T | Refused | NotAnswered) -> T:
    """The outcome, unless it is a refusal.

    Raises:
        NotDone: it was refused or not answered.
    """
    if isinstance(outcome, Refused | NotAnswered):
        raise NotDone(outcome)
    return outcome
