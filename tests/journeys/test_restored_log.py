"""A log restored from an older backup while everything runs and commands are given.

Live rows, histories and the audit's index notice and are made again, answers as of a moment are of the log that there
is, and every command that was accepted is in the log or can be sent again.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, NamedTuple

import nats.errors

from shared.process import clock
from tests.conftest import MakeSwitchboard
from tests.faults import indexed, past, replayed, verdict
from tests.faults.verdict import Stored
from tests.inbox_views.stories import eventually
from tests.journeys import cast
from tests.journeys.test_standing_still import BACKUP, RESTORE, histories_reached, postgres_tool, switchboard
from tests.journeys.wire import Account, connected
from tests.real_servers import RunningNats, RunningPostgres, RunningSwitchboard

SECONDS = 60.0
# Rows of the lost log, by the line that tells of their end.
DISCARDED = {
    "view.discarded": ("inbox_views", "routing"),
    "history.discarded": ("inbox_views_history", "routing_history", "audit_history"),
    "index.discarded": ("audit_index",),
}


class Given(NamedTuple):
    """A command that was accepted: before the log was restored, after it (`restored`), or within that time (None)."""

    id: str
    address: str
    position: int
    restored: bool | None


async def test_a_log_restored_while_everything_runs_is_noticed_everywhere(
    make_switchboard: MakeSwitchboard, private_postgres: RunningPostgres, private_nats: RunningNats
) -> None:
    postgres, dump = private_postgres, str(private_postgres.data_folder.parent / "log.dump")
    running = make_switchboard({"SWITCHBOARD_NATS_URL": private_nats.url, "SWITCHBOARD_POSTGRES_URL": postgres.url})
    await asyncio.to_thread(running.start)
    async with connected(private_nats.url) as wire:
        acme = await cast.furnished(wire)
        await connect(acme, "kept", 20)
        kept, before = acme.position, await answers_as_of(acme, acme.position)
        await asyncio.to_thread(postgres_tool, postgres, "pg_dump", *BACKUP.split(), dump)
        await connect(acme, "lost", 20)
        await eventually(lambda: histories_reached(running, acme.position))
        async with commands_given(acme) as giver:
            await giver.gives(20, restored=False)
            async with giver.restoring():
                await asyncio.to_thread(
                    postgres_tool, postgres, "pg_restore", "--clean", "--if-exists", *RESTORE.split(), dump
                )
            await asyncio.to_thread(switchboard, running, "streams", "--delete", "--yes")
            await giver.gives(20, restored=True)
        await asyncio.to_thread(running.wait_until_ready)
        await require_sent_again(acme, giver.given, verdict.stored_events(postgres.url), kept)
        await eventually(lambda: histories_reached(running, acme.position))
        assert await answers_as_of(acme, kept) == before
        await require_equal(running, acme, kept)
    require_noticed(running)


async def connect(account: Account, name: str, many: int) -> None:
    for number in range(many):
        await account.do("ConnectPersonal", "bob", address=f"{name}-{number}@acme.example", owner="bob")


async def answers_as_of(account: Account, position: int) -> Any:
    """Lists and a resolution as of a position."""
    asked: dict[str, dict[str, Any]] = {
        "Addresses": {"limit": 1_000},
        "Users": {},
        "Resolve": {"recipients": ["kept-1@acme.example"]},
    }
    return [await account.see(name, as_of=position, at_least=0, **fields) for name, fields in asked.items()]


class Giver:
    """Gives commands one after the other; `given` are those that were accepted."""

    def __init__(self, account: Account) -> None:
        self.given: list[Given] = []
        self.over = asyncio.Event()
        self._account = account
        self._restored: bool | None = False

    async def run(self) -> None:
        for number in count():
            if self.over.is_set():
                return
            begun, id_, address = self._restored, clock.new_id(), f"meanwhile-{number}@acme.example"
            position = await accepted(self._account, id_, address)
            self.given.append(Given(id_, address, position, begun if begun is self._restored else None))

    @asynccontextmanager
    async def restoring(self) -> AsyncIterator[None]:
        """The block in which the log is restored."""
        self._restored = None
        yield
        self._restored = True

    async def gives(self, many: int, *, restored: bool) -> None:
        """Return when so many were accepted before or after the log was restored."""
        await eventually(lambda: self._has(many, restored))

    async def _has(self, many: int, restored: bool) -> bool:
        return sum(one.restored is restored for one in self.given) >= many


@asynccontextmanager
async def commands_given(account: Account) -> AsyncIterator[Giver]:
    """Commands while the block runs."""
    giver = Giver(account)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(giver.run())
        yield giver
        giver.over.set()


async def accepted(account: Account, id_: str, address: str) -> int:
    """The position of a command that is sent, with its id, until it is accepted."""
    fields = {"command_id": id_, "address": address, "owner": "bob"}
    while True:
        try:
            reply = await account.wire.command(account.name, "ConnectPersonal", "bob", **fields)
        except nats.errors.Error:
            continue
        if reply.outcome == "accepted":
            return reply.position
        assert reply.reason == "BUSY", reply.body
        await asyncio.sleep(0.05)


# ---- afterwards


async def require_sent_again(account: Account, given: Sequence[Given], log: Sequence[Stored], kept: int) -> None:
    """What was accepted after the restore is in the log; what was lost with it is accepted when it is sent again."""
    stored = {event.command_id for event in log}
    lost = [one for one in given if one.id not in stored]
    assert {one.restored for one in lost} <= {False, None}
    assert not [one for one in given if one.restored is False and one.position > kept and one.id in stored]
    for one in lost:
        account.position = max(account.position, await accepted(account, one.id, one.address))
    for one in given:
        assert (await account.see("Address", address=one.address))["owner"] == "bob"


async def require_equal(running: RunningSwitchboard, account: Account, kept: int) -> None:
    """Live rows, histories and index are a replay of the log, and answers as of any moment are of it."""
    url = running.postgres_url
    log = verdict.stored_events(url)
    rows = {view: await asyncio.to_thread(replayed.live, url, view, log[-1].position) for view in replayed.VIEWS}
    index = await asyncio.to_thread(indexed.reached, url, SECONDS)
    asked = await past.asked(account.wire, log, {account.name}, kept)
    assert len(asked) == past.MANY
    found = {
        **verdict.of_the_log(log),
        **replayed.of_the_rows(log, rows),
        **indexed.of_the_index(index, frozenset()),
        **past.of_the_past(asked, log),
    }
    assert {name: members for name, members in found.items() if members} == {}


def require_noticed(running: RunningSwitchboard) -> None:
    """Each log line names the rows, in `view` or in `schema`."""
    lines = [json.loads(line) for line in running.output().splitlines() if ".discarded" in line]
    for event, names in DISCARDED.items():
        found = {line.get("schema") or line["view"] for line in lines if line["event"] == event}
        assert found == set(names), lines
