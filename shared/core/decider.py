"""A decider: from a command and what is known, to the facts that follow; the host commits them if it still holds."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.language.events import Aggregate, Event


@dataclass(frozen=True, slots=True)
class Page:
    """What the host must know of one kind of aggregate.

    `evolve(state, event, time)` never judges and never fails. `constraint_sets(state)` names the sets, within the
    account, that an aggregate in this state belongs to; the host keeps them in the commit of the events.
    """

    initial: Any
    evolve: Callable[[Any, Any, str], Any]
    constraint_sets: Callable[[Any], frozenset[str]]


class Reads(Protocol):
    """What a decision may look at. Everything looked at must be unchanged when the decision is committed."""

    def state(self, account: str, aggregate: Aggregate, name: str) -> Any:
        """The state of one aggregate, the page's initial one if nothing ever happened to it."""

    def expect(self, account: str, aggregate: Aggregate, names: Sequence[str]) -> None:
        """These will be looked at: they are read at once, not one by one, and count as looked at only then."""

    def members(self, account: str, aggregate: Aggregate, set_name: str) -> Sequence[Any]:
        """The states of all aggregates of this kind in the set, in no particular order."""

    def members_of_all(
        self, account: str, aggregate: Aggregate, set_names: Sequence[str], at_most: int | None = None
    ) -> Sequence[Sequence[Any]]:
        """The members of each of these sets, in the order of the sets: asked for at once, not one by one.

        Of the first sets, as many members as `at_most` says: for a list that nobody reads to its end.
        """

    def count(self, account: str, set_name: str) -> int:
        """How many aggregates are in the set."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Events, none when everything is so already, and what the caller should know beside."""

    events: Sequence[Event]
    warnings: Sequence[Mapping[str, Any]] = field(default=())
    next_steps: Sequence[Mapping[str, str]] = field(default=())
