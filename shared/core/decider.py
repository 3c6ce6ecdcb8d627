"""Deciders: from a command and the states it reads to events, which are committed if those states are unchanged."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.language.events import Aggregate, Event


@dataclass(frozen=True, slots=True)
class Page:
    """One kind of aggregate, as the event store needs it.

    `evolve(state, event, time)` never judges and never fails. `constraint_sets(state)` names the sets, within the
    account, that an aggregate in this state is in; the store writes them in the commit of the events.
    """

    initial: Any
    evolve: Callable[[Any, Any, str], Any]
    constraint_sets: Callable[[Any], frozenset[str]]


class Reads(Protocol):
    """The states and sets that a decision may read. All that it read must be unchanged when it is committed."""

    def state(self, account: str, aggregate: Aggregate, name: str) -> Any:
        """The state of one aggregate, the page's initial one if nothing ever happened to it."""

    def expect(self, account: str, aggregate: Aggregate, names: Sequence[str]) -> None:
        """Fetch aggregates at once that may be read next; each counts as read only then."""

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
