"""An account as it will be while a plan is carried out, step by step: what is there, and what the steps before made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from services.ops.loading.plan import Clash, Plan, Present, Step, Thing, Told
from shared.core.names import name_key
from shared.core.policies import holds
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
class Held:
    """An address that somebody holds; of an alias, `primary` is whose."""

    kind: str
    owner: str | None
    inbox: str | None
    orphaned: bool = False
    primary: str | None = None
    from_name: str | None = None

    @property
    def holder(self) -> str:
        return f"the inbox {self.inbox}" if self.kind == "team" else str(self.owner)


class Draft:
    """What the rows so far make of the account, and the plan that grows with them."""

    def __init__(self, there: Present) -> None:
        self.plan = Plan()
        self.there = there
        self.users = {
            one.user: DraftUser(one.status == "active", frozenset(one.permissions))
            for one in there.users.values()
            if one.status != "removed"
        }
        self.teams = {one.team: one.name for one in there.teams.values()}
        self.inboxes = {one.inbox: DraftInbox(one.name, one.archived) for one in there.inboxes.values()}
        if not there.registered:
            # A new account has its first inbox from the beginning.
            self.inboxes["inbox"] = DraftInbox("Inbox", archived=False)
        self.names = {name_key(one.name): inbox for inbox, one in self.inboxes.items()}
        self.room = there.room
        self.addresses = {
            one.address: Held(one.kind or "", one.owner, one.inbox, one.state == "orphaned", one.primary, one.from_name)
            for one in there.addresses.values()
        }
        self._made: dict[Thing, set[int]] = {}

    @property
    def super_admins(self) -> set[str]:
        return {name for name, user in self.users.items() if user.active and holds(user.permissions, "super_admin")}

    def step(
        self,
        row: Any,
        what: str,
        command: str,
        fields: Mapping[str, Any],
        *,
        needs: Iterable[Thing] = (),
        makes: Iterable[Thing] = (),
    ) -> bool:
        """Plan a command; whether it was planned. What the message itself does not allow is a clash."""
        if why := _why_not_readable(command, fields):
            self.clash(row, what, why, command, fields)
            return False
        makes = tuple(makes)
        before = frozenset(one for thing in (*needs, *makes) for one in self._made.get(thing, ()))
        for thing in makes:
            self._made.setdefault(thing, set()).add(len(self.plan.steps))
        self.plan.steps.append(Step(row.file, row.line, what, command, fields, before))
        return True

    def clash(self, row: Any, what: str, why: str, command: str, fields: Mapping[str, Any]) -> None:
        self.plan.clashes.append(Clash(Told(row.file, row.line, what, why), command, fields))

    def left(self, row: Any, what: str, why: str) -> None:
        """Note a row that no command makes so."""
        self.plan.left.append(Told(row.file, row.line, what, why))

    def change_user(self, name: str, **to: Any) -> None:
        self.users[name] = replace(self.users[name], **to)

    def rename_inbox(self, inbox: str, name: str) -> None:
        former = self.inboxes.get(inbox)
        if former is not None and self.names.get(name_key(former.name)) == inbox:
            del self.names[name_key(former.name)]
        self.inboxes[inbox] = DraftInbox(name, former.archived if former else False)
        self.names[name_key(name)] = inbox


def _why_not_readable(command: str, fields: Mapping[str, Any]) -> str:
    message = COMMANDS.get(command)
    if message is None:
        return f"would become {command}, and there is no such command"
    try:
        message.model_validate({"actor": "service:directory", **fields})
    except ValidationError as error:
        first = problems_of(error)[0]
        return f"has a {first['field']} that cannot be: {first['message']}"
    return ""
