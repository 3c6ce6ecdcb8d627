"""A replay with the users and roles of production: one user publishes it, each consumer reads what it may."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

import nats.errors
import pytest
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig
from nats.js.errors import NotFoundError

from services.ops.terminal import DONE, REFUSED
from shared.client import connect
from shared.language import subjects
from tests.deploy.production import Production, options_of

FAST = ("--speed", "100000/s")


def replay(guarded: Production, *words: str, user: str = "replay") -> str:
    code, output = guarded.command_line(user, "audit", "replay", *words)
    assert code == DONE, output
    return output


@pytest.fixture(scope="module")
def replayed(guarded: Production) -> Iterator[Production]:
    """A replay of one account, and one of all."""
    replay(guarded, "start", "of-acme", "--account", "acme", *FAST)
    replay(guarded, "start", "whole", *FAST)
    yield guarded
    for name in ("of-acme", "whole"):
        replay(guarded, "remove", name, "--yes")


async def read_as(guarded: Production, user: str, subject: str) -> Sequence[Msg]:
    """All messages that the consumer of a user gets, which is called like the user."""
    async with guarded.nats.connected_as(user) as wire:
        js = wire.client.jetstream()
        with suppress(NotFoundError):
            # One that another reader left.
            await js.delete_consumer(subjects.REPLAY_STREAM, user)
        config = ConsumerConfig(name=user, filter_subject=subject, ack_policy=AckPolicy.EXPLICIT)
        made = await js.add_consumer(subjects.REPLAY_STREAM, config)
        subscription = await js.pull_subscribe_bind(user, stream=subjects.REPLAY_STREAM)
        found: list[Msg] = []
        while len(found) < (made.num_pending or 0):
            found += await subscription.fetch(50, timeout=10)
        for message in found:
            await message.ack()
        await js.delete_consumer(subjects.REPLAY_STREAM, user)
    return found


async def test_a_consumer_of_one_account_reads_its_replay_with_its_frames(replayed: Production) -> None:
    first, *events, last = await read_as(replayed, "crm", "switchboard.replay.v1.of-acme.acme.>")
    assert first.subject == "switchboard.replay.v1.of-acme.acme.replay.ReplayStarted"
    ended = json.loads(last.data)
    assert (ended["count"], ended["complete"], ended["unreadable"]) == (len(events), True, 0)
    assert len(events) > 5
    assert {(one.headers or {})["ce-account"] for one in events} == {"acme"}


async def test_the_typed_client_reads_it_with_what_this_consumer_may_do(replayed: Production) -> None:
    options = options_of("crm", replayed.secrets.seed("crm"))
    async with connect(replayed.nats.url, **options) as switchboard:
        events = [event async for event in switchboard.replay("of-acme", account="acme", consumer="crm")]
    assert {event.account for event in events} == {"acme"}
    assert [event.position for event in events] == sorted(event.position for event in events)


async def test_of_a_replay_of_all_accounts_it_reads_its_own_events(replayed: Production) -> None:
    events = await read_as(replayed, "crm", "switchboard.replay.v1.whole.acme.>")
    everything = await read_as(replayed, "siem", "switchboard.replay.v1.whole.>")
    assert {(one.headers or {})["ce-account"] for one in events} == {"acme"}
    assert 0 < len(events) <= len(everything) - 2
    with pytest.raises(nats.errors.TimeoutError):
        await read_as(replayed, "crm", "switchboard.replay.v1.whole.>")


async def test_its_messages_are_those_of_the_live_stream(replayed: Production) -> None:
    _, *events, _ = await read_as(replayed, "siem", "switchboard.replay.v1.whole.>")
    async with replayed.nats.connected_as("siem") as wire:
        js = wire.client.jetstream()
        await js.add_consumer(
            subjects.EVENT_STREAM,
            ConsumerConfig(name="siem", filter_subject=subjects.EVENTS, ack_policy=AckPolicy.NONE),
        )
        subscription = await js.pull_subscribe_bind("siem", stream=subjects.EVENT_STREAM)
        live: list[Msg] = []
        while len(live) < len(events):
            live += await subscription.fetch(50, timeout=10)
        await js.delete_consumer(subjects.EVENT_STREAM, "siem")
    for again, before in zip(events, live, strict=False):
        assert again.data == before.data
        own = {name: value for name, value in (before.headers or {}).items() if name.startswith("ce-")}
        assert own.items() <= (again.headers or {}).items()


def test_the_user_lists_and_shows_what_it_has_published(replayed: Production) -> None:
    assert "of-acme" in replay(replayed, "list")
    assert "account acme" in replay(replayed, "show", "of-acme")


@pytest.mark.parametrize(("user", "verb"), [("ops", "start"), ("relay", "start"), ("auditor", "show")])
def test_no_other_user_publishes_a_replay(user: str, verb: str, replayed: Production) -> None:
    code, output = replayed.command_line(user, "audit", "replay", verb, "theirs")
    assert (code, "NATS does not let this user publish to" in output) == (REFUSED, True), output
