"""The rules that several services go by."""

import pytest

from shared.core.policies import Membership, holds, may_audit, members_of, why_without_effect

TEAMS = {"night": ["cleo", "dora"], "day": ["bob"]}


def test_a_super_admin_has_account_access_and_no_personal_email_access() -> None:
    assert holds({"super_admin"}, "account_access")
    assert not holds({"super_admin"}, "personal_email_access")
    assert not holds({"account_access"}, "super_admin")


def test_members_of_teams_are_counted_once_and_an_unknown_team_has_none() -> None:
    assert members_of(TEAMS, ["night", "day", "night", "gone"]) == {"bob", "cleo", "dora"}


def test_an_inbox_open_to_everyone_admits_everybody() -> None:
    membership = Membership("everyone", [], [], TEAMS)
    assert membership.admits("anybody")
    assert membership.readers(["ana", "bob"]) == ["ana", "bob"]


def test_a_closed_inbox_admits_those_named_and_those_of_its_teams() -> None:
    membership = Membership("members", ["ana"], ["night"], TEAMS)
    assert [user for user in ("ana", "bob", "cleo") if membership.admits(user)] == ["ana", "cleo"]
    assert membership.readers(["bob", "cleo"]) == ["cleo"]


def test_an_inbox_whose_members_are_away_has_no_readers() -> None:
    assert Membership("members", ["ana"], [], TEAMS).readers(["bob"]) == []
    assert Membership("members", [], [], TEAMS).readers(["bob"]) == []
    assert Membership("everyone", [], [], TEAMS).readers([]) == []


@pytest.mark.parametrize(
    ("status", "permissions", "why"),
    [
        ("active", ["personal_email_access"], None),
        ("active", ["super_admin"], "PERMISSION_MISSING"),
        ("deactivated", ["personal_email_access"], "OWNER_NOT_ACTIVE"),
        ("removed", [], "OWNER_NOT_ACTIVE"),
        (None, [], "OWNER_NOT_ACTIVE"),
    ],
)
def test_a_personal_connection_works_while_its_owner_may_have_one(
    status: str | None, permissions: list[str], why: str | None
) -> None:
    assert why_without_effect(status, permissions) == why


@pytest.mark.parametrize(
    ("actor", "permissions", "may"),
    [
        ("service:audit.eve", (), True),
        ("service:audit", (), False),
        ("service:crm", (), False),
        ("ana", ("super_admin",), True),
        ("ana", ("account_access", "personal_email_access"), False),
        ("audit.eve", (), False),
    ],
)
def test_auditors_and_super_admins_may_ask_the_audit(actor: str, permissions: tuple[str, ...], may: bool) -> None:
    assert may_audit(actor, permissions) is may
