"""Users, teams and inboxes of a directory, compared with the account."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from services.ops.loading.directory import Directory, InboxRow, TeamRow, UserRow
from services.ops.loading.draft import Draft, DraftInbox, DraftUser
from services.ops.loading.plan import RowNote, Thing
from shared.core.names import name_key
from shared.core.policies import holds
from shared.language.answers import InboxEntry, UserEntry
from shared.language.text import IN_WORDS, NEW_ID

IS_ID: Final = re.compile(NEW_ID.removeprefix("^").removesuffix("$"))
ADMINISTRATORS: Final[Thing] = ("administrators", "")
Row = TypeVar("Row")


def plan_users(draft: Draft, directory: Directory) -> None:
    """Plan users. New administrators come first, so that one is left when another loses the permission."""
    first = firsts(directory.users, lambda row: row.user)
    for row in sorted(directory.users, key=lambda row: not holds(row.permissions or (), "super_admin")):
        added = {"user": row.user, "name": row.name, "permissions": list(row.permissions or row.at_first)}
        if why := _id_error(row, row.user, "user", first):
            draft.clash(row, row.user, why, "AddUser", added)
            continue
        entry = draft.account.users.get(row.user)
        if entry is None or entry.status == "removed":
            _add(draft, row, entry)
        else:
            _compare_user(draft, row, entry)


def _add(draft: Draft, row: UserRow, former: UserEntry | None) -> None:
    if former is not None and row.active is False:
        draft.left(row, row.user, "is inactive in the directory and was removed here: they stay removed")
        draft.plan.unchanged += 1
        return
    permissions = list(row.permissions or row.at_first)
    added = {"user": row.user, "name": row.name, "permissions": permissions}
    back = _coming_back(draft, row.user) if holds(permissions, "personal_email_access") else []
    things: list[Thing] = [("user", row.user), *(("address", name) for name in back)]
    if holds(permissions, "super_admin"):
        things.append(ADMINISTRATORS)
    if not draft.step(row, row.user, "AddUser", added, makes=things):
        return
    draft.users[row.user] = DraftUser(True, frozenset(permissions))
    for name in back:
        draft.addresses[name] = replace(draft.addresses[name], orphaned=False)
    if former is not None:
        count = sum(draft.addresses[name].primary is None for name in back)
        why = f"was removed and is added again, with their inboxes, teams and {count} former addresses"
        draft.plan.returning.append(RowNote(row.file, row.line, row.user, why))
    if row.seat:
        draft.step(row, row.user, "AssignSeat", {"user": row.user}, needs=[("user", row.user)])


def _coming_back(draft: Draft, user: str) -> list[str]:
    """The addresses orphaned by the last removal, which come back if the write side confirms their number."""
    orphans = [one for one in draft.account.addresses.values() if one.state == "orphaned" and one.owner == user]
    own = [one for one in orphans if one.primary is None]
    last = max((one.since or "" for one in own), default="")
    names = [one.address for one in own if one.since == last]
    if len(names) != draft.account.come_back.get(user, 0):
        return []
    return names + [one.address for one in orphans if one.primary in names]


def _compare_user(draft: Draft, row: UserRow, entry: UserEntry) -> None:
    steps, clashes = len(draft.plan.steps), len(draft.plan.clashes)
    user: list[Thing] = [("user", row.user)]
    if row.name != entry.name:
        why = f"is named {row.name} in the directory and {entry.name} here: no command renames a user"
        draft.left(row, row.user, why)
    if entry.status == "deactivated" and row.active is None:
        draft.left(row, row.user, "is deactivated here, and the directory does not say whether they are active")
    if (
        entry.status == "deactivated"
        and row.active
        and draft.step(row, row.user, "ReactivateUser", {"user": row.user}, makes=[*user, ADMINISTRATORS])
    ):
        draft.change_user(row.user, active=True)
    if row.permissions is not None and set(row.permissions) != set(entry.permissions):
        _set_permissions(draft, row)
    if row.seat is not None and row.seat != entry.seat:
        draft.step(row, row.user, "AssignSeat" if row.seat else "UnassignSeat", {"user": row.user}, needs=user)
    changes = (steps, clashes) != (len(draft.plan.steps), len(draft.plan.clashes))
    if not changes and not (row.active is False and entry.status == "active"):
        draft.plan.unchanged += 1


def _set_permissions(draft: Draft, row: UserRow) -> None:
    wanted = frozenset(row.permissions or ())
    fields = {"user": row.user, "permissions": list(row.permissions or ())}
    if draft.step(row, row.user, "SetPermissions", fields, makes=_of_admin(draft, row)):
        draft.change_user(row.user, permissions=wanted)


def _of_admin(draft: Draft, row: UserRow) -> list[Thing]:
    admin = holds((*(row.permissions or ()), *draft.users[row.user].permissions), "super_admin")
    return [("user", row.user), *([ADMINISTRATORS] if admin else [])]


def plan_leaving(draft: Draft, directory: Directory) -> None:
    """Deactivate users at the end, once their addresses are connected."""
    for row in firsts(directory.users, lambda row: row.user).values():
        user = draft.users.get(row.user)
        if row.active is not False or user is None or not user.active:
            continue
        admin = holds(user.permissions, "super_admin")
        # Another administrator must have been added before.
        needs: list[Thing] = [("user", row.user), *([ADMINISTRATORS] if admin else [])]
        if draft.step(row, row.user, "DeactivateUser", {"user": row.user}, needs=needs):
            draft.change_user(row.user, active=False)


def plan_teams(draft: Draft, directory: Directory) -> None:
    first = firsts(directory.teams, lambda row: row.team)
    for row in directory.teams:
        members = list(row.members or ())
        fields = {"team": row.team, "members": members}
        why = _id_error(row, row.team, "team", first)
        entry = draft.account.teams.get(row.team)
        if why:
            create = {"team": row.team, "name": row.name, "members": members}
            draft.clash(row, row.team, why, *(("SetTeamMembers", fields) if entry else ("CreateTeam", create)))
        elif entry is None:
            _create_team(draft, row, members)
        else:
            if row.name != entry.name:
                why = f"is named {row.name} in the directory and {entry.name} here: no command renames a team"
                draft.left(row, row.team, why)
            if row.members is None or set(row.members) == set(entry.members):
                draft.plan.unchanged += 1
            else:
                draft.step(row, row.team, "SetTeamMembers", fields, needs=_users(members))


def _create_team(draft: Draft, row: TeamRow, members: list[str]) -> None:
    fields = {"team": row.team, "name": row.name, "members": members}
    if draft.step(row, row.team, "CreateTeam", fields, needs=_users(members), makes=[("team", row.team)]):
        draft.teams[row.team] = row.name


def plan_inboxes(draft: Draft, directory: Directory) -> None:
    """Plan inboxes. Renames come first, so that a name given up by one inbox is free for another."""
    first = firsts(directory.inboxes, lambda row: row.inbox)
    rows = []
    for row in directory.inboxes:
        entry = draft.account.inboxes.get(row.inbox)
        archived = "is archived: restore it with RestoreInbox, or remove the row"
        if why := _id_error(row, row.inbox, "inbox", first) or (archived if entry and entry.archived else ""):
            draft.clash(row, row.inbox, why, "CreateInbox", _created(row))
        else:
            rows.append(row)
    steps, clashes = len(draft.plan.steps), len(draft.plan.clashes)
    _rename(draft, [row for row in rows if row.inbox in draft.inboxes and not row.at_first])
    for row in rows:
        if row.inbox not in draft.inboxes:
            _create_inbox(draft, row)
        elif row.inbox in draft.account.inboxes:
            _set_access(draft, row, draft.account.inboxes[row.inbox])
    touched = {(step.file, step.line) for step in draft.plan.steps[steps:]}
    touched |= {(one.note.file, one.note.line) for one in draft.plan.clashes[clashes:]}
    draft.plan.unchanged += sum((row.file, row.line) not in touched for row in rows)


def _rename(draft: Draft, rows: list[InboxRow]) -> None:
    """Rename in an order in which each name is free when it is taken."""
    waiting = [row for row in rows if draft.inboxes[row.inbox].name != row.name]
    while waiting:
        free = [row for row in waiting if draft.names.get(name_key(row.name), row.inbox) == row.inbox]
        for row in free or waiting:
            if free and draft.names.get(name_key(row.name), row.inbox) != row.inbox:
                # Another row of this round has taken it.
                continue
            fields = {"inbox": row.inbox, "name": row.name}
            former = draft.inboxes[row.inbox].name
            names: list[Thing] = [("name", name_key(former)), ("name", name_key(row.name))]
            if draft.step(row, row.inbox, "RenameInbox", fields, makes=names) and free:
                draft.rename_inbox(row.inbox, row.name)
            waiting = [one for one in waiting if one is not row]
        if not free:
            return


def _created(row: InboxRow) -> dict[str, object]:
    members = [] if row.closed and not row.members else list(row.members or ()) or None
    if members is None and row.teams:
        members = []
    return {"inbox": row.inbox, "name": row.name} | ({} if members is None else {"members": members})


def _create_inbox(draft: Draft, row: InboxRow) -> None:
    fields = _created(row)
    things: list[Thing] = [("inbox", row.inbox), ("name", name_key(row.name))]
    if not draft.step(row, row.inbox, "CreateInbox", fields, needs=_users(row.members or ()), makes=things):
        return
    draft.inboxes[row.inbox] = DraftInbox(row.name, archived=False)
    draft.names[name_key(row.name)] = row.inbox
    if row.teams:
        _give_access(draft, row)


def _set_access(draft: Draft, row: InboxRow, entry: InboxEntry) -> None:
    said = draft.account.access.get(row.inbox)
    same_members = (row.access["access"], set(row.members or ())) == (entry.access, set(entry.members))
    if row.at_first or said is None or (row.teams is None and (row.members is None or same_members)):
        return
    if row.teams is None and said == "teams":
        fields = {"inbox": row.inbox, "access": "members", "members": list(row.members or ())}
        why = "also has teams, which a list of members alone would remove: name them in a column teams"
        draft.clash(row, row.inbox, why, "SetInboxAccess", fields)
        return
    _give_access(draft, row)


def _give_access(draft: Draft, row: InboxRow) -> None:
    members, teams = list(row.members or ()), list(row.teams or ())
    fields = {"inbox": row.inbox, **row.access}
    needs = [*_users(members), *(("team", team) for team in teams), ("inbox", row.inbox)]
    draft.step(row, row.inbox, "SetInboxAccess", fields, needs=needs)


def _users(names: Iterable[str]) -> list[Thing]:
    return [("user", name) for name in names]


def _id_error(row: UserRow | TeamRow | InboxRow, name: str, kind: str, first: Mapping[str, Any]) -> str:
    if not IS_ID.fullmatch(name):
        return f"is not an id of {kind}: {IN_WORDS[NEW_ID].partition(': ')[2]}"
    return "" if first[name] is row else f"is in {where_of(first[name], row.file)} already"


def firsts(rows: Iterable[Row], name: Callable[[Row], str]) -> dict[str, Row]:
    """The first row of each name."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(name(row), row)
    return found


def where_of(row: Any, file: str) -> str:
    return f"line {row.line}" if row.file == file else f"line {row.line} of {row.file}"
