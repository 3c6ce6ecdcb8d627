"""Random histories of one account: every event is possible in the state before it."""

import random
from collections.abc import Callable, Iterator

from shared.core.state.fold import fold
from shared.core.state.rows import AddressRow
from shared.language import events as e
from shared.language.text import Access, Permission
from shared.projections.events import key_of
from tests.inbox_views.stories import Story, beginning, personal, team

ADDRESSES = tuple(f"{name}@acme.example" for name in ("ann", "ben", "cat", "dan"))
USERS, INBOXES, TEAMS = ("ana", "bob", "cleo", "dora"), ("inbox", "sales", "help"), ("north", "south")
PERMISSIONS: tuple[tuple[Permission, ...], ...] = (
    (), ("account_access",), ("personal_email_access",), ("super_admin",), ("super_admin", "personal_email_access"),
)  # fmt: skip


class Chance:
    """Chooses events that may come next, from the rows so far."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  the same history for the same seed
        self._story = beginning()

    def story(self, events: int) -> Story:
        choices: list[Callable[[], Iterator[e.Event]]] = [
            self._of_user, self._of_user, self._of_team, self._of_inbox, self._of_inbox, self._of_address,
            self._of_address, self._of_address,
        ]  # fmt: skip
        while self._story.end < events:
            self._story.tell(*self._random.choice(choices)())
        return self._story

    def _row(self, aggregate: str, name: str) -> dict[str, object] | None:
        row = None
        for one in self._story.recorded:
            if (one.event.aggregate, key_of(one)) == (aggregate, name):
                row = fold(row, one)
        return None if row is None else dict(row)

    def _some(self, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if self._random.random() < 0.5)

    def _one(self, *names: str) -> str:
        return self._random.choice(names)

    def _of_user(self) -> Iterator[e.Event]:
        name = self._one(*USERS)
        row = self._row("user", name)
        permissions = self._random.choice(PERMISSIONS)
        if row is None or (row["status"] == "removed" and self._random.random() < 0.5):
            yield e.UserAdded(user=name, name=name.title(), permissions=permissions)
        elif row["status"] == "active":
            yield self._random.choice(
                (
                    e.UserDeactivated(user=name),
                    e.PermissionsChanged(user=name, permissions=permissions),
                    e.SignatureChanged(user=name, signature="Regards"),
                )
            )
        elif row["status"] == "deactivated" and self._random.random() < 0.5:
            yield e.UserRemoved(user=name, policy="orphan")
            for address in ADDRESSES:
                claim = self._row("address", address)
                if claim is not None and claim["owner"] == name and not claim["orphaned"]:
                    yield e.AddressOrphaned(address=address, owner=name)
        else:
            yield e.UserReactivated(user=name)

    def _of_team(self) -> Iterator[e.Event]:
        name, members = self._one(*TEAMS), self._some(USERS)
        teams = (self._row("account", "acme") or {})["teams"]
        if isinstance(teams, dict) and name in teams:
            yield e.TeamMembersChanged(team=name, members=members)
        else:
            yield e.TeamCreated(team=name, name=name.title(), members=members)

    def _of_inbox(self) -> Iterator[e.Event]:
        name = self._one(*INBOXES)
        access: Access = "everyone" if self._random.random() < 0.3 else "members"
        members, teams = ((), ()) if access == "everyone" else (self._some(USERS), self._some(TEAMS))
        if (row := self._row("inbox", name)) is None:
            yield e.InboxCreated(inbox=name, name=name.title(), access=access, members=members, teams=teams)
        elif row["archived"]:
            yield e.InboxRestored(inbox=name)
        elif self._random.random() < 0.2:
            # Its addresses may be in it still, although no command allows that.
            yield e.InboxArchived(inbox=name)
        else:
            yield e.InboxAccessChanged(inbox=name, access=access, members=members, teams=teams)

    def _of_address(self) -> Iterator[e.Event]:
        name = self._one(*ADDRESSES)
        row = self._row("address", name)
        if row is None or (row["kind"] is None and row["primary"] is None):
            yield self._claim(name)
        elif row["primary"] is not None:
            yield from self._of_alias(name, str(row["primary"]))
        else:
            yield from self._of_claim(name, row)

    def _claim(self, name: str) -> e.Event:
        held = [one for one in ADDRESSES if (self._row("address", one) or {"kind": None})["kind"] is not None]
        if held and self._random.random() < 0.4:
            return e.AliasAdded(address=name, display=name, primary=self._one(*held), canonical_form=1)
        return personal(name, self._one(*USERS)) if self._random.random() < 0.5 else team(name, self._one(*INBOXES))

    def _of_alias(self, name: str, primary: str) -> Iterator[e.Event]:
        claim = self._row("address", primary)
        if claim is None or claim["kind"] is None or self._random.random() < 0.4:
            yield e.AliasRemoved(address=name, primary=primary)
            return
        others = [one for one in ADDRESSES if (self._row("address", one) or {}).get("primary") == primary]
        for address in (name, primary, *(one for one in others if one != name)):
            yield e.AliasPromoted(
                address=address, primary=name, former_primary=primary, since=str(claim["since"]),
                reauthentication_required=bool(claim["reauthenticate"]),
                **{field: claim[field] for field in ("kind", "owner", "inbox", "connector", "receiving", "sending")},
            )  # fmt: skip

    def _of_claim(self, name: str, row: dict[str, object]) -> Iterator[e.Event]:
        owner, inbox, sending = self._one(*USERS), self._one(*INBOXES), self._random.random() < 0.5
        events: list[e.Event] = [
            e.ReauthenticationRequired(address=name, cause="expired"),
            e.Reconnected(address=name),
            e.ConnectionPaused(address=name, receive=True, send=True, receiving=True, sending=sending),
        ]
        if row["kind"] == "personal":
            former = str(row["owner"])
            if row["orphaned"]:
                events.append(e.AddressReclaimed(address=name, from_=former, owner=owner, cause="reclaimed"))
                events.append(e.AddressReleased(address=name, owner=former))
            else:
                events.append(e.OwnershipTransferred(address=name, from_=former, to=owner))
            events.append(e.ConnectionConverted(address=name, from_="personal", to="team", owner=former, inbox=inbox))
        else:
            former = str(row["inbox"])
            events.append(e.TeamAddressMoved(address=name, from_=former, to=inbox))
            events.append(e.ConnectionConverted(address=name, from_="team", to="personal", owner=owner, inbox=former))
        if self._random.random() < 0.2:
            yield e.Disconnected(address=name, kind="team" if row["kind"] == "team" else "personal")
        else:
            yield self._random.choice(events)


def aliases_of(rows: dict[str, AddressRow], primary: str) -> list[AddressRow]:
    return [row for _, row in sorted(rows.items()) if row["primary"] == primary]
