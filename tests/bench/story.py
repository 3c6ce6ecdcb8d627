"""The past of many accounts, as commands: people come and go, addresses move, some attempts are refused."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice

from services.connections.envelope import CommandEnvelope
from tests.bench.rebuild import command_of

USERS, INBOXES, TEAMS = 30, 10, 3
PERSONAL = ["personal_email_access"]
ADMINISTRATOR = ["personal_email_access", "account_access"]
# One step in so many changes people, teams or inboxes; the others change addresses.
STEPS_BETWEEN_PEOPLE = 8


@dataclass
class AccountStory:
    """One account; `steps` never ends."""

    account: str
    dice: random.Random
    owned: list[tuple[str, str]] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    number: int = 0

    def steps(self) -> Iterator[CommandEnvelope]:
        """The commands that begin the account, then those of its daily life."""
        yield from self._beginning()
        while True:
            self.number += 1
            yield self._people() if self.number % STEPS_BETWEEN_PEOPLE == 0 else self._addresses()

    def _beginning(self) -> Iterator[CommandEnvelope]:
        yield self._give("RegisterAccount", "service:bench", plan="enterprise", admin="ana")
        for number in range(USERS):
            user = f"user{number}"
            yield self._give("AddUser", user=user, name=f"User {number}", permissions=PERSONAL)
        for number in range(TEAMS):
            yield self._give("CreateTeam", team=f"team{number}", name=f"Team {number}", members=self._some_users())
        for number in range(INBOXES):
            members = self._some_users()
            yield self._give("CreateInbox", inbox=f"inbox{number}", name=f"Inbox {number}", members=members)

    def _addresses(self) -> CommandEnvelope:
        match self.dice.choices(range(7), weights=(30, 20, 15, 10, 10, 10, 5))[0]:
            case 0:
                return self._connect_personal()
            case 1:
                return self._connect_team()
            case 2 if self.shared:
                address = self.dice.choice(self.shared)
                return self._give("MoveTeamAddress", address=address, to_inbox=self._inbox())
            case 3 if self.owned:
                return self._transfer()
            case 4 if self.owned:
                address, owner = self.dice.choice(self.owned)
                return self._give("SetFromName", owner, address=address, from_name=f"Name {self.number}")
            case 5 if self.owned:
                address, owner = self.owned.pop(self.dice.randrange(len(self.owned)))
                return self._give("Disconnect", address=address)
            case 6 if self.owned:
                return self._refused_attempt()
            case _:
                return self._connect_personal()

    def _connect_personal(self) -> CommandEnvelope:
        user, address = self._user(), f"p{self.number}@{self.account}.example"
        if user not in self.away:
            self.owned.append((address, user))
        return self._give("ConnectPersonal", user, owner=user, address=address)

    def _connect_team(self) -> CommandEnvelope:
        address = f"t{self.number}@{self.account}.example"
        self.shared.append(address)
        return self._give("ConnectTeam", address=address, inbox=self._inbox(), visibility_acknowledged=True)

    def _transfer(self) -> CommandEnvelope:
        place, user = self.dice.randrange(len(self.owned)), self._user()
        address, _ = self.owned[place]
        if user not in self.away:
            self.owned[place] = (address, user)
        return self._give("TransferOwnership", address=address, new_owner=user)

    def _refused_attempt(self) -> CommandEnvelope:
        address, owner = self.dice.choice(self.owned)
        other = next(user for user in (self._user() for _ in range(USERS * USERS)) if user != owner)
        return self._give("ConnectPersonal", other, owner=other, address=address)

    def _people(self) -> CommandEnvelope:
        match self.dice.randrange(5):
            case 0:
                return self._give("SetTeamMembers", team=self._team(), members=self._some_users())
            case 1:
                return self._give("SetInboxAccess", inbox=self._inbox(), access="everyone")
            case 2:
                members, teams = self._some_users(), [self._team()]
                return self._give("SetInboxAccess", inbox=self._inbox(), access="members", members=members, teams=teams)
            case 3:
                permissions = self.dice.choice((PERSONAL, ADMINISTRATOR))
                return self._give("SetPermissions", user=self._user(), permissions=permissions)
            case _:
                return self._come_or_go()

    def _come_or_go(self) -> CommandEnvelope:
        if self.away:
            return self._give("ReactivateUser", user=self.away.pop())
        user = self._user()
        self.away.add(user)
        return self._give("DeactivateUser", user=user)

    def _give(self, command: str, actor: str = "ana", /, **body: object) -> CommandEnvelope:
        return command_of(self.account, command, actor=actor, **body)

    def _user(self) -> str:
        return f"user{self.dice.randrange(USERS)}"

    def _inbox(self) -> str:
        return f"inbox{self.dice.randrange(INBOXES)}"

    def _team(self) -> str:
        return f"team{self.dice.randrange(TEAMS)}"

    def _some_users(self) -> list[str]:
        return [f"user{number}" for number in sorted(self.dice.sample(range(USERS), self.dice.randint(2, 8)))]


def past(accounts: int, seed: int = 14) -> Iterator[CommandEnvelope]:
    """Commands of all accounts in turns, without end; the same for the same seed, ids and times aside."""
    stories = [AccountStory(f"bench{number}", random.Random(f"{seed} {number}")).steps() for number in range(accounts)]  # noqa: S311
    while True:
        yield from chain.from_iterable(list(islice(story, 4)) for story in stories)
