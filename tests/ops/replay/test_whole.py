"""Against a whole Switchboard, with no setting but its folder and port: a replay is what live readers got."""

import asyncio
import json
from datetime import datetime

from services.ops.terminal import DONE
from shared.client import connect
from shared.client.subscription import ReceivedEvent
from shared.process.clock import new_id
from tests import command_line
from tests.ops.audit.story import play
from tests.ops.replay.replaying import messages_of, positions, taken_apart
from tests.real_servers import RunningSwitchboard


async def live(running: RunningSwitchboard, account: str, count: int) -> list[ReceivedEvent]:
    """The first events of an account, as the typed client reads them."""
    found: list[ReceivedEvent] = []
    async with connect(running.nats_url) as switchboard, asyncio.timeout(60):
        async for event in switchboard.events(account=account):
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_a_replay_between_two_times_has_the_events_that_live_readers_got(running: RunningSwitchboard) -> None:
    account = f"replay-{new_id()[-12:]}"
    async with connect(running.nats_url) as switchboard:
        await play(switchboard.account(account, "service:tests"))
    events = await live(running, account, 10)
    begin, end = (datetime.fromisoformat(events[n].headers["ce-time"]) for n in (2, 8))
    name = account[-20:]
    words = ("--account", account, "--from", begin.isoformat(), "--to", end.isoformat(), "--speed", "10000/s", "--json")
    ended = await command_line.run("audit", "replay", "start", name, *words, environment=running.settings)
    assert ended.code == DONE, ended
    seen = taken_apart(await messages_of(running.nats_url, "SWITCHBOARD_REPLAYS", f"switchboard.replay.v1.{name}.>"))
    expected = [event for event in events if begin <= datetime.fromisoformat(event.headers["ce-time"]) <= end]
    inside = [one for one in seen.events if int(one.headers["ce-position"]) in {event.position for event in expected}]
    assert [one.headers["ce-id"] for one in inside] == [event.id for event in expected]
    assert [one.body for one in inside] == [event.body for event in expected]
    bounds = json.loads(ended.output)
    assert all(bounds["from"] <= position <= bounds["to"] for position in positions(seen.events))
