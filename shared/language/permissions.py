"""The roles that may give each command, and the things it changes beyond those it names."""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from shared.language import commands as c
from shared.language.text import Permission

# A relation of the actor to the account or to what the command names; `next_actions` say it by the same name.
# self: the user in the field `user`. owner: of a personal connection. holder: the owner of a personal connection,
# `account_access` for a team one, `super_admin` for an orphan.
Role = Permission | Literal["service", "self", "owner", "holder"]
# A thing that a command changes, or of which only one may be left, although none of its fields names it.
Beyond = Literal["account", "addresses", "inbox names", "inbox limit", "super admins"]


class PermissionRule(NamedTuple):
    """The roles of which any one suffices; a refusal names the first. A trusted service passes every check.

    `owner_is_actor`: users connect for themselves, so a user that the command names as `owner` must be the actor.
    `orphan_to_team`: the role that is needed as well to make an orphaned address the team's.
    """

    roles: tuple[Role, ...]
    beyond: frozenset[Beyond] = frozenset()
    owner_is_actor: bool = False
    orphan_to_team: Permission | None = None


def _any_of(*roles: Role, beyond: Beyond | None = None) -> PermissionRule:
    return PermissionRule(roles, frozenset() if beyond is None else frozenset((beyond,)))


PERMISSIONS: Final[Mapping[type[c.Command], PermissionRule]] = {
    c.RegisterAccount: _any_of("service", beyond="account"),
    c.ChangePlan: _any_of("super_admin", beyond="account"),
    c.CreateTeam: _any_of("account_access"),
    c.SetTeamMembers: _any_of("account_access"),
    c.SetAccountNeverLog: _any_of("account_access", beyond="account"),
    c.AddUser: _any_of("super_admin", beyond="addresses"),
    c.SetPermissions: _any_of("super_admin", beyond="super admins"),
    c.AssignSeat: _any_of("super_admin"),
    c.UnassignSeat: _any_of("super_admin"),
    c.DeactivateUser: _any_of("super_admin", beyond="super admins"),
    c.ReactivateUser: _any_of("super_admin", beyond="addresses"),
    c.RemoveUser: _any_of("super_admin", beyond="addresses"),
    c.SetAvailability: _any_of("self", "super_admin"),
    c.SetDefaultSender: _any_of("self"),
    c.SetSignature: _any_of("self"),
    c.SetDefaultFont: _any_of("self"),
    c.SetLoggingPreferences: _any_of("self"),
    c.CreateInbox: _any_of("account_access"),
    c.RenameInbox: _any_of("account_access", beyond="inbox names"),
    c.SetInboxAccess: _any_of("account_access"),
    c.SetRouting: _any_of("account_access"),
    c.ArchiveInbox: _any_of("account_access", beyond="addresses"),
    c.RestoreInbox: _any_of("account_access", beyond="inbox limit"),
    c.ConnectPersonal: PermissionRule(("personal_email_access",), owner_is_actor=True),
    c.ConnectTeam: _any_of("account_access"),
    c.Disconnect: _any_of("holder", "super_admin"),
    c.RequireReauthentication: _any_of("holder"),
    c.Reconnect: _any_of("holder"),
    c.Pause: _any_of("holder"),
    c.Resume: _any_of("holder"),
    c.MoveTeamAddress: _any_of("account_access"),
    c.ConvertConnection: PermissionRule(("account_access",), owner_is_actor=True, orphan_to_team="super_admin"),
    c.TransferOwnership: _any_of("super_admin", "owner"),
    c.ReclaimAddress: _any_of("super_admin"),
    c.ReleaseAddress: _any_of("super_admin"),
    c.BindTool: _any_of("holder"),
    c.UnbindTool: _any_of("holder"),
    c.AddAlias: _any_of("holder"),
    c.RemoveAlias: _any_of("holder"),
    c.PromoteAlias: _any_of("holder"),
    c.SetFromName: _any_of("holder"),
}
