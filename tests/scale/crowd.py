"""A contended load of mixed commands over many accounts, from one connection that stays out of the way."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import orjson

from shared.process.clock import new_id
from tests.bench.load import PATIENCE_SECONDS, Connection, LoadFailedError

# Account, command, fields.
Wish = tuple[str, str, Mapping[str, object]]

PEOPLE = ("ana", "bob", "cleo", "dora")
ADDRESSES = 2_000


@dataclass(frozen=True)
class Told:
    """What became of a run: commands by outcome, and the seconds it took."""

    outcomes: Counter[str]
    seconds: float


class Crowd:
    """Accounts with four people each, and commands of theirs; `seed` makes it the same again."""

    def __init__(self, url: str, accounts: int, seed: int = 1) -> None:
        self._connection = Connection(url)
        self._chance = Random(seed)  # noqa: S311  seeded
        self._accounts = [f"a{new_id()[-10:]}" for _ in range(accounts)]
        self._outcomes: Counter[str] = Counter()

    @property
    def an_account(self) -> str:
        return self._accounts[0]

    def close(self) -> None:
        self._connection.close()

    def settle_in(self, in_flight: int) -> None:
        """Registers all accounts and their people.

        Raises:
            LoadFailedError: a command was not accepted.
        """
        begin: list[Wish] = [
            (account, "RegisterAccount", {"actor": "service:scale", "plan": "enterprise", "admin": "ana"})
            for account in self._accounts
        ]
        people: list[Wish] = [
            (account, "AddUser", {"actor": "ana", "user": user, "name": user, "permissions": ["personal_email_access"]})
            for account in self._accounts
            for user in PEOPLE[1:]
        ]
        for commands in (begin, people):
            told = self._run(commands, in_flight)
            if set(told.outcomes) != {"accepted"}:
                raise LoadFailedError(f"the accounts could not be made: {told.outcomes}")

    def work(self, commands: int, in_flight: int) -> Told:
        return self._run([self._wish() for _ in range(commands)], in_flight)

    def _wish(self) -> Wish:
        """Half of them claims; the rest changes what claims look at: people and addresses that are there already."""
        chance, owner = self._chance, self._chance.choice(PEOPLE)
        account = chance.choice(self._accounts)
        address = {"address": f"{chance.randrange(ADDRESSES)}@scale.example"}
        match chance.randrange(8):
            case 0:
                return account, "SetSignature", {"actor": owner, "user": owner, "signature": new_id()}
            case 1:
                return account, "BindTool", {"actor": owner, "tool": "sequences", **address}
            case 2:
                return account, "Disconnect", {"actor": "ana", **address}
            case 3:
                return account, "SetFromName", {"actor": "ana", "from_name": new_id(), **address}
            case _:
                return account, "ConnectPersonal", {"actor": owner, "owner": owner, **address}

    def _run(self, commands: Sequence[Wish], in_flight: int) -> Told:
        self._outcomes = Counter()
        sent, began = 0, time.perf_counter()
        heard = began
        while (answered := self._outcomes.total()) < len(commands):
            while sent < len(commands) and sent - answered < in_flight:
                account, name, fields = commands[sent]
                body = orjson.dumps({"command_id": new_id(), **fields})
                self._connection.request(f"switchboard.command.v1.{account}.{name}".encode(), sent, body)
                sent += 1
            self._connection.flush()
            self._connection.receive(PATIENCE_SECONDS, self._take)
            if self._outcomes.total() > answered:
                heard = time.perf_counter()
            elif time.perf_counter() - heard > PATIENCE_SECONDS:
                raise LoadFailedError(f"{sent - answered} commands are not answered after {PATIENCE_SECONDS:g} s")
        return Told(self._outcomes, time.perf_counter() - began)

    def _take(self, _number: int, body: bytes) -> None:
        told = orjson.loads(body) if body else {}
        busy = not body or told.get("reason") == "BUSY"
        self._outcomes["not decided" if busy else told["outcome"]] += 1
