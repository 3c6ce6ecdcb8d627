"""The routing rule of an inbox: its targets are active members with a seat."""

from collections.abc import Mapping

from services.connections.domain.account import RegisteredAccount, require_team
from services.connections.domain.inbox import Inbox, targets_of
from services.connections.domain.user import User, UserState, require_user
from shared.core.refusal import Refused, leave_out, next_action
from shared.language.commands import AssignSeat, ReactivateUser, SetInboxAccess, SetRouting
from shared.language.events import Event, RoutingChanged
from shared.language.reasons import Reason


def set_routing(
    command: SetRouting, inbox: Inbox, account: RegisteredAccount, users: Mapping[str, UserState]
) -> list[Event]:
    """`users` are the states of everybody the rule names."""
    rule = command.rule
    if (targets := targets_of(rule)) is not None:
        for user in targets.users:
            with leave_out("SetRouting", "rule"):
                require_target(inbox, account, require_user(users[user], user))
        for team in targets.teams:
            with leave_out("SetRouting", "rule"):
                require_team(account, team)
    return [] if inbox.rule == rule else [RoutingChanged(inbox=inbox.id, rule=rule)]


def require_target(inbox: Inbox, account: RegisteredAccount, user: User) -> None:
    """Routing targets are active members with a seat (B4)."""
    target = {"target": user.id, "status": user.status}
    if not inbox.admits(user.id, account):
        raise Refused(
            Reason.ROUTING_TARGET_NOT_MEMBER,
            f"{user.id} is not a member of the inbox {inbox.id}.",
            target,
            [next_action(SetInboxAccess, "Make the user a member of the inbox.")],
        )
    if not user.active:
        raise Refused(
            Reason.ROUTING_TARGET_NOT_ACTIVE,
            f"{user.id} is deactivated.",
            target,
            [next_action(ReactivateUser, "Reactivate the user first.")],
        )
    if not user.seat:
        raise Refused(
            Reason.ROUTING_TARGET_NO_SEAT,
            f"{user.id} has no seat.",
            target,
            [next_action(AssignSeat, "Assign a seat to the user first.")],
        )
