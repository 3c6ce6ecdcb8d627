"""Addresses of a directory and their aliases, compared with the account."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from services.ops.loading.directory import AddressRow, Directory
from services.ops.loading.draft import Draft, DraftAddress
from services.ops.loading.people_plan import firsts, where_of
from services.ops.loading.plan import Thing
from shared.core.address import InvalidAddressError, canonical


class WantedAddress(NamedTuple):
    """A row with a valid address; `address` is its canonical form."""

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
        """The command that connects the address when it is free."""
        row = self.row
        fields: dict[str, Any] = {"address": row.address}
        if self.team:
            fields |= {"inbox": row.inbox, "visibility_acknowledged": True}
        else:
            fields["owner"] = row.owner
        fields |= {name: value for name in ("provider", "from_name") if (value := getattr(row, name))}
        # For another kind this command does not exist, and the row is refused.
        return f"Connect{row.kind.title()}", fields


def plan_addresses(draft: Draft, directory: Directory) -> None:
    """Plan primary addresses before aliases: the primary address of one row cannot be an alias of another."""
    connected: list[WantedAddress] = []
    rows = [row for row in directory.addresses if not row.error and _is_address(row.address)]
    first = firsts(rows, lambda row: canonical(row.address).address)
    for row in directory.addresses:
        if row.error:
            draft.clash(row, row.address, row.error, *WantedAddress(row, "").connect)
            continue
        try:
            wanted = WantedAddress(row, canonical(row.address).address)
        except InvalidAddressError as error:
            draft.clash(
                row, row.address, f"is not a valid e-mail address: {error.what}", *WantedAddress(row, "").connect
            )
            continue
        earlier = first[wanted.address]
        if earlier is not row:
            same = (earlier.owner, earlier.inbox) == (row.owner, row.inbox)
            other = "too" if same else f"for {WantedAddress(earlier, '').holder}"
            draft.clash(row, row.address, f"is in {where_of(earlier, row.file)} {other}", *wanted.connect)
        elif _plan_primary(draft, wanted, first):
            connected.append(wanted)
    for wanted in connected:
        for alias in wanted.row.aliases:
            _plan_alias(draft, wanted, alias, first)


def _is_address(text: str) -> bool:
    try:
        canonical(text)
    except InvalidAddressError:
        return False
    return True


def _plan_primary(draft: Draft, wanted: WantedAddress, first: Mapping[str, AddressRow]) -> bool:
    """Plan the address; return whether it will be the holder's, so that its aliases can follow."""
    row, address = wanted.row, wanted.address
    steps = len(draft.plan.steps)
    held = draft.addresses.get(address)
    if why := _row_error(row):
        draft.clash(row, row.address, why, *wanted.connect)
        return False
    if (former := _renamed(draft, wanted, first)) is not None:
        _promote(draft, wanted, former)
        held = draft.addresses[address]
    theirs = held is not None and not (held.orphaned or held.primary) and (held.owner, held.inbox) == _holder(wanted)
    if not theirs:
        if not _hand_over(draft, wanted, held):
            return False
        held = draft.addresses[address]
    assert held is not None, "the step before connected it"
    if row.from_name and held.from_name != row.from_name:
        fields = {"address": row.address, "from_name": row.from_name}
        if draft.step(row, row.address, "SetFromName", fields, needs=[("address", address)]):
            draft.addresses[address] = replace(held, from_name=row.from_name)
    if len(draft.plan.steps) == steps:
        draft.plan.unchanged += 1
    return True


def _holder(wanted: WantedAddress) -> tuple[str | None, str | None]:
    return (None, wanted.row.inbox) if wanted.team else (wanted.row.owner, None)


def _row_error(row: AddressRow) -> str:
    """An error of the row itself, independent of the account."""
    match row.kind:
        case "team" if row.owner or not row.inbox:
            return "is a team address: it needs an inbox, and no owner"
        case "personal" if row.inbox or not row.owner:
            return "is a personal address: it needs an owner, and no inbox"
        case "team" | "personal":
            return ""
    return f"has the kind {row.kind or '(empty)'}, which is neither personal nor team"


def _hand_over(draft: Draft, wanted: WantedAddress, held: DraftAddress | None) -> bool:
    """Plan the command that gives it to the holder; return whether one exists."""
    row = wanted.row
    new = DraftAddress("team" if wanted.team else "personal", *_holder(wanted))
    match held:
        case None | DraftAddress(primary=str()):
            # The write side refuses the alias of another address.
            command, fields = wanted.connect
            new = replace(new, from_name=row.from_name)
        case DraftAddress(kind="team", orphaned=False) if wanted.team:
            command, fields = "MoveTeamAddress", {"address": row.address, "to_inbox": row.inbox}
            new = replace(held, inbox=row.inbox)
        case DraftAddress(kind="personal", orphaned=False) if not wanted.team:
            command, fields = "TransferOwnership", {"address": row.address, "new_owner": row.owner}
        case DraftAddress(orphaned=True) if not wanted.team:
            command, fields = "ReclaimAddress", {"address": row.address, "new_owner": row.owner}
        case DraftAddress(orphaned=True):
            command = "ConvertConnection"
            fields = {"address": row.address, "to": "team", "inbox": row.inbox, "visibility_acknowledged": True}
        case DraftAddress():
            # Held as the other kind: people decide whether to convert it, and the write side refuses.
            command, fields = wanted.connect
    holder: Thing = ("inbox", row.inbox) if wanted.team else ("user", row.owner)
    made: list[Thing] = [("address", wanted.address)]
    if not draft.step(row, row.address, command, fields, needs=[holder], makes=made, lenient=row.lenient):
        return False
    draft.addresses[wanted.address] = new
    return True


def _renamed(draft: Draft, wanted: WantedAddress, first: Mapping[str, AddressRow]) -> str | None:
    """The former primary address of a renamed mailbox: an alias in the directory, the primary one here."""
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


def _promote(draft: Draft, wanted: WantedAddress, former: str) -> None:
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


def _plan_alias(draft: Draft, wanted: WantedAddress, alias: str, first: Mapping[str, AddressRow]) -> None:
    row = wanted.row
    fields = {"address": row.address, "alias": alias}
    try:
        name = canonical(alias).address
    except InvalidAddressError as error:
        draft.clash(row, alias, f"is not a valid e-mail address: {error.what}", "AddAlias", fields)
        return
    held = draft.addresses.get(name)
    if name == wanted.address:
        return
    if held is not None and held.primary == wanted.address:
        draft.plan.unchanged += 1
    elif name in first:
        why = f"is an alias of {wanted.address}, but also the address in {where_of(first[name], row.file)}"
        draft.clash(row, alias, why, "AddAlias", fields)
    else:
        both: list[Thing] = [("address", name)]
        if draft.step(row, alias, "AddAlias", fields, needs=[("address", wanted.address)], makes=both):
            draft.addresses[name] = DraftAddress(
                "team" if wanted.team else "personal", *_holder(wanted), primary=wanted.address
            )
