"""Titles of choices, list items and constants in the schemas: generators name their types after them."""

from collections.abc import Mapping, Sequence
from typing import Final

from services.ops.contract.meanings import MissingDescriptionError

# The title of each choice by its words; generators name types after titles.
CHOICES: Final[Mapping[frozenset[str], str]] = {
    frozenset(words.split()): title
    for title, words in {
        "Ability": "read send administer",
        "Inbox access": "everyone members",
        "Access rule": "member team everyone owner alias administrator",
        "Attempt outcome": "accepted unchanged refused",
        "Availability": "available away",
        "Changed kind": "account user inbox address team",
        "Difference": "added removed changed",
        "Destination kind": "inbox personal none",
        "Health": "healthy degraded paused reauth_required orphaned disconnected",
        "Kind": "personal team",
        "Permission": "personal_email_access account_access super_admin",
        "Plan": "free starter professional enterprise",
        "Policy": "orphan release transfer_to",
        "Provider": "google microsoft imap",
        "Reclaim cause": "reclaimed owner_returned",
        "Rule kind": "unassigned users_and_teams contact_owner",
        "State": "free connected paused reauth_required orphaned",
        "Tool": "one_to_one sequences extension meetings",
        "Tree": "events journal",
        "User status": "active deactivated removed",
        "Via": "personal alias inbox",
    }.items()
}
# The titles of list items with a pattern, by the field of the list.
ITEMS: Final[Mapping[str, str]] = {
    "members": "MemberId",
    "teams": "TeamId",
    "UsersAndTeams.teams": "RuleTeamId",
    "UsersAndTeams.users": "RuleUserId",
}
# In events these rules never have null and may gain fields, so that their titles differ from those in requests.
RULES: Final = ("Unassigned", "UsersAndTeams", "ContactOwner")


def title_of_choice(words: Sequence[str]) -> str:
    """Raise `MissingDescriptionError` for a choice without a title."""
    title = CHOICES.get(frozenset(words))
    if title is None:
        raise MissingDescriptionError(
            f"The choice of {', '.join(words)} has no title yet: services/ops/contract/titles.py"
        )
    return title.title().replace(" ", "")


def title_of_item(message: str, field: str) -> str:
    """Raise `MissingDescriptionError` for list items without a title."""
    title = ITEMS.get(f"{message}.{field}") or ITEMS.get(field)
    if title is None:
        raise MissingDescriptionError(
            f"The items of {message}.{field} have no title yet: services/ops/contract/titles.py"
        )
    return title


def title_of_constant(value: str, field: str) -> str:
    return f"{value}_{field}".replace("_", " ").title().replace(" ", "")


def title_of_rule(name: str) -> str:
    return f"{name}Rule" if name in RULES else name
