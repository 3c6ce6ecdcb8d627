"""One phrase for each command: what the actor tried to do. It follows `tried to`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from services.audit.domain import wording as w
from shared.language import commands as c
from shared.language.commands import Command

# From the command and its actor.
Phrase = Callable[[Any, str], str]

REMOVED_WITH: Final[Mapping[str, str]] = {
    "orphan": "leave any personal addresses without an owner",
    "release": "release any personal addresses",
}


def _remove_user(command: c.RemoveUser, _: str) -> str:
    if command.policy == "transfer_to":
        return f"remove the user {command.user} and give any personal addresses to {command.new_owner}"
    return f"remove the user {command.user} and {REMOVED_WITH[command.policy]}"


def _create_inbox(command: c.CreateInbox, _: str) -> str:
    who = "everyone" if command.members is None else w.people(command.members)
    return f"create the inbox {command.inbox} ({w.quoted(command.name)}) for {who}"


def _inbox_access(command: c.SetInboxAccess, _: str) -> str:
    if command.access == "everyone":
        return f"open the inbox {command.inbox} to everyone"
    return f"set the members of the inbox {command.inbox} to {w.people(command.members, command.teams)}"


def _convert(command: c.ConvertConnection, _: str) -> str:
    if command.to == "team":
        return f"make {command.address} an address of the inbox {command.inbox}"
    return f"make {command.address} a personal address of {command.owner}"


def _archive(command: c.ArchiveInbox, _: str) -> str:
    return f"archive the inbox {command.inbox}{' and disconnect its addresses' if command.cascade else ''}"


def _ways(command: c.Pause) -> str:
    neither = not command.receive and not command.send
    return w.ways(bool(command.receive) or neither, bool(command.send) or neither)


def _font(command: c.SetDefaultFont, actor: str) -> str:
    size = "" if command.size is None else f", {command.size} points"
    return f"set {w.own('font', command.user, actor)} to {w.quoted(command.font)}{size}"


COMMAND_PHRASES: Final[Mapping[type[Command], Phrase]] = {
    # ---- account
    c.RegisterAccount: lambda it, _: f"register the account with the plan {it.plan} and the first user {it.admin}",
    c.ChangePlan: lambda it, _: f"change the plan to {it.plan}",
    c.CreateTeam: lambda it, _: f"create the team {it.team} ({w.quoted(it.name)}) with {w.people(it.members)}",
    c.SetTeamMembers: lambda it, _: f"set the members of the team {it.team} to {w.people(it.members)}",
    c.SetAccountNeverLog: lambda it, _: f"set the never-log list of the account to {w.listed(it.entries, 'none')}",
    # ---- user
    c.AddUser: lambda it, _: f"add the user {it.user} ({w.quoted(it.name)}) with {w.permissions(it.permissions)}",
    c.SetPermissions: lambda it, _: f"set the permissions of {it.user} to {w.words(it.permissions, 'none')}",
    c.AssignSeat: lambda it, _: f"give {it.user} a seat",
    c.UnassignSeat: lambda it, actor: f"take {w.own('seat', it.user, actor)} away",
    c.DeactivateUser: lambda it, _: f"deactivate the user {it.user}",
    c.ReactivateUser: lambda it, _: f"bring the user {it.user} back",
    c.RemoveUser: _remove_user,
    c.SetAvailability: lambda it, actor: (
        f"set {w.own('availability', it.user, actor)} to {it.availability}{w.because(it.cause)}"
    ),
    c.SetDefaultSender: lambda it, actor: f"set {w.own('default sender', it.user, actor)} to {it.address}",
    c.SetSignature: lambda it, actor: f"change {w.own('signature', it.user, actor)}",
    c.SetDefaultFont: _font,
    c.SetLoggingPreferences: lambda it, actor: f"set {w.own('logging', it.user, actor)}",
    # ---- inbox
    c.CreateInbox: _create_inbox,
    c.RenameInbox: lambda it, _: f"rename the inbox {it.inbox} to {w.quoted(it.name)}",
    c.SetInboxAccess: _inbox_access,
    c.SetRouting: lambda it, _: f"set the rule of the inbox {it.inbox}: {w.rule_in_words(it.rule)}",
    c.ArchiveInbox: _archive,
    c.RestoreInbox: lambda it, _: f"restore the inbox {it.inbox}",
    # ---- address
    c.ConnectPersonal: lambda it, actor: f"connect {it.address} as {w.own('personal address', it.owner, actor)}",
    c.ConnectTeam: lambda it, _: f"connect {it.address} to the inbox {it.inbox}",
    c.Disconnect: lambda it, _: f"disconnect {it.address}{w.because(it.note)}",
    c.RequireReauthentication: lambda it, _: (
        f"report that {it.address} must be authenticated again{w.because(it.cause)}"
    ),
    c.Reconnect: lambda it, _: f"report that the connection of {it.address} works again",
    c.Pause: lambda it, _: f"pause {_ways(it)} {it.address}",
    c.Resume: lambda it, _: f"resume {_ways(it)} {it.address}",
    c.MoveTeamAddress: lambda it, _: f"move {it.address} to the inbox {it.to_inbox}",
    c.ConvertConnection: _convert,
    c.TransferOwnership: lambda it, _: f"transfer {it.address} to {it.new_owner}",
    c.ReclaimAddress: lambda it, _: f"give the address {it.address}, which has no owner, to {it.new_owner}",
    c.ReleaseAddress: lambda it, _: f"release {it.address}",
    c.BindTool: lambda it, _: f"let the tool {w.plain(it.tool)} use {it.address}",
    c.UnbindTool: lambda it, _: f"stop the tool {w.plain(it.tool)} from using {it.address}",
    c.AddAlias: lambda it, _: f"add {it.alias} as an alias of {it.address}",
    c.RemoveAlias: lambda it, _: f"remove {it.alias} as an alias of {it.address}",
    c.PromoteAlias: lambda it, _: f"make the alias {it.alias} the primary address in place of {it.address}",
    c.SetFromName: lambda it, _: f"set the From name of {it.address} to {w.quoted(it.from_name)}",
}
