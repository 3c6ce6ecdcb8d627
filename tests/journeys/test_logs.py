"""What the services log is for machines, and tells nobody's address."""

import json

from tests.journeys import cast
from tests.journeys.story import STORY
from tests.journeys.wire import Wire
from tests.real_servers import RunningSwitchboard


async def test_every_log_line_is_structured_and_none_bears_an_address(wire: Wire, running: RunningSwitchboard) -> None:
    account = cast.new_account(wire)
    for step in STORY:
        await account.do(step.command, step.actor, **step.fields)
        await account.attempt(step.command, step.actor, **step.fields)
    await account.see("Resolve", recipients=["bob@acme.example"], sender="customer@elsewhere.example")
    await account.ask("Address", address="not an address@")
    lines = running.output().splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    assert {entry["service"] for entry in told} >= {"connections", "relay", "inbox-views", "routing"}
    assert all({"event", "level", "time"} <= set(entry) for entry in told)
    assert not [line for line in lines if "@acme" in line or "@elsewhere" in line or "not an address" in line]
