"""A planted copy of a rule of the core is found, and a use of the rule is not."""

import pytest

from tests.core.rules_once import offences, restated, sources


def test_no_module_states_a_rule_of_the_core_again() -> None:
    assert len(sources()) > 100
    assert offences() == []


@pytest.mark.parametrize(
    "planted",
    [
        'may = "account_access" in user.permissions or "super_admin" in user.permissions',
        'if permission == "account_access": pass',
        'admins = [u for u in users if "super_admin" not in u["permissions"]]',
        'match permission:\n    case "super_admin": pass',
        "own = sorted(claims, key=lambda claim: (claim.since, claim.address))",
        'docs.sort(key=lambda doc: (doc["since"], doc["address"]))',
    ],
)
def test_a_planted_copy_is_found(planted: str) -> None:
    assert len(list(restated(planted))) >= 1


@pytest.mark.parametrize(
    "fine",
    ['may = holds(user.permissions, "account_access")', 'by = ("super_admin",)', "names = sorted(names)"],
)
def test_a_use_of_the_rule_is_not_taken_for_a_copy(fine: str) -> None:
    assert list(restated(fine)) == []
