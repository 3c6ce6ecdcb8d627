"""People at work while things break: commands of many kinds, each asked until it is answered, all of it on record."""

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import nats.errors

from shared.process.clock import new_id
from tests.journeys.wire import Reply, Wire, body, command_subject

TRY_SECONDS = 1.0
AGAIN_SECONDS = 0.05
WORKERS = 8
ADDRESSES = 24
PACE_SECONDS = 0.01

PEOPLE = ("bob", "cleo", "dora")
# Comes and goes; nobody else does.
LEAVER = "finn"
LEAVERS_PERMISSIONS = ("personal_email_access",)
INBOXES = ("inbox", "support", "sales")
TOOLS = ("one_to_one", "sequences", "extension", "meetings")
Fields = dict[str, Any]


@dataclass
class Given:
    """A command that was given: under its id, as often as it took, until `reply` came.

    `elsewhere` holds the replies to the same command given in other ways at the same time, `again` why it was asked
    another time.
    """

    id: str
    subject: str
    body: bytes
    tries: int = 0
    reply: Reply | None = None
    elsewhere: list[Reply] = field(default_factory=list)
    again: list[str] = field(default_factory=list)


@dataclass
class Workload:
    """`given` holds every command ever sent, by id.

    Each is given in all of `ways` at the same time: a way makes another subject of a command's, under which another
    writer may take it. After `try_seconds` without an answer it is asked again.
    """

    accounts: list[str]
    seed: int
    ways: Sequence[Callable[[str], str]] = ()
    pace: float = PACE_SECONDS
    try_seconds: float = TRY_SECONDS
    given: dict[str, Given] = field(default_factory=dict)
    unanswered: int = 0
    _runs: int = 0
    _ending: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def answered(self) -> int:
        return len(self.given) - self.unanswered

    async def run(self, wire: Wire) -> None:
        """Returns after `end`, when everything given has its answer; may be run again."""
        self._ending.clear()
        self._runs += 1
        async with asyncio.TaskGroup() as tasks:
            for number in range(WORKERS):
                tasks.create_task(self._work(wire, random.Random(f"{self.seed}/{self._runs}/{number}")))  # noqa: S311  seeded

    def end(self) -> None:
        self._ending.set()

    async def progress(self, commands: int, seconds: float = 60.0) -> None:
        """Returns when that many more commands were answered."""
        goal, until = self.answered + commands, time.monotonic() + seconds
        while self.answered < goal:
            assert time.monotonic() < until, f"{self.answered} of {goal} commands were answered in {seconds:g} s"
            await asyncio.sleep(0.02)

    async def _work(self, wire: Wire, chance: random.Random) -> None:
        for subject, actor, fields in self._wishes(chance):
            if self._ending.is_set():
                return
            command_id = new_id()
            given = Given(command_id, subject, body(actor, fields | {"command_id": command_id}))
            self.given[command_id] = given
            self.unanswered += 1
            others = [Given(command_id, way(subject), given.body) for way in self.ways]
            given.reply, *given.elsewhere = await asyncio.gather(
                *(until_answered(wire, one, self.try_seconds) for one in (given, *others))
            )
            self.unanswered -= 1
            await asyncio.sleep(self.pace)

    def _wishes(self, chance: random.Random) -> Iterator[tuple[str, str, Fields]]:
        while True:
            name, actor, fields = wish(chance)
            yield command_subject(chance.choice(self.accounts), name), actor, fields


async def until_answered(wire: Wire, given: Given, try_seconds: float = TRY_SECONDS) -> Reply:
    """Asks again under the same id until there is an answer; BUSY is none."""
    while True:
        given.tries += 1
        try:
            reply = await wire.ask(given.subject, given.body, seconds=try_seconds)
        except (nats.errors.Error, OSError) as error:
            given.again.append(type(error).__name__)
        else:
            if reply.reason != "BUSY":
                return reply
            given.again.append("BUSY")
        await asyncio.sleep(AGAIN_SECONDS)


async def ignored(_error: Exception) -> None:
    """For a connection's `error_cb`: the bus goes away, that is what this is about."""


def wish(chance: random.Random) -> tuple[str, str, Fields]:
    """One command as (name, actor, fields): sensible ones and such as will be refused."""
    name = chance.choice(list(WISHES))
    owner = chance.choice(PEOPLE)
    address = {"address": f"address-{chance.randrange(ADDRESSES):02}@acme.example"}
    return name, *WISHES[name](chance, owner, address)


def connects(chance: random.Random, owner: str, address: Fields) -> tuple[str, Fields]:
    who = chance.choice((owner, LEAVER))
    return who, address | {"owner": who}


def removes(chance: random.Random, owner: str, _: Fields) -> tuple[str, Fields]:
    policies: tuple[Fields, ...] = ({}, {"policy": "release"}, {"policy": "transfer_to", "new_owner": owner})
    return "ana", {"user": LEAVER, **chance.choice(policies)}


Wish = Callable[[random.Random, str, Fields], tuple[str, Fields]]
WISHES: dict[str, Wish] = {
    "ConnectPersonal": connects,
    "ConnectTeam": lambda chance, _, address: (
        "ana", address | {"inbox": chance.choice(INBOXES), "visibility_acknowledged": True}),
    "Disconnect": lambda _, __, address: ("ana", address),
    "MoveTeamAddress": lambda chance, _, address: ("dora", address | {"to_inbox": chance.choice(INBOXES)}),
    "TransferOwnership": lambda chance, owner, address: (
        "ana", address | {"new_owner": chance.choice((owner, LEAVER))}),
    "ReclaimAddress": lambda chance, owner, address: ("ana", address | {"new_owner": chance.choice((owner, LEAVER))}),
    "ReleaseAddress": lambda _, __, address: ("ana", address),
    "ConvertConnection": lambda _, __, address: ("dora", address | {"to": "personal", "owner": "dora"}),
    "Pause": lambda chance, _, address: ("service:work", address | {chance.choice(("receive", "send")): True}),
    "Resume": lambda _, __, address: ("service:work", address),
    "RequireReauthentication": lambda _, __, address: ("service:work", address | {"cause": "expired"}),
    "Reconnect": lambda _, __, address: ("service:work", address),
    "SetFromName": lambda chance, _, address: (
        "service:work", address | {"from_name": f"Name {chance.randrange(1_000)}"}),
    "BindTool": lambda chance, owner, address: (owner, address | {"tool": chance.choice(TOOLS)}),
    "UnbindTool": lambda chance, owner, address: (owner, address | {"tool": chance.choice(TOOLS)}),
    "AddAlias": lambda chance, _, address: (
        "service:work", address | {"alias": f"alias-{chance.randrange(ADDRESSES):02}@acme.example"}),
    "SetAvailability": lambda chance, owner, _: (
        owner, {"user": owner, "availability": chance.choice(("available", "away"))}),
    "SetSignature": lambda chance, owner, _: (owner, {"user": owner, "signature": f"-- {chance.randrange(9)}"}),
    "AddUser": lambda _, __, ___: ("ana", {"user": LEAVER, "name": "Finn", "permissions": LEAVERS_PERMISSIONS}),
    "DeactivateUser": lambda _, __, ___: ("ana", {"user": LEAVER}),
    "ReactivateUser": lambda _, __, ___: ("ana", {"user": LEAVER}),
    "RemoveUser": removes,
}  # fmt: skip
