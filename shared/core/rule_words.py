"""A routing rule in one plain sentence, the same everywhere."""

from collections.abc import Sequence
from typing import assert_never

from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams


def in_words(rule: Rule) -> str:
    """The sentence for a rule; users and teams are named by their ids."""
    match rule:
        case Unassigned():
            return "New conversations wait unassigned."
        case UsersAndTeams():
            return f"New conversations go to {_people(rule)}."
        case ContactOwner(fallback=None):
            return "New conversations go to the contact's owner; without one they wait unassigned."
        case ContactOwner(fallback=Unassigned()):
            return "New conversations go to the contact's owner; without one they wait unassigned."
        case ContactOwner(fallback=UsersAndTeams() as fallback):
            return f"New conversations go to the contact's owner; without one to {_people(fallback)}."
        case _:
            assert_never(rule)  # type: ignore[arg-type]  # mypy does not see that the fallback's cases are all there


def _people(rule: UsersAndTeams) -> str:
    names = [*rule.users, *(f"the people of team {team}" for team in rule.teams)]
    if len(names) == 1:
        return names[0]
    return f"one of {_listed(names)}, the same person for the same sender"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
