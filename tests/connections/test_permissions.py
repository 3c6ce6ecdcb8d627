"""The published permissions are the enforced ones: each command is refused without its roles, and changes no more."""

from collections import defaultdict
from typing import Final, get_args

import pytest

from shared.language import commands as c
from shared.language.events import AddressEvent, InboxEvent, UserEvent
from shared.language.permissions import PERMISSIONS, Beyond
from shared.language.reasons import Reason
from shared.language.text import Permission
from shared.process.clock import new_id
from tests.connections.anything import ADMIN, INBOXES, SERVICE, USERS, any_command, command_of, dice_of
from tests.connections.given_when_then import ADA, BOB, DAN, HR, Fact, World, given, orphan, personal, read, team

ADDRESS: Final = "box-1@acme.example"
PERMISSIONS_THAT_ARE_ROLES: Final = frozenset(get_args(Permission))
BY_PERMISSION: Final = [
    (kind, role)
    for kind, rule in PERMISSIONS.items()
    for role in rule.roles
    if role in PERMISSIONS_THAT_ARE_ROLES and len(rule.roles) == 1
]
BY_HOLDER: Final = [kind for kind, rule in PERMISSIONS.items() if rule.roles == ("holder",)]
BY_SELF: Final = [kind for kind, rule in PERMISSIONS.items() if "self" in rule.roles]


def by(kind: type[c.Command], actor: str, **fields: object) -> c.Command:
    example = command_of(dice_of(1), kind)
    own = {name: value for name, value in fields.items() if getattr(example, name, None) is not None}
    return example.model_copy(update={"actor": actor, **own})


@pytest.mark.parametrize(("kind", "permission"), BY_PERMISSION)
def test_the_other_permissions_do_not_suffice(kind: type[c.Command], permission: Permission) -> None:
    others = PERMISSIONS_THAT_ARE_ROLES - {permission}
    if permission == "account_access":
        others -= {"super_admin"}
    eve = c.AddUser(actor=ADA, user="eve", name="Eve", permissions=tuple(sorted(others)))
    given(eve).when(by(kind, "eve", owner="eve")).refused(Reason.PERMISSION_MISSING, permission=permission)


@pytest.mark.parametrize(("kind", "permission"), BY_PERMISSION)
def test_the_named_permission_suffices(kind: type[c.Command], permission: Permission) -> None:
    eve = c.AddUser(actor=ADA, user="eve", name="Eve", permissions=(permission,))
    reply = given(eve).when(by(kind, "eve", owner="eve")).reply
    assert reply.get("details", {}).get("permission") != permission


@pytest.mark.parametrize("kind", BY_HOLDER)
@pytest.mark.parametrize(
    ("facts", "holder", "missing"),
    [
        ((personal(ADDRESS, BOB),), BOB, "owner"),
        ((team(ADDRESS, "support"),), "ana", "account_access"),
        (orphan(ADDRESS, BOB), ADA, "super_admin"),
    ],
)
def test_an_address_is_the_holders(kind: type[c.Command], facts: tuple[Fact, ...], holder: str, missing: str) -> None:
    known = given(*facts)
    known.when(by(kind, DAN, address=ADDRESS, alias="other@acme.example")).refused(
        Reason.PERMISSION_MISSING, permission=missing
    )
    for actor in (holder, HR):
        outcome = known.when(by(kind, actor, address=ADDRESS, alias="other@acme.example")).outcome
        assert outcome.reason is not Reason.PERMISSION_MISSING


@pytest.mark.parametrize("kind", BY_SELF)
def test_nobody_speaks_for_another_user(kind: type[c.Command]) -> None:
    given().when(by(kind, "ana", user=BOB)).refused(Reason.PERMISSION_MISSING, permission="self")


@pytest.mark.parametrize("kind", [kind for kind in PERMISSIONS if kind is not c.RegisterAccount])
def test_a_service_is_never_refused_a_permission(kind: type[c.Command]) -> None:
    reply = given().when(by(kind, HR, owner=BOB)).reply
    # The owner it names may lack one.
    assert reply.get("reason") != "PERMISSION_MISSING" or reply["details"].get("user") is not None


def test_a_user_registers_no_account() -> None:
    given().when(by(c.RegisterAccount, ADA)).refused(Reason.PERMISSION_MISSING, permission="service")


def test_a_command_changes_no_more_than_it_names_and_declares() -> None:
    found: defaultdict[type[c.Command], set[Beyond]] = defaultdict(set)
    for seed in range(20):
        dice, world = dice_of(seed), World()
        world.take(read(c.RegisterAccount(actor=SERVICE, plan="professional", admin=ADMIN)))
        for user in USERS[1:]:
            world.take(read(c.AddUser(actor=SERVICE, user=user, name=user, permissions=("personal_email_access",))))
        world.take(read(c.CreateInbox(actor=SERVICE, inbox=INBOXES[1], name="One")))
        for _ in range(400):
            command = any_command(dice)
            if isinstance(command, c.RemoveUser):
                world.take(read(c.DeactivateUser(actor=SERVICE, user=command.user), command_id=new_id()))
            verdict = world.take(read(command, command_id=new_id()))
            for _, event in verdict.events:
                found[type(command)] |= not_named(command, event)
    assert {kind: beyond for kind, beyond in found.items() if beyond - PERMISSIONS[kind].beyond} == {}
    assert {kind for kind, rule in PERMISSIONS.items() if "addresses" in rule.beyond} == {
        kind for kind, beyond in found.items() if "addresses" in beyond
    }


def not_named(command: c.Command, event: object) -> set[Beyond]:
    """The kind of thing the event happened to, where no field of the command names it; aliases follow their address."""
    match event:
        case AddressEvent():
            return set() if "address" in type(command).model_fields else {"addresses"}
        case UserEvent(user=user):
            assert user == getattr(command, "user", None)
        case InboxEvent(inbox=inbox):
            assert inbox == getattr(command, "inbox", None)
        case _:
            return set() if "team" in type(command).model_fields else {"account"}
    return set()
