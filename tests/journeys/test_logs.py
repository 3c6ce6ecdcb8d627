"""What the services log is for machines, says which command it is about, and tells nobody's address."""

import asyncio
import json
from typing import Any

import psycopg

from shared.process.clock import new_id
from tests.journeys import cast
from tests.journeys.story import STORY
from tests.journeys.wire import Account, Wire, connected
from tests.real_servers import RunningSwitchboard, wait_until

BOB, CLEO = "bob@acme.example", "cleo@acme.example"
TELLING = ("@acme", "@elsewhere", "@Acme", "not an address", "mum@home")


def lines_of(running: RunningSwitchboard) -> list[dict[str, Any]]:
    return [json.loads(line) for line in running.output().splitlines() if line.startswith("{")]


def telling(running: RunningSwitchboard) -> list[str]:
    """The lines that show an address."""
    return [line for line in running.output().splitlines() if any(text in line for text in TELLING)]


async def test_every_log_line_is_structured_and_none_bears_an_address(wire: Wire, running: RunningSwitchboard) -> None:
    account = cast.new_account(wire)
    for step in STORY:
        await account.do(step.command, step.actor, **step.fields)
        await account.attempt(step.command, step.actor, **step.fields)
    await account.see("Resolve", recipients=[BOB], sender="customer@elsewhere.example")
    await account.ask("Address", address="not an address@")
    told = lines_of(running)
    assert {entry["service"] for entry in told} >= {"connections", "relay", "inbox-views", "routing"}
    assert all({"event", "level", "time"} <= set(entry) for entry in told)
    assert not telling(running)


async def test_what_fails_is_told_with_its_command_and_without_an_address(switchboard: RunningSwitchboard) -> None:
    async with connected(switchboard.nats_url) as wire:
        account = await cast.furnished(wire)
        await account.do("ConnectPersonal", "bob", address=BOB, owner="bob")
        await account.do("ConnectPersonal", "cleo", address=CLEO, owner="cleo")
        await account.see("Address", address=BOB)
        poison = plant(switchboard, account, BOB)
        await parked(switchboard, poison)
        await not_understood(account)
        await unanswerable(switchboard, account)
    told = lines_of(switchboard)
    views = [entry for entry in told if entry["event"] == "event.parked"]
    assert {(entry["command_id"], entry["correlation_id"]) for entry in views} == {tuple(poison.values())}
    (question,) = [entry for entry in told if entry["event"] == "error.unexpected"]
    assert (question["step"], question["question"], question["account"]) == ("answering", "Address", account.name)
    assert "Traceback" in question["exception"]
    assert not telling(switchboard)


def plant(running: RunningSwitchboard, account: Account, address: str) -> dict[str, str]:
    """An event in the log that no code of ours can read, on an address's stream; what it says of its command."""
    ids = {"command_id": new_id(), "correlation_id": "order-66"}
    with psycopg.connect(running.postgres_url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(5824113001)")
        rows = connection.execute(
            "SELECT originator_id, originator_version, topic, state FROM connections.events"
            " WHERE state LIKE %s AND topic LIKE '%%PersonalConnected%%'",
            (f'%"account":"{account.name}"%"address":"{address}"%'.encode(),),
        ).fetchall()
        ((stream, version, topic, state),) = rows
        envelope = json.loads(state) | {"id": new_id(), **ids}
        envelope["data"] = {"address": address, "display": [address], "owner": "bob", "canonical_form": address}
        written = json.dumps(envelope, separators=(",", ":")).encode()
        connection.execute(
            "INSERT INTO connections.events SELECT %s, %s, %s, %s, max(notification_id) + 1 FROM connections.events",
            (stream, version + 1, topic, written),
        )
    return ids


async def parked(running: RunningSwitchboard, poison: dict[str, str]) -> None:
    def both() -> bool:
        about = [entry for entry in lines_of(running) if entry.get("command_id") == poison["command_id"]]
        return {entry["view"] for entry in about} >= {"inbox_views", "routing"}

    await asyncio.to_thread(wait_until, both, 20, "both views to park it")


async def not_understood(account: Account) -> None:
    """A command on the address whose history cannot be read any more."""
    reply = await account.attempt("SetFromName", address=BOB, from_name="Bob")
    assert reply.error == (501, "STREAM_NOT_UNDERSTOOD")


async def unanswerable(running: RunningSwitchboard, account: Account) -> None:
    """A question about a row that is not what any fold makes."""
    with psycopg.connect(running.postgres_url) as connection:
        rows = connection.execute(
            "UPDATE inbox_views.addresses SET doc = jsonb_build_object('address', key) WHERE account = %s AND key = %s",
            (account.name, CLEO),
        )
        assert rows.rowcount == 1
    assert (await account.ask("Address", address=CLEO)).error == (500, "INTERNAL_ERROR")
