"""A past of commands over a real event store: accepted, unchanged and refused ones, as writers record them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg

from services.connections import parsing
from services.connections.commands import PAGES
from services.connections.decider import Decider
from services.connections.envelope import CommandEnvelope
from services.connections.store.event_store import EventStore
from shared.language import commands as c
from shared.language.commands import Command
from shared.process.clock import new_id
from tests.connections.anything import ADMIN, INBOXES, SERVICE, TEAMS, USERS, any_command, dice_of


class Past:
    """A writer on a database; what it is given is decided and recorded as in a group of commands."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._decider = Decider(EventStore(url, PAGES))

    def close(self) -> None:
        self._decider.store.close()

    def give(self, *commands: Command, account: str = "acme", **more: Any) -> list[dict[str, Any]]:
        """The replies; `more` are further fields of every body."""
        return self.settle([envelope(one, account, **more) for one in commands])

    def message(self, name: str, body: dict[str, Any], account: str = "acme") -> dict[str, Any]:
        """The reply to a body that may be no command."""
        return self.settle([parsing.read(account, name, orjson.dumps(body), None)])[0]

    def settle(self, group: Sequence[CommandEnvelope]) -> list[dict[str, Any]]:
        return [orjson.loads(outcome.reply()) for _, outcome in self._decider.settle(group)]

    def begin(self, account: str = "acme") -> None:
        """An account with an administrator, three users, two inboxes and a team."""
        self.give(
            c.RegisterAccount(actor=SERVICE, plan="professional", admin=ADMIN),
            *(c.AddUser(actor=SERVICE, user=u, name=u, permissions=("personal_email_access",)) for u in USERS[1:]),
            c.CreateInbox(actor=SERVICE, inbox=INBOXES[1], name="One"),
            c.CreateTeam(actor=SERVICE, team=TEAMS[0], name="Crew", members=USERS[:2]),
            account=account,
        )

    def live(self, seed: int, commands: int, accounts: Sequence[str] = ("acme", "zenith")) -> None:
        """Random commands in groups of random sizes, some under one correlation id, some that cannot be read."""
        dice, left = dice_of(seed), commands
        while left > 0:
            size = min(left, dice.choice((1, 1, 2, 5, 20)))
            left -= size
            self.settle([self._any(dice, dice.choice(accounts)) for _ in range(size)])

    @staticmethod
    def _any(dice: Any, account: str) -> CommandEnvelope:
        command = any_command(dice)
        if dice.random() < 0.05:
            return parsing.read(account, type(command).__name__, b'{"actor": "user-1", "mood": "good"}', None)
        correlated = {"correlation_id": f"job-{dice.randint(1, 3)}"} if dice.random() < 0.2 else {}
        if isinstance(command, c.RemoveUser) and dice.random() < 0.8:
            command = c.DeactivateUser(actor=SERVICE, user=command.user)
        return envelope(command, account, **correlated)


def envelope(command: Command, account: str = "acme", **more: Any) -> CommandEnvelope:
    body = command.model_dump(mode="json", by_alias=True, exclude_none=True) | {"command_id": new_id()} | more
    return parsing.read(account, type(command).__name__, orjson.dumps(body), None)


@contextmanager
def past_in(url: str) -> Iterator[Past]:
    past = Past(url)
    try:
        yield past
    finally:
        past.close()


def rows(url: str, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql.encode()).fetchall()


def run(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())
