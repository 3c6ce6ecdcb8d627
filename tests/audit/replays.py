"""The versions of rows that a story makes, and what people could do by them: without a database."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from services.audit.domain import facts
from services.audit.domain.access import Interval, intervals
from services.audit.domain.facts import AddressFacts, InboxFacts, Life, Teams, UserFacts
from services.audit.domain.places import Place, place_of_address, place_of_inbox, sends_of_inbox
from services.audit.domain.spans import Version
from shared.core.state.fold import fold
from shared.language import events as e
from shared.language.recorded import Recorded
from shared.projections.events import key_of

Versions = list[Version[Any]]


class Replay:
    """Every version of each row of one account's events; nothing after `last` counts."""

    def __init__(self, recorded: Sequence[Recorded]) -> None:
        self.recorded = recorded
        self._versions: defaultdict[tuple[str, str], Versions] = defaultdict(list)
        for one in recorded:
            versions = self._versions[(one.event.aggregate, key_of(one))]
            before = versions[-1].row if versions else None
            if versions:
                versions[-1] = versions[-1]._replace(until=one.position)
            versions.append(Version(fold(before, one), one.position, None))

    def versions(self, aggregate: str, name: str) -> Versions:
        return self._versions.get((aggregate, name), [])

    def names(self, aggregate: str) -> list[str]:
        return sorted(name for kind, name in self._versions if kind == aggregate)

    def rows_at(self, aggregate: str, position: int) -> dict[str, Any]:
        """The rows of one kind as of a position, by name."""
        return {
            name: version.row
            for name in self.names(aggregate)
            for version in self.versions(aggregate, name)
            if version.position <= position and (version.until is None or position < version.until)
        }

    # ---- facts

    def user(self, name: str) -> UserFacts:
        added = [(one.position, one.event) for one in self.recorded if isinstance(one.event, e.UserAdded)]
        lives = [Life(position, event.name) for position, event in added if event.user == name]
        return facts.user_facts(name, self.versions("user", name), lives)

    def inbox(self, name: str) -> InboxFacts:
        return facts.inbox_facts(self.versions("inbox", name))

    def address(self, name: str) -> AddressFacts:
        return facts.address_facts(self.versions("address", name))

    def teams(self) -> Teams:
        found: dict[str, Versions] = {}
        for account in self.names("account"):
            for row, position, until in self.versions("account", account):
                for team, one in row["teams"].items():
                    found.setdefault(team, []).append(Version(one, position, until))
        return {team: facts.team_facts(versions) for team, versions in found.items()}

    # ---- access

    def at_address(self, name: str) -> Place:
        address = self.address(name)
        primaries = [(primary, self.address(primary)) for primary in address.primaries]
        return place_of_address(address, self._inboxes(), self.teams(), primaries)

    def at_inbox(self, name: str) -> Place:
        sends = sends_of_inbox(name, map(self.address, self.names("address")))
        return place_of_inbox(name, self.inbox(name), self.teams(), sends)

    def intervals(self, place: Place) -> list[Interval]:
        return [one for user in self.names("user") for one in intervals(place, self.user(user))]

    def _inboxes(self) -> dict[str, InboxFacts]:
        return {name: self.inbox(name) for name in self.names("inbox")}
