"""Complaints about a NATS that carries small messages: what cannot be published is not accepted, nothing is silent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import MakeSwitchboard
from tests.journeys import cast
from tests.journeys.wire import Account, Reply, command_subject, connected
from tests.real_servers import RunningNats, RunningSwitchboard

LIMIT = 65_536


@pytest.fixture
def limited(folder: Path) -> Iterator[RunningNats]:
    server = RunningNats(folder, f"max_payload: {LIMIT}\n")
    yield server
    server.kill()


@asynccontextmanager
async def at_work(make: MakeSwitchboard, nats: RunningNats) -> AsyncIterator[tuple[RunningSwitchboard, Account]]:
    made = make({"SWITCHBOARD_NATS_URL": nats.url})
    await asyncio.to_thread(made.start)
    async with connected(nats.url) as wire:
        yield made, await cast.furnished(wire)


def entries(size: int) -> list[str]:
    """Domains that take so many bytes as JSON."""
    count, left = divmod(size - 2, 119)
    padding = [left // count + (number < left % count) for number in range(count)]
    made = [f"{number:06d}{'p' * more}.{'x' * 50}.{'y' * 50}.example" for number, more in enumerate(padding)]
    assert abs(len(orjson.dumps(made)) - size) < 10
    return made


async def attempt(account: Account, command: str, actor: str, **fields: Any) -> Reply:
    """As short as JSON can be."""
    reply = await account.wire.ask(command_subject(account.name, command), orjson.dumps({"actor": actor, **fields}))
    account.position = max(account.position, reply.body.get("position", 0))
    return reply


async def test_one_accepted_command_does_not_stop_the_relay_for_good(
    make_switchboard: MakeSwitchboard, limited: RunningNats
) -> None:
    async with at_work(make_switchboard, limited) as (running, acme):
        for dry_run in (True, False):
            refused = await attempt(acme, "SetAccountNeverLog", "ana", entries=entries(65_300), dry_run=dry_run)
            assert refused.typed()
            assert (refused.outcome, refused.reason) == ("refused", "COMMAND_INVALID"), refused.body
            details = refused.body["details"]
            assert details["max_payload"] == LIMIT < details["bytes"]
            assert details["what"] == "switchboard.AccountNeverLogChanged.v1"
            assert [one["field"] for one in details["errors"]] == ["entries"]
            assert "65,536 (max_payload)" in refused.body["message"]
        assert (await attempt(acme, "SetAccountNeverLog", "ana", entries=entries(64_000))).outcome == "accepted"
        # Questions go on, and the stream has every event.
        assert len((await acme.see("Account", "ana"))["never_log"]) == len(entries(64_000))
        assert [fact.name for fact in await acme.facts()][-1] == "AccountNeverLogChanged"
        assert running.ready()
        assert "nats.max_payload_low" in running.output()


async def test_no_size_between_is_accepted_and_not_published(
    make_switchboard: MakeSwitchboard, limited: RunningNats
) -> None:
    async with at_work(make_switchboard, limited) as (running, acme):
        outcomes = []
        for size in range(64_400, 65_100, 20):
            reply = await attempt(acme, "SetAccountNeverLog", "ana", entries=entries(size))
            outcomes.append(reply.outcome)
        accepted = outcomes.count("accepted")
        assert 0 < accepted < len(outcomes)
        assert outcomes == ["accepted"] * accepted + ["refused"] * (len(outcomes) - accepted)
        facts = await acme.facts()
        assert [fact.name for fact in facts].count("AccountNeverLogChanged") == accepted
        assert running.ready()


async def test_an_answer_that_no_message_carries_is_an_error_and_a_list_comes_in_pages(
    make_switchboard: MakeSwitchboard, limited: RunningNats
) -> None:
    async with at_work(make_switchboard, limited) as (_, acme):
        for user in ("bob", "cleo", "dora"):
            long = "\N{CRICKET BAT AND BALL}" * 10_000
            assert (await attempt(acme, "SetSignature", user, user=user, signature=long)).outcome == "accepted"
        done = await attempt(acme, "SetLoggingPreferences", "bob", user="bob", never_log=entries(40_000))
        assert done.outcome == "accepted"
        reply = await acme.ask("User", "bob", user="bob")
        assert reply.typed()
        assert reply.reason == "QUERY_INVALID"
        assert reply.body["details"]["max_payload"] == LIMIT < reply.body["details"]["bytes"]
        assert "max_payload" in reply.body["message"]
        assert (await acme.see("User", "cleo", user="cleo"))["signature"]
        # A list goes on behind the one that is too large.
        found, after = [], None
        while True:
            page = await acme.ask("Users", "ana", limit=1_000, after=after)
            assert page.typed()
            found += page.body.get("result", [])
            after = page.body["next"] if page.error is None else page.body["details"]["next"]
            if after is None:
                break
        assert [user["user"] for user in found] == ["ana", "cleo", "dora", "eve"]
