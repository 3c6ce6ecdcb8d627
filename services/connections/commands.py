"""The table of commands: what must be there, what the decider of each reads, and the decider.

The permission of each command is in `shared/language/permissions.py`; `decide` enforces it. A command is refused in
this order: account, permission, `requires` from left to right, the decider.
"""

from collections.abc import Mapping
from typing import Final

from services.connections import reads as r
from services.connections import warnings as w
from services.connections.domain import account as accounts
from services.connections.domain import inbox as inboxes
from services.connections.domain import preferences, routing
from services.connections.domain import user as users
from services.connections.domain.address import alias, connect, convert, disconnect, mail, tools, transfer
from services.connections.domain.address import evolve as addresses
from services.connections.domain.address.state import Free
from services.connections.domain.address.state import constraint_sets as address_sets
from services.connections.store.set_migration import SetVersion
from services.connections.table import Row, row
from shared.core.decider import Page
from shared.language import commands as c
from shared.language.events import Aggregate, Event, InboxArchived, PersonalConnected, Reconnected, TeamConnected

TABLE: Final[Mapping[type[c.Command], Row]] = {
    one.command: one
    for one in (
        row(c.RegisterAccount, (r.account_name, r.account_state), accounts.register),
        row(c.ChangePlan, (r.account,), accounts.change_plan),
        row(c.CreateTeam, (r.account,), accounts.create_team, requires=(r.require_members,)),
        row(
            c.SetTeamMembers, (r.account,), accounts.set_team_members,
            requires=(r.require_team, r.require_members), warn=w.after_team_members,
        ),
        row(c.SetAccountNeverLog, (r.account, r.entries), accounts.set_never_log),
        row(c.AddUser, (r.user_state, r.returned), users.add, warn=w.after_adding),
        row(c.SetPermissions, (r.user, r.is_last_super_admin), users.set_permissions),
        row(c.AssignSeat, (r.user,), users.assign_seat),
        row(c.UnassignSeat, (r.user,), users.unassign_seat),
        row(c.DeactivateUser, (r.user, r.is_last_super_admin), users.deactivate, warn=w.after_leaving),
        row(c.ReactivateUser, (r.added_user, r.returned), users.reactivate),
        row(
            c.RemoveUser, (r.added_user, r.left_behind), users.remove,
            requires=(r.require_inactive, r.require_new_owner), warn=w.after_leaving,
        ),
        row(c.SetAvailability, (r.user,), preferences.set_availability),
        row(
            c.SetDefaultSender, (r.user, r.address, r.usable_identities, r.claimed_at), preferences.set_default_sender
        ),
        row(c.SetSignature, (r.user,), preferences.set_signature),
        row(c.SetDefaultFont, (r.user,), preferences.set_default_font),
        row(c.SetLoggingPreferences, (r.user, r.never_log), preferences.set_logging),
        row(
            c.CreateInbox, (r.inbox_state, r.account, r.holder_of_name, r.open_inbox_count), inboxes.create,
            requires=(r.require_members,),
        ),
        row(c.RenameInbox, (r.inbox, r.holder_of_name), inboxes.rename),
        row(
            c.SetInboxAccess, (r.open_inbox,), inboxes.set_access,
            requires=(r.require_open_inbox, r.require_members, r.require_teams), warn=w.after_access,
        ),
        row(c.SetRouting, (r.open_inbox, r.account, r.targets), routing.set_routing),
        row(c.ArchiveInbox, (r.inbox, r.team_addresses, r.aliases_in_inbox), inboxes.archive),
        row(c.RestoreInbox, (r.inbox, r.account, r.open_inbox_count), inboxes.restore),
        row(
            c.ConnectPersonal, (r.target, r.state, r.named_siblings), connect.connect_personal,
            requires=(r.require_owner,),
        ),
        row(
            c.ConnectTeam, (r.target, r.state, r.named_siblings), connect.connect_team,
            requires=(r.require_open_inbox,), warn=w.after_connecting,
        ),
        row(c.Disconnect, (r.state, r.aliases), disconnect.disconnect),
        row(c.RequireReauthentication, (r.address, r.state), mail.require_reauthentication),
        row(c.Reconnect, (r.address, r.state, r.named_siblings, r.connector_gone), mail.reconnect),
        row(c.Pause, (r.address, r.state), mail.pause),
        row(c.Resume, (r.address, r.state), mail.resume),
        row(
            c.MoveTeamAddress, (r.address, r.state), transfer.move,
            requires=(r.require_other_inbox,), warn=w.after_moving,
        ),
        row(
            c.ConvertConnection, (r.address, r.state, r.siblings), convert.convert,
            requires=(r.require_new_holder,), warn=w.after_converting,
        ),
        row(
            c.TransferOwnership, (r.address, r.state, r.siblings), transfer.transfer,
            requires=(r.require_new_owner,),
        ),
        row(
            c.ReclaimAddress, (r.address, r.state, r.siblings), transfer.reclaim, requires=(r.require_new_owner,)
        ),
        row(c.ReleaseAddress, (r.state, r.aliases), disconnect.release),
        row(c.BindTool, (r.address, r.state), tools.bind),
        row(c.UnbindTool, (r.address, r.state), tools.unbind),
        row(c.AddAlias, (r.address, r.state, r.alias, r.alias_state), alias.add),
        row(c.RemoveAlias, (r.address, r.state, r.alias, r.alias_state), alias.remove),
        row(c.PromoteAlias, (r.address, r.state, r.alias, r.alias_state, r.aliases), alias.promote),
        row(c.SetFromName, (r.address, r.state), mail.set_from_name),
    )
}  # fmt: skip

PAGES: Final[Mapping[Aggregate, Page]] = {
    "account": Page(accounts.UnknownAccount(), accounts.evolve, accounts.constraint_sets),
    "user": Page(users.UnknownUser(), users.evolve, users.constraint_sets),
    "inbox": Page(inboxes.UnknownInbox(), inboxes.evolve, inboxes.constraint_sets),
    "address": Page(Free(), addresses.evolve, address_sets),
}

# 2: mailboxes that are named by an e-mail address, in any spelling and under any provider; archived inboxes.
# 3: mailboxes that are named by a login that reads as an e-mail address, such as bob@corp.local.
SET_VERSION: Final = SetVersion(3, lambda event: names_a_mailbox(event) or isinstance(event, InboxArchived))


def names_a_mailbox(event: Event) -> bool:
    identity = event.provider_identity if isinstance(event, PersonalConnected | TeamConnected | Reconnected) else None
    return identity is not None and "@" in identity
