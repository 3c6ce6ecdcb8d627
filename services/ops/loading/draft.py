"""A draft of the account: its state now, and as the planned steps change it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from services.ops.loading.plan import AccountState, Clash, Plan, RowNote, Step, Thing
from shared.core.names import name_key
from shared.language.commands import COMMANDS
from shared.messaging.json_body import problems_of


@dataclass(frozen=True)
class DraftUser:
    active: bool
    permissions: frozenset[str]


@dataclass(frozen=True)
class DraftInbox:
    name: str
    archived: bool


@dataclass(frozen=True)
class DraftAddress:
    """A connected address or its alias; `primary` is the address that an alias follows."""

    kind: str
    owner: str | None
    inbox: str | None
    orphaned: bool = False
    primary: str | None = None
    from_name: str | None = None


class Draft:
    """The account after the rows so far, and the plan that leads there."""

    def __init__(self, account: AccountState) -> None:
        self.plan = Plan()
        self.account = account
        self.users = {
            one.user: DraftUser(one.status == "active", frozenset(one.permissions))
            for one in account.users.values()
            if one.status != "removed"
        }
        self.teams = {one.team: one.name for one in account.teams.values()}
        self.inboxes = {one.inbox: DraftInbox(one.name, one.archived) for one in account.inboxes.values()}
        if not account.registered:
            # RegisterAccount creates the first inbox.
            self.inboxes["inbox"] = DraftInbox("Inbox", archived=False)
        self.names = {name_key(one.name): inbox for inbox, one in self.inboxes.items()}
        self.addresses = {
            one.address: DraftAddress(
                one.kind or "", one.owner, one.inbox, one.state == "orphaned", one.primary, one.from_name
            )
            for one in account.addresses.values()
        }
        self._made: dict[Thing, set[int]] = {}

    def step(
        self,
        row: Any,
        what: str,
        command: str,
        fields: Mapping[str, Any],
        *,
        needs: Iterable[Thing] = (),
        makes: Iterable[Thing] = (),
        lenient: bool = False,
    ) -> bool:
        """Plan a command and return True; fields that the message does not allow are a clash."""
        if why := _message_error(command, fields):
            self.clash(row, what, why, command, fields)
            return False
        makes, needs = tuple(makes), tuple(needs)
        before = frozenset(one for thing in (*needs, *makes) for one in self._made.get(thing, ()))
        # A command for an address that the load did not get would change another holder's address.
        addresses = [thing for thing in (*needs, *makes) if thing[0] == "address"]
        requires = frozenset(one for thing in addresses for one in self._made.get(thing, ()))
        for thing in makes:
            self._made.setdefault(thing, set()).add(len(self.plan.steps))
        self.plan.steps.append(Step(row.file, row.line, what, command, fields, before, requires, lenient))
        return True

    def clash(self, row: Any, what: str, why: str, command: str, fields: Mapping[str, Any]) -> None:
        self.plan.clashes.append(Clash(RowNote(row.file, row.line, what, why), command, fields))

    def left(self, row: Any, what: str, why: str) -> None:
        """Note a row that no command can make match."""
        self.plan.left.append(RowNote(row.file, row.line, what, why))

    def change_user(self, name: str, **to: Any) -> None:
        self.users[name] = replace(self.users[name], **to)

    def rename_inbox(self, inbox: str, name: str) -> None:
        former = self.inboxes.get(inbox)
        if former is not None and self.names.get(name_key(former.name)) == inbox:
            del self.names[name_key(former.name)]
        self.inboxes[inbox] = DraftInbox(name, former.archived if former else False)
        self.names[name_key(name)] = inbox


def _message_error(command: str, fields: Mapping[str, Any]) -> str:
    message = COMMANDS.get(command)
    if message is None:
        return f"would need the command {command}, which does not exist"
    try:
        message.model_validate({"actor": "service:directory", **fields})
    except ValidationError as error:
        first = problems_of(error)[0]
        return f"has an invalid {first['field']}: {first['message']}"
    return ""
