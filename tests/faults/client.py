"""One client as a process of its own: gives commands until it is told to end, and has all of it on record.

    python -m tests.faults.client --url nats://… --accounts a,b --seed 7 --number 3 --out 3.jsonl

Seed and number say which commands it gives, in which order each of its workers gives them, and under which ids; a
client that takes the place of a killed one needs a number of its own. Every command is asked again under its id until
it is answered, or given up after `--give-up` seconds: unknown. What was asked more than once, and some of the rest, is
asked once more after its answer: it must be the same one.

After some of the accepted commands it asks a view about their address, as of the answer or later, and as of a position
since its first answer, and goes on meanwhile.

Beside its workers each client races: all clients of a run claim the same address at the same time for different people.
Who begins a round tells the others over the bus, so that they claim at that moment too.

On SIGTERM it gives no more commands, is through with those under way when they are answered or given up, and ends.
"""

import argparse
import asyncio
import random
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.faults import asking
from tests.faults.history import Answer, Command, How, Recorder, Try
from tests.faults.workload import AGAIN_SECONDS, PACE_SECONDS, PEOPLE, TRY_SECONDS, WORKERS, Fields, wish
from tests.journeys.wire import body, command_subject

GIVE_UP_SECONDS = 60.0
# Of the commands that were answered at once, so many are asked once more.
REPEATED = 1 / 16
# After so many of the accepted commands a view is asked about their address.
ASKED = 1 / 8
# A race follows the one before after so many times the pace.
RACE_PACE = 2
RACED = "raced-"


@dataclass(frozen=True)
class Plan:
    """What one client does; `pace` and `give_up` in seconds."""

    url: str
    accounts: list[str]
    seed: int
    number: int
    out: Path
    pace: float = PACE_SECONDS
    give_up: float = GIVE_UP_SECONDS


@dataclass
class Asked:
    """One command while it is asked: its tries, the last of which may be under way."""

    tries: list[Try] = field(default_factory=list)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def decided(self) -> bool:
        return any(one.how == "reply" for one in self.tries)

    def begin(self) -> int:
        """The number of a try that now counts as timed out until something is heard."""
        now = time.monotonic_ns()
        self.tries.append(Try(now, now, "timeout"))
        self.heard.clear()
        return len(self.tries) - 1

    def end(self, number: int, how: How, answer: Answer | None = None) -> None:
        """The first answer to a try stands; one to an earlier try is as good as one to the last."""
        one = self.tries[number]
        if one.answer is None:
            self.tries[number] = Try(one.begin, time.monotonic_ns(), how, answer)
            self.heard.set()


class Desk:
    """Asks over one connection, and hears answers however late they come while their command is open."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._open: dict[str, tuple[Asked, int]] = {}
        self._tokens = count()

    async def open(self) -> None:
        await self._client.subscribe(f"{self._inbox}.*", cb=self._hear)

    async def decide(self, subject: str, data: bytes, give_up: float, repeat: bool) -> list[Try]:
        """Asks until there is an answer, or `give_up` seconds are over; all the tries."""
        asked, until, tokens = Asked(), time.monotonic() + give_up, []
        while not asked.decided and time.monotonic() < until:
            tokens.append(await self._try(asked, subject, data))
            if not asked.decided:
                await asyncio.sleep(AGAIN_SECONDS)
        if asked.decided and (repeat or len(asked.tries) > 1):
            tokens.append(await self._try(asked, subject, data))
        for token in tokens:
            del self._open[token]
        return asked.tries

    async def _try(self, asked: Asked, subject: str, data: bytes) -> str:
        number, token = asked.begin(), str(next(self._tokens))
        self._open[token] = asked, number
        try:
            # nats-py would keep what is published now and send it at some later time.
            if not self._client.is_connected:
                raise nats.errors.NoServersError
            await self._client.publish(subject, data, reply=f"{self._inbox}.{token}")
        except (nats.errors.Error, OSError):
            asked.end(number, "bus error")
        with suppress(TimeoutError):
            await asyncio.wait_for(asked.heard.wait(), TRY_SECONDS)
        if asked.tries[number].how == "timeout":
            asked.tries[number] = asked.tries[number]._replace(end=time.monotonic_ns())
        return token

    async def _hear(self, message: Msg) -> None:
        asked, number = self._open.get(message.subject.rpartition(".")[2], (None, 0))
        if asked is None:
            return
        headers = message.headers or {}
        if headers.get("Status") == "503" and not message.data:  # nobody serves the subject now
            asked.end(number, "bus error")
            return
        code = headers.get("Nats-Service-Error-Code")
        error = (int(code), headers["Nats-Service-Error"]) if code is not None else None
        asked.end(number, "BUSY" if error and error[1] == "BUSY" else "reply", Answer(message.data, error))


class Racing:
    """The rounds of the races of one seed: who begins one tells all."""

    def __init__(self, client: Client, seed: int) -> None:
        self._client = client
        self._subject = f"faults.race.{seed}"
        self._latest = -1
        self._begun = asyncio.Event()

    async def open(self) -> None:
        await self._client.subscribe(self._subject, cb=self._hear)

    async def next(self, last: int, pause: float) -> int:
        """The next round to take part in: the latest that somebody has begun, or one begun here after a pause."""
        self._begun.clear()
        if self._latest <= last:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._begun.wait(), pause)
        if self._latest <= last:
            self._latest = last + 1
            if self._client.is_connected:
                with suppress(nats.errors.Error):
                    await self._client.publish(self._subject, str(self._latest).encode())
        return self._latest

    async def _hear(self, message: Msg) -> None:
        self._latest = max(self._latest, int(message.data))
        self._begun.set()


class FaultClient:
    """One run of a plan."""

    def __init__(self, plan: Plan, client: Client, record: Recorder) -> None:
        self._plan = plan
        self._record = record
        self._client = client
        self._questions = asyncio.TaskGroup()
        self._desk = Desk(client)
        self._racing = Racing(client, plan.seed)
        self._ending = asyncio.Event()
        # Of the first accepted command: from there on the accounts and their people are there.
        self._first_position: int | None = None

    def end(self) -> None:
        self._ending.set()

    async def run(self) -> None:
        """Returns after `end`, when nothing is under way."""
        await self._desk.open()
        await self._racing.open()
        async with self._questions, asyncio.TaskGroup() as tasks:
            for worker in range(WORKERS):
                tasks.create_task(self._work(worker))
            tasks.create_task(self._race())

    async def _work(self, worker: int) -> None:
        chance = self._chance(f"worker {worker}")
        for account, name, actor, fields in wishes(chance, self._plan.accounts):
            if self._ending.is_set():
                return
            await self._give(account, name, actor, fields, chance)
            await asyncio.sleep(self._plan.pace)

    async def _race(self) -> None:
        last = -1
        while not self._ending.is_set():
            last = await self._racing.next(last, RACE_PACE * self._plan.pace)
            account = self._plan.accounts[last % len(self._plan.accounts)]
            owner = PEOPLE[self._plan.number % len(PEOPLE)]
            fields = {"address": f"{RACED}{last}@acme.example", "owner": owner}
            await self._give(account, "ConnectPersonal", owner, fields, self._chance(f"race {last}"))

    async def _give(self, account: str, name: str, actor: str, fields: Fields, chance: random.Random) -> None:
        id_ = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        repeat = chance.random() < REPEATED
        question = chance.choice(list(asking.VIEWS)) if chance.random() < ASKED else None
        data = body(actor, fields | {"command_id": id_})
        self._record.invoked(id_, account, name, actor, fields)
        tries = await self._desk.decide(command_subject(account, name), data, self._plan.give_up, repeat)
        self._record.ended(id_, tries)
        given = Command(self._plan.number, id_, account, name, actor, fields, 0, tries=tries)
        if question and given.outcome == "accepted" and given.address:
            # Of an alias, whether it follows its primary.
            address = fields.get("alias", given.address)
            as_of = self._past_position(given)
            self._questions.create_task(self._ask(account, question, address, given.position))
            self._questions.create_task(self._ask(account, question, address, 0, as_of))

    def _past_position(self, given: Command) -> int:
        """Returns a position of the past, no later than that of an accepted command."""
        if self._first_position is None:
            self._first_position = given.position
        return self._chance(f"past of {given.id}").randint(min(self._first_position, given.position), given.position)

    async def _ask(self, account: str, question: str, address: str, at_least: int, as_of: int | None = None) -> None:
        asked = await asking.asked(self._client, account, question, address, at_least, as_of)
        self._record.asked(account, question, address, at_least, asked, as_of)

    def _chance(self, what: str) -> random.Random:
        return random.Random(f"{self._plan.seed}/{self._plan.number}/{what}")  # noqa: S311  seeded


def wishes(chance: random.Random, accounts: list[str]) -> Iterator[tuple[str, str, str, Fields]]:
    """Commands as (account, name, actor, fields), without end."""
    while True:
        name, actor, fields = wish(chance)
        yield chance.choice(accounts), name, actor, fields


async def run(plan: Plan) -> None:
    """Returns after SIGTERM, with the history closed."""
    with Recorder(plan.out, plan.number) as record:
        client = await nats.connect(
            plan.url.split(","),
            name=f"faults-{plan.number}",
            error_cb=_noticed,
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.1,
            ping_interval=2,
            max_outstanding_pings=2,
        )
        work = FaultClient(plan, client, record)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.end)
        try:
            await work.run()
        finally:
            await client.close()


async def _noticed(_error: Exception) -> None:
    """The bus goes away: each try says so."""


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--url", required=True, help="NATS; several with commas between")
    parse.add_argument("--accounts", required=True, type=lambda text: text.split(","), help="furnished ones (cast.py)")
    parse.add_argument("--seed", required=True, type=int)
    parse.add_argument("--number", required=True, type=int, help="of this client among those of the seed")
    parse.add_argument("--out", required=True, type=Path, help="the history; must not be there yet")
    parse.add_argument("--pace", type=float, default=PACE_SECONDS, help="seconds of rest after each command")
    parse.add_argument("--give-up", type=float, default=GIVE_UP_SECONDS, help="seconds")
    asyncio.run(run(Plan(**vars(parse.parse_args()))))


if __name__ == "__main__":
    main()
