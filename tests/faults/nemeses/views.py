"""A view's database fails for a moment, and events come that no view can apply."""

import asyncio
import json
import os
import subprocess
import sys
import time
from functools import partial
from itertools import count
from typing import Final

import psycopg

from shared.language import events as e
from shared.language.recorded import Recorded, stream_id
from shared.process import clock
from shared.process.stored_events import to_state
from tests.faults.nemeses.target import SCHEMAS, Fired, Nemesis, Target, bus, until
from tests.journeys.wire import Account
from tests.real_servers import ROOT

TROUBLE_SECONDS = 1.5
_numbers = count(1)


class RowHeld(Nemesis):
    """Somebody else's transaction holds the row that bears a view's position."""

    def __init__(self, view: str) -> None:
        self.name = f"the row of {view} is held"
        self._schema = SCHEMAS[view]

    async def act(self, target: Target) -> Fired:
        waited = await asyncio.to_thread(self._hold, target)
        return Fired("the view waited for the row", time.monotonic_ns(), {"lock waits": waited})

    def _hold(self, target: Target) -> int:
        with psycopg.connect(target.running.postgres_url) as connection:
            connection.execute(f"SELECT FROM {self._schema}.view FOR UPDATE".encode())
            waiting = 0
            end = time.monotonic() + TROUBLE_SECONDS
            while time.monotonic() < end or not waiting:
                assert time.monotonic() < end + 20, "the view never came to the row"
                rows = target.sql(
                    "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'",
                    f"{self._schema}-projection",
                )
                waiting = max(waiting, rows[0][0])
                time.sleep(0.05)
        return waiting


class ProjectionTerminated(Nemesis):
    """The sessions by which a view writes are terminated, again and again for a while."""

    def __init__(self, view: str) -> None:
        self.name = f"the sessions of {view} are terminated"
        self._schema = SCHEMAS[view]

    async def act(self, target: Target) -> Fired:
        ended, end = 0, time.monotonic() + TROUBLE_SECONDS
        while time.monotonic() < end or not ended:
            assert time.monotonic() < end + 20, "the view had no session"
            rows = await asyncio.to_thread(
                target.sql,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                f"{self._schema}-projection",
            )
            ended += len(rows)
            await asyncio.sleep(target.chance.uniform(0.02, 0.15))
        return Fired(f"{ended} sessions were terminated", time.monotonic_ns(), {"sessions terminated": ended})


class TableRenamed(Nemesis):
    """A table of a view is away for a moment: the database answers, and refuses."""

    def __init__(self, view: str) -> None:
        self.name = f"a table of {view} is away"
        self._schema = SCHEMAS[view]

    async def act(self, target: Target) -> Fired:
        before = self._refusals(target)
        await asyncio.to_thread(target.sql, f"ALTER TABLE {self._schema}.addresses RENAME TO addresses_away")
        try:
            await until(lambda: self._refusals(target) > before, 20, "the view to be refused")
        finally:
            await asyncio.to_thread(target.sql, f"ALTER TABLE {self._schema}.addresses_away RENAME TO addresses")
        return Fired("the view was refused its table", time.monotonic_ns(), {"refused statements": 1})

    def _refusals(self, target: Target) -> int:
        return target.log("postgres").count(f'ERROR:  relation "{self._schema}.addresses" does not exist')


# ---- events that no view can apply

# As every writer takes it (`event_store.sql`).
LOCK: Final = "SELECT pg_advisory_xact_lock(5824113001)"
INSERT: Final = """
INSERT INTO connections.events (originator_id, originator_version, topic, state, notification_id)
SELECT %s, 1, %s, %s, coalesce(max(notification_id), 0) + 1 FROM connections.events RETURNING notification_id
"""
MEND_LOG: Final = "UPDATE connections.events SET topic = %s, state = %s WHERE notification_id = %s"
MEND_PARKED: Final = """
UPDATE {schema}.parked SET
    headers = convert_to(
        (convert_from(headers, 'UTF8')::jsonb || jsonb_build_object('ce-type', %s::text))::text, 'UTF8'),
    body = %s WHERE position = %s
"""


class Poison(Nemesis):
    """Events of an unknown type, of a version to come, with a body that is none, and one that the fold does not expect.

    All else goes on, answers about the account say since when they are incomplete, and when the events are mended
    (in the log, and where they are parked) they come through. On the stream they stay as they were told.
    """

    name = "poison is in the log"

    async def act(self, target: Target) -> Fired:
        async with bus(target) as wire:
            account = Account(wire, _new_account(target))
            await account.do("RegisterAccount", plan="starter", admin="ana")
            poison = _poison(account.name)
            positions = await asyncio.to_thread(_put, target, poison)
            for schema in SCHEMAS.values():
                await until(partial(are_parked, target, schema, positions), 20, "poison to be parked")
            await target.log_grows(10)
            account.position = positions[-1]
            reply = await account.ask("Addresses")
            assert reply.error is None, reply.body
            assert reply.body["incomplete_since"] == positions[0], reply.body
            assert await asyncio.to_thread(_retried, target, "inbox-views") == (0, len(poison))
            await asyncio.to_thread(_mended, target, poison, positions)
            for view in SCHEMAS:
                assert await asyncio.to_thread(_retried, target, view) == (len(poison), 0)
            over = time.monotonic_ns()
            reply = await account.ask("Addresses")
            assert "incomplete_since" not in reply.body, reply.body
            assert len(reply.result) == len(poison) - 1
        told = f"{len(poison)} events were parked in each view, tried in vain, mended, and came through"
        return Fired(told, over, {"poison": len(poison)}, positions, (account.name,))


def _poison(account: str) -> list[tuple[Recorded, str, bytes]]:
    """Each as it would be right, and the name and state with which it comes."""
    mended = [
        *map(_connected, range(3)),
        e.UserAdded(user="ghost", name="Ghost", permissions=()),
    ]
    right = [_recorded(account, event) for event in mended]
    known = right[0].event.stored_name()
    states = [to_state(one) for one in right]
    seat = to_state(right[3]._replace(event=e.SeatAssigned(user="ghost")))
    return [
        (right[0], "switchboard.NeverHeardOf.v1", states[0]),
        (right[1], known.replace(".v1", ".v99"), states[1]),
        (right[2], known, states[2].replace(b'"owner":"ana"', b'"owner":{"not":"a name"}')),
        (right[3], "switchboard.SeatAssigned.v1", seat),
    ]


def _new_account(target: Target) -> str:
    return f"poison-{next(_numbers)}-{target.chance.randrange(10**6)}"


def _connected(number: int) -> e.Event:
    address = f"poison-{number}@acme.example"
    return e.PersonalConnected(address=address, display=address, owner="ana", canonical_form=1)


def _recorded(account: str, event: e.Event) -> Recorded:
    name = getattr(event, event.aggregate)
    return Recorded(
        id=clock.new_id(), account=account, stream=stream_id(account, event.aggregate, name), version=1, position=0,
        actor="service:nemesis", command_id=clock.new_id(), correlation_id=None, traceparent=None, time=clock.now(),
        event=event,
    )  # fmt: skip


def _put(target: Target, poison: list[tuple[Recorded, str, bytes]]) -> list[int]:
    """The positions."""
    positions = []
    for one, topic, state in poison:
        with psycopg.connect(target.running.postgres_url) as connection:
            connection.execute(LOCK)
            row = connection.execute(INSERT, (one.stream, topic, state)).fetchone()
            assert row is not None
            positions.append(int(row[0]))
    return positions


def are_parked(target: Target, schema: str, positions: list[int]) -> bool:
    rows = target.sql(f"SELECT position FROM {schema}.parked ORDER BY position")
    return {position for (position,) in rows} >= set(positions)


def _retried(target: Target, view: str) -> tuple[int, int]:
    """As `switchboard views parked retry`: how many came through, how many are left."""
    done = subprocess.run(
        (sys.executable, "-m", "services.ops.cli", "views", "parked", "retry", view, "--json"),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "SWITCHBOARD_POSTGRES_URL": target.running.postgres_url},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    return told["applied"], told["left"]


def _mended(target: Target, poison: list[tuple[Recorded, str, bytes]], positions: list[int]) -> None:
    for (right, _, _), position in zip(poison, positions, strict=True):
        state = to_state(right)
        target.sql(MEND_LOG, right.event.stored_name(), state, position)
        body = right.event.model_dump_json(by_alias=True, exclude_none=True).encode()
        for schema in SCHEMAS.values():
            target.sql(MEND_PARKED.replace("{schema}", schema), right.event.stored_name(), body, position)


# ---- a log that nobody can read


class LogGarbled(Nemesis):
    """A stored event is no stored form at all: the relay tells nothing beyond it, and says so, until it is mended."""

    name = "the log is garbled"

    async def act(self, target: Target) -> Fired:
        async with bus(target) as wire:
            account = Account(wire, _new_account(target))
            await account.do("RegisterAccount", plan="starter", admin="ana")
            right = _recorded(account.name, _connected(0))
            before = target.running.output().count("Undecodable")
            positions = await asyncio.to_thread(_put, target, [(right, right.event.stored_name(), b"\xff\x00")])
            await until(lambda: target.running.output().count("Undecodable") > before, 20, "the relay to say so")
            await until(lambda: not target.running.ready(), 20, "it to be seen from outside")
            # Commands do not depend on it.
            await target.log_grows(10)
            await asyncio.to_thread(target.sql, MEND_LOG, right.event.stored_name(), to_state(right), positions[0])
            over = time.monotonic_ns()
            account.position = positions[0]
            assert len(await account.pages("Addresses")) == 1
        told = "the relay said so, and went on when it was mended"
        return Fired(told, over, {"garbled": 1}, accounts=(account.name,))
