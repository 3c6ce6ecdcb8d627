"""Addresses of a directory and their aliases, compared with those that are there."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from services.ops.loading.directory import AddressRow, Directory
from services.ops.loading.draft import Draft, Held
from services.ops.loading.people_plan import firsts, where_of
from services.ops.loading.plan import Thing
from shared.core.address import AddressInvalid, canonical
from shared.core.policies import holds


class Wanted(NamedTuple):
    """A row whose address can be one: `address` is its canonical form."""

    row: AddressRow
    address: str

    @property
    def team(self) -> bool:
        return self.row.kind == "team"

    @property
    def holder(self) -> str:
        return f"the inbox {self.row.inbox}" if self.team else self.row.owner

    @property
    def connect(self) -> tuple[str, dict[str, Any]]:
        """The command that would connect it if nobody had it."""
        row = self.row
        fields: dict[str, Any] = {"address": row.address}
        if self.team:
            fields |= {"inbox": row.inbox, "visibility_acknowledged": True}
        else:
            fields["owner"] = row.owner
        fields |= {name: value for name in ("provider", "from_name") if (value := getattr(row, name))}
        # Of a kind that is neither there is no such command.
        return f"Connect{row.kind.title()}", fields


def plan_addresses(draft: Draft, found: Directory) -> None:
    """All primary addresses before all aliases: what is the primary of one row is no alias of another."""
    connected: list[Wanted] = []
    rows = [row for row in found.addresses if not row.trouble and _is_address(row.address)]
    first = firsts(rows, lambda row: canonical(row.address).address)
    for row in found.addresses:
        if row.trouble:
            draft.clash(row, row.address, row.trouble, *Wanted(row, "").connect)
            continue
        try:
            wanted = Wanted(row, canonical(row.address).address)
        except AddressInvalid as error:
            draft.clash(row, row.address, f"is no e-mail address: {error.what}", *Wanted(row, "").connect)
            continue
        earlier = first[wanted.address]
        if earlier is not row:
            same = (earlier.owner, earlier.inbox) == (row.owner, row.inbox)
            other = "too" if same else f"for {Wanted(earlier, '').holder}"
            draft.clash(row, row.address, f"is in {where_of(earlier, row.file)} {other}", *wanted.connect)
        elif _plan_primary(draft, wanted, first):
            connected.append(wanted)
    for wanted in connected:
        for alias in wanted.row.aliases:
            _plan_alias(draft, wanted, alias, first)


def _is_address(text: str) -> bool:
    try:
        canonical(text)
    except AddressInvalid:
        return False
    return True


def _plan_primary(draft: Draft, wanted: Wanted, first: Mapping[str, AddressRow]) -> bool:
    """Whether the address will be the holder's, so that its aliases can be his."""
    row, address = wanted.row, wanted.address
    steps = len(draft.plan.steps)
    held = draft.addresses.get(address)
    if why := _why_not_said(draft, wanted):
        draft.clash(row, row.address, why, *wanted.connect)
        return False
    if (former := _renamed(draft, wanted, first)) is not None:
        _promote(draft, wanted, former)
        held = draft.addresses[address]
    if held is not None and held.primary is not None:
        draft.clash(row, row.address, f"is an alias of {held.primary}", *wanted.connect)
        return False
    theirs = held is not None and not held.orphaned and (held.owner, held.inbox) == _holder(wanted)
    if not theirs:
        if why := _why_not_held(draft, wanted):
            return _cannot(draft, wanted, why)
        if not _hand_over(draft, wanted, held):
            return False
        held = draft.addresses[address]
    assert held is not None, "it is theirs now"
    if row.from_name and held.from_name != row.from_name:
        fields = {"address": row.address, "from_name": row.from_name}
        if draft.step(row, row.address, "SetFromName", fields, needs=[("address", address)]):
            draft.addresses[address] = replace(held, from_name=row.from_name)
    if len(draft.plan.steps) == steps:
        draft.plan.unchanged += 1
    return True


def _holder(wanted: Wanted) -> tuple[str | None, str | None]:
    return (None, wanted.row.inbox) if wanted.team else (wanted.row.owner, None)


def _why_not_said(draft: Draft, wanted: Wanted) -> str:
    """What is wrong with the row, whatever is there."""
    row = wanted.row
    match row.kind:
        case "team" if row.owner or not row.inbox:
            return "is team and names an inbox, no owner"
        case "team" if row.inbox not in draft.inboxes:
            return f"names an inbox {row.inbox} that is not there"
        case "team" if draft.inboxes[row.inbox].archived:
            return f"names an inbox {row.inbox} that is archived"
        case "personal" if row.inbox or not row.owner:
            return "is personal and names an owner, no inbox"
        case "personal" if row.owner not in draft.users and not row.lenient:
            return f"names an owner {row.owner} who is no user"
        case "team" | "personal":
            return ""
    return f"is neither personal nor team but {row.kind or 'nothing'}"


def _why_not_held(draft: Draft, wanted: Wanted) -> str:
    """Why nothing can become the owner's now."""
    if wanted.team:
        return ""
    owner = draft.users.get(wanted.row.owner)
    if owner is None:
        return f"names an owner {wanted.row.owner} who is no user"
    if not owner.active:
        return f"names an owner {wanted.row.owner} who is deactivated"
    if not holds(owner.permissions, "personal_email_access"):
        return f"names an owner {wanted.row.owner} who lacks personal_email_access"
    return ""


def _cannot(draft: Draft, wanted: Wanted, why: str) -> bool:
    if wanted.row.lenient:
        draft.left(wanted.row, wanted.row.address, why)
        draft.plan.unchanged += 1
    else:
        draft.clash(wanted.row, wanted.row.address, why, *wanted.connect)
    return False


def _hand_over(draft: Draft, wanted: Wanted, held: Held | None) -> bool:
    """Plan the command that makes it the holder's; whether there is one."""
    row = wanted.row
    new = Held("team" if wanted.team else "personal", *_holder(wanted))
    match held:
        case None:
            command, fields = wanted.connect
            new = replace(new, from_name=row.from_name)
        case Held(kind="team", orphaned=False) if wanted.team:
            command, fields = "MoveTeamAddress", {"address": row.address, "to_inbox": row.inbox}
            new = replace(held, inbox=row.inbox)
        case Held(kind="personal", orphaned=False) if not wanted.team:
            command, fields = "TransferOwnership", {"address": row.address, "new_owner": row.owner}
        case Held(orphaned=True) if not wanted.team:
            command, fields = "ReclaimAddress", {"address": row.address, "new_owner": row.owner}
        case Held(orphaned=True):
            command = "ConvertConnection"
            fields = {"address": row.address, "to": "team", "inbox": row.inbox, "visibility_acknowledged": True}
        case Held():
            why = f"is connected to {held.holder} already: make it {row.kind} with ConvertConnection, or Disconnect it"
            draft.clash(row, row.address, why, *wanted.connect)
            return False
    holder: Thing = ("inbox", row.inbox) if wanted.team else ("user", row.owner)
    if not draft.step(row, row.address, command, fields, needs=[holder], makes=[("address", wanted.address)]):
        return False
    draft.addresses[wanted.address] = new
    return True


def _renamed(draft: Draft, wanted: Wanted, first: Mapping[str, AddressRow]) -> str | None:
    """The former primary address of the mailbox: an alias in the directory, and the primary here."""
    held = draft.addresses.get(wanted.address)
    for alias in wanted.row.aliases:
        former = canonical(alias).address if _is_address(alias) else ""
        primary = draft.addresses.get(former)
        if former in first or primary is None or primary.primary is not None or primary.orphaned:
            continue
        ours = held is None or held.primary == former
        if ours and (primary.owner, primary.inbox) == _holder(wanted):
            return former
    return None


def _promote(draft: Draft, wanted: Wanted, former: str) -> None:
    row = wanted.row
    things: list[Thing] = [("address", former), ("address", wanted.address)]
    fields = {"address": former, "alias": row.address}
    if wanted.address not in draft.addresses:
        draft.step(row, row.address, "AddAlias", fields, makes=things)
    draft.step(row, row.address, "PromoteAlias", fields, makes=things)
    held = draft.addresses[former]
    for name, one in list(draft.addresses.items()):
        if one.primary == former:
            draft.addresses[name] = replace(one, primary=wanted.address)
    draft.addresses[former] = replace(held, primary=wanted.address)
    draft.addresses[wanted.address] = held


def _plan_alias(draft: Draft, wanted: Wanted, alias: str, first: Mapping[str, AddressRow]) -> None:
    row = wanted.row
    fields = {"address": row.address, "alias": alias}
    try:
        name = canonical(alias).address
    except AddressInvalid as error:
        draft.clash(row, alias, f"is no e-mail address: {error.what}", "AddAlias", fields)
        return
    held = draft.addresses.get(name)
    if name == wanted.address:
        return
    if held is not None and held.primary == wanted.address:
        draft.plan.unchanged += 1
    elif held is not None and held.primary is not None:
        draft.clash(row, alias, f"is an alias of {held.primary} already", "AddAlias", fields)
    elif held is not None:
        orphaned = "is orphaned, and was" if held.orphaned else "is"
        why = f"cannot be an alias of {wanted.address}: it {orphaned} an address of {held.holder} itself"
        draft.clash(row, alias, why, "AddAlias", fields)
    elif name in first:
        why = f"is the address of {where_of(first[name], row.file)}, and an alias of {wanted.address}"
        draft.clash(row, alias, why, "AddAlias", fields)
    else:
        both: list[Thing] = [("address", name)]
        if draft.step(row, alias, "AddAlias", fields, needs=[("address", wanted.address)], makes=both):
            draft.addresses[name] = Held(
                "team" if wanted.team else "personal", *_holder(wanted), primary=wanted.address
            )
