"""A whole Switchboard is sound: log, stream, live rows and histories. What only one of them has is a finding."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests import command_line
from tests.audit.past import run
from tests.inbox_views.stories import eventually
from tests.journeys.wire import Wire, connected
from tests.ops.evidence import attacks
from tests.ops.evidence.attacks import as_owner
from tests.real_servers import RunningSwitchboard


@pytest.fixture
async def wire(switchboard: RunningSwitchboard) -> AsyncIterator[Wire]:
    """A Switchboard with one account and some addresses, followed by everything."""
    async with connected(switchboard.nats_url) as made:
        await made.command("acme", "RegisterAccount", "service:hr", plan="enterprise", admin="ana")
        for number in range(12):
            await made.command("acme", "ConnectPersonal", "ana", address=f"{number}@acme.example", owner="ana")
        yield made


async def verify(switchboard: RunningSwitchboard, *arguments: str) -> tuple[int, dict[str, Any]]:
    settings = {**switchboard.settings, "COLUMNS": "80"}
    ended = await command_line.run("audit", "verify", "--json", *arguments, environment=settings)
    return ended.code, json.loads(ended.output)


async def sound(switchboard: RunningSwitchboard) -> dict[str, Any]:
    """The result for log and stream, as soon as all events are signed and published."""

    async def there() -> dict[str, Any]:
        _, found = await verify(switchboard, "--only", "log", "--only", "stream")
        behind = found["verdict"] != "sound" or found["stream"]["unpublished"] or found["log"][0]["unprotected"]
        return {} if behind else found

    found: dict[str, Any] = await eventually(there)
    return found


async def test_everything_is_compared(switchboard: RunningSwitchboard, wire: Wire) -> None:
    del wire
    await sound(switchboard)
    code, found = await verify(switchboard)
    assert (code, found["verdict"]) == (0, "sound")
    log = found["log"][0]
    assert log["protected"] == log["last"] == found["stream"]["last"] == found["stream"]["messages"]
    rows = {(one["view"], one["history"]): one for one in found["views"]}
    assert set(rows) == {
        ("inbox-views", False), ("inbox-views", True), ("routing", False), ("routing", True), ("audit", True),
    }  # fmt: skip
    assert all(one["same"] and one["position"] == log["last"] for one in rows.values())
    assert rows["inbox-views", False]["rows"] > 12
    # Nothing is left of the comparison.
    shown = await command_line.run("views", "show", "--json", environment=switchboard.settings)
    assert all(not view["beside"] for view in json.loads(shown.output))


async def test_a_row_of_a_view_that_the_log_does_not_make(switchboard: RunningSwitchboard, wire: Wire) -> None:
    del wire
    await sound(switchboard)
    where = "WHERE key = (SELECT min(key) FROM inbox_views.addresses)"
    run(switchboard.postgres_url, f"""UPDATE inbox_views.addresses SET doc = doc || '{{"x": 1}}' {where}""")
    code, found = await verify(switchboard, "--only", "views")
    assert (code, found["verdict"]) == (1, "findings")
    wrong = [(one["view"], one["history"]) for one in found["views"] if not one["same"]]
    assert wrong == [("inbox-views", False)]
    text = await command_line.run("audit", "verify", "--only", "views", environment=switchboard.settings)
    assert "DIFFERENT: 1 of addresses changed" in " ".join(text.output.split())


async def test_an_event_that_differs_from_that_in_the_stream(switchboard: RunningSwitchboard, wire: Wire) -> None:
    del wire
    last = (await sound(switchboard))["stream"]["last"]
    with as_owner(switchboard.postgres_url) as owner:
        attacks.change_byte(owner, 5)
        attacks.delete(owner, "events", last)
    code, found = await verify(switchboard, "--only", "stream")
    assert code == 1
    named = [(one["kind"], one["first"], one["last"]) for one in found["stream"]["findings"]]
    assert named == [("changed", 5, 5), ("inserted", last, last)]
    text = await command_line.run("audit", "verify", "--only", "stream", environment=switchboard.settings)
    words = " ".join(text.output.split())
    assert "other than in the log at position 5" in words
    assert f"in the stream, and not in the log, at position {last}" in words


async def test_a_stream_that_is_not_there_is_not_read(switchboard: RunningSwitchboard) -> None:
    code, found = await verify(switchboard, "--only", "stream", "--url", "nats://127.0.0.1:1")
    assert (code, found["verdict"]) == (3, "not_read")
    assert "127.0.0.1:1" in found["stream"]["not_read"]
