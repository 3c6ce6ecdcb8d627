"""Identities: usable or not, and best first."""

from shared.core.policies import Membership
from shared.core.sending import best_first, is_identity_of, why_not_sender, why_not_sending


def test_an_orphan_comes_before_reauthentication_and_that_before_a_pause() -> None:
    assert why_not_sending(orphaned=True, reauthenticate=True, sending=False) == "ADDRESS_ORPHANED"
    assert why_not_sending(orphaned=False, reauthenticate=True, sending=False) == "REAUTH_REQUIRED"
    assert why_not_sending(orphaned=False, reauthenticate=False, sending=False) == "CONNECTION_PAUSED"
    assert why_not_sending(orphaned=False, reauthenticate=False, sending=True) is None


def test_a_personal_address_needs_personal_email_access_and_a_team_address_does_not() -> None:
    assert why_not_sender("active", ("super_admin",), personal=True) == "PERMISSION_MISSING"
    assert why_not_sender("active", (), personal=False) is None
    assert why_not_sender("deactivated", ("personal_email_access",), personal=False) == "OWNER_NOT_ACTIVE"


def test_identities_are_the_users_own_and_those_of_their_inboxes() -> None:
    sales = Membership("members", ("cleo",), (), {})
    assert is_identity_of("bob", "bob", None)
    assert not is_identity_of("bob", "cleo", sales)
    assert is_identity_of("cleo", None, sales)
    assert not is_identity_of("bob", None, sales)
    assert not is_identity_of("bob", None, None)


def test_own_come_by_claim_then_those_of_inboxes_by_name_then_aliases_in_that_order() -> None:
    found = best_first(
        own=[("2026-02", "a@x.example", 1), ("2026-01", "b@x.example", 2), ("2026-01", "a2@x.example", 3)],
        team=[("t@x.example", 4), ("s@x.example", 5)],
        aliases=[("s@x.example", "s1@x.example"), ("b@x.example", "b1@x.example"), ("b@x.example", "b2@x.example")],
    )
    assert [tuple(one) for one in found] == [
        ("a2@x.example", "personal", 3),
        ("b@x.example", "personal", 2),
        ("a@x.example", "personal", 1),
        ("s@x.example", "inbox", 5),
        ("t@x.example", "inbox", 4),
        ("b1@x.example", "alias", 2),
        ("b2@x.example", "alias", 2),
        ("s1@x.example", "alias", 5),
    ]
