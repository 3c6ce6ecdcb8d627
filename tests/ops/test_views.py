"""`switchboard views`: rows built, compared and switched while a Switchboard runs, and parked events seen to."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from services.inbox_views.projection import DEFINITION
from shared.language import events as e
from shared.projections.view import View
from tests import command_line
from tests.inbox_views.stories import beginning, eventually, personal
from tests.journeys.wire import Wire, connected
from tests.projections.running_views import apply, schemas_of, write_log
from tests.real_servers import ROOT, RunningSwitchboard, new_folder

DONE, REFUSED, USAGE, NO_ANSWER = range(4)
# Who works and asks all the time leaves the processors some time for the command line.
PACE_SECONDS = 0.01


async def views(*arguments: str, typed: str = "", **settings: str) -> tuple[int, str, str]:
    """Exit code, what was printed, and what was said of it."""
    environment = {"SWITCHBOARD_LOG_FORMAT": "json", **settings}
    return await command_line.run("views", *arguments, environment=environment, typed=typed)


async def asked(*arguments: str, **settings: str) -> Any:
    """The outcome as JSON, of what must be done."""
    code, output, told = await views(*arguments, "--json", **settings)
    assert code == DONE, output + told
    return json.loads(output)


class Traffic:
    """Commands and questions all the time: none fails, and no answer is as of before one that was given already."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._ending = False
        self.commands = 0
        self.answers = {"inbox-views": 0, "routing": 0}
        self.seen = {"inbox-views": 0, "routing": 0}

    async def command(self) -> None:
        while not self._ending:
            address = f"{self.commands}@flow.example"
            reply = await self._wire.command("acme", "ConnectPersonal", "ana", address=address, owner="ana")
            assert reply.outcome == "accepted", reply.body
            self.commands += 1
            await asyncio.sleep(PACE_SECONDS)

    async def ask(self, view: str, name: str, **fields: Any) -> None:
        while not self._ending:
            before = self.seen[view]
            reply = await self._wire.question("acme", name, **fields)
            assert reply.result is not None
            assert reply.position >= before
            self.seen[view] = max(self.seen[view], reply.position)
            self.answers[view] += 1
            await asyncio.sleep(PACE_SECONDS)

    def end(self) -> None:
        self._ending = True


@asynccontextmanager
async def traffic(nats_url: str) -> AsyncIterator[Traffic]:
    """An account on which somebody works all the time; at the end, nothing of it has failed."""
    async with connected(nats_url) as wire:
        reply = await wire.command("acme", "RegisterAccount", plan="enterprise", admin="ana")
        assert reply.outcome == "accepted", reply.body
        going = Traffic(wire)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(going.command())
            for _ in range(2):
                tasks.create_task(going.ask("inbox-views", "Inboxes", at_least=reply.position))
                mail = {"recipients": ["0@flow.example"], "sender": "jo@client.example"}
                tasks.create_task(going.ask("routing", "Resolve", at_least=reply.position, **mail))
            try:
                yield going
            finally:
                going.end()


async def more(going: Traffic) -> None:
    """Returns when questions of both views and commands have been answered since."""
    before, commands = dict(going.answers), going.commands

    async def there() -> bool:
        return going.commands > commands + 5 and all(going.answers[view] > count + 5 for view, count in before.items())

    await eventually(there)


async def test_rows_are_made_anew_compared_switched_and_switched_back_while_everything_runs(
    switchboard: RunningSwitchboard,
) -> None:
    # The servers that `switchboard run` has started are found without being told.
    found = {"SWITCHBOARD_DATA_DIR": switchboard.settings["SWITCHBOARD_DATA_DIR"]}
    async with traffic(switchboard.nats_url) as going:
        await more(going)
        # Of two views at a time: neither is in the other's way.
        await asyncio.gather(*(anew(name, going, found) for name in going.answers))
    for name in going.answers:
        schema = name.replace("-", "_")
        assert await schemas_of(switchboard.postgres_url, schema) == {schema}
    assert switchboard.ready()


async def anew(name: str, going: Traffic, found: dict[str, str]) -> None:
    built = await asked("rebuild", name, **found)
    await more(going)
    report = await asked("compare", name, **found)
    assert report["same"], report
    assert report["position"] >= built["position"]
    assert report["tables"]["addresses"]["rows"] > 5
    switched = await asked("switch", name, **found)
    assert switched["position"] >= report["position"]
    await more(going)
    back = await asked("back", name, **found)
    assert back["position"] > switched["position"]
    await more(going)
    print(f"{name}: readers and feed waited {switched['locked_out_ms']} ms and {back['locked_out_ms']} ms")
    (shown,) = [one for one in await asked("show", **found) if one["view"] == name.replace("-", "_")]
    assert [rows["state"] for rows in shown["beside"]] == ["new"]
    again = await asked("compare", name, **found)
    assert again["same"], again
    await asked("drop", name, **found)


# ---- what is printed


@pytest.fixture
async def parked_view(database: str) -> str:
    """The URL of a database where three events of an address that never began are parked at 6, 7 and 8."""
    told = beginning().tell(
        e.ToolBound(address="late@acme.example", tool="meetings"),
        personal("late@acme.example", "bob"),
        e.FromNameChanged(address="late@acme.example", from_name="Late"),
        personal("fine@acme.example", "bob"),
    )
    await write_log(database, told.recorded)
    view = View(database, DEFINITION)
    await view.open()
    await view.prepare()
    await apply(view, told.recorded[:-1])
    await view.close()
    return database


async def test_what_is_shown_can_be_read_at_a_glance(parked_view: str) -> None:
    code, output, _ = await views(SWITCHBOARD_POSTGRES_URL=parked_view)
    assert code == DONE
    (line,) = [line for line in output.splitlines() if "inbox-views" in line]
    cells = line.split()
    assert cells[:4] == ["inbox-views", str(DEFINITION.version), "8", "1"]
    assert float(cells[4].replace(",", "")) > 0
    assert cells[5:] == ["3", "0", "-"]
    (line,) = [line for line in output.splitlines() if "routing" in line]
    assert "none yet" in line


async def test_parked_events_are_listed_shown_tried_again_and_given_up(parked_view: str) -> None:
    found = {"SWITCHBOARD_POSTGRES_URL": parked_view}
    listed = await asked("parked", "list", "inbox-views", **found)
    assert [(one["position"], one["type"]) for one in listed] == [
        (6, "switchboard.ToolBound.v1"), (7, "switchboard.PersonalConnected.v1"), (8, "switchboard.FromNameChanged.v1"),
    ]  # fmt: skip
    _, output, _ = await views("parked", "list", "inbox-views", **found)
    assert "UnknownAggregate" in output
    assert output.count("behind position 6") == 2
    one = await asked("parked", "show", "inbox-views", "6", **found)
    assert (one["followers"], one["body"]) == (2, {"address": "late@acme.example", "tool": "meetings"})
    assert await asked("parked", "retry", "inbox-views", **found) == {"view": "inbox_views", "applied": 0, "left": 3}

    code, _, told = await views("parked", "drop", "inbox-views", "6", typed="n\n", **found)
    assert code == REFUSED
    assert "never show its effect" in told
    assert "2 wait" in told
    assert len(await asked("parked", "list", "inbox-views", **found)) == 3
    code, output, _ = await views("parked", "drop", "inbox-views", "6", typed="y\n", **found)
    assert (code, "2 applied, 0 still parked" in output) == (DONE, True)
    (shown,) = [one for one in await asked("show", **found) if one["view"] == "inbox_views"]
    assert (shown["parked"], shown["given_up"]) == (0, 1)
    _, output, _ = await views("parked", "list", "inbox-views", **found)
    assert "Nothing is parked" in output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("switch", "kitchen"), USAGE, "Unknown view"),
        (("--url", "postgresql://elsewhere", "drop", "inbox-views"), USAGE, "Put the options behind the verb"),
        (("--json", "show"), USAGE, "Put the options behind the verb"),
        (("--json", "parked", "list", "routing"), USAGE, "views parked … --url … --json"),
        (("parked", "show", "inbox-views", "0"), USAGE, "Invalid value"),
        (("parked", "show", "inbox-views", "5"), REFUSED, "No event is parked at position 5"),
        (("parked", "drop", "inbox-views", "5", "--yes"), REFUSED, "No event is parked at position 5"),
        (("compare", "inbox-views"), REFUSED, "There are no rows in inbox_views_new"),
        (("switch", "inbox_views"), REFUSED, "There are no rows in inbox_views_new"),
        (("back", "inbox-views"), REFUSED, "There are no rows in inbox_views_old"),
        (("drop", "inbox-views"), REFUSED, "has no rows but the live ones"),
        (("parked", "list", "routing"), REFUSED, "has never run"),
    ],
)
async def test_what_cannot_be_done_is_told_with_the_code_for_it(
    arguments: tuple[str, ...], code: int, words: str, parked_view: str
) -> None:
    found, output, told = await views(*arguments, SWITCHBOARD_POSTGRES_URL=parked_view)
    assert found == code, output + told
    assert words in told
    assert "Traceback" not in told


async def test_ctrl_c_ends_a_verb_and_leaves_nothing(parked_view: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.ops.cli", "views", "rebuild", "inbox-views"),
        cwd=ROOT, env={**os.environ, "SWITCHBOARD_POSTGRES_URL": parked_view},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        while not handles(process.pid, signal.SIGTERM):
            await asyncio.sleep(0.002)
    process.send_signal(signal.SIGINT)
    _, told = await process.communicate()
    assert (process.returncode, "nothing is left of it" in told.decode()) == (130, True), told
    code, _, told_next = await views("compare", "inbox-views", SWITCHBOARD_POSTGRES_URL=parked_view)
    assert (code, "There are no rows in inbox_views_new" in told_next) == (REFUSED, True)


def handles(process: int, number: signal.Signals) -> bool:
    caught = re.search(r"^SigCgt:\s*([0-9a-f]+)$", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return caught is not None and bool(int(caught[1], 16) >> (number - 1) & 1)


async def test_no_postgresql_is_no_answer() -> None:
    with new_folder() as folder:
        code, output, told = await views("--json", SWITCHBOARD_DATA_DIR=str(folder))
    assert code == NO_ANSWER
    assert "no_answer" in json.loads(output)
    assert "Is Switchboard running" in told


async def test_a_difference_is_printed_with_its_fields(parked_view: str) -> None:
    found = {"SWITCHBOARD_POSTGRES_URL": parked_view}
    view = View(parked_view, DEFINITION)
    await view.open()
    async with view.writing() as cursor:
        await cursor.execute("UPDATE inbox_views.users SET doc = doc || '{\"name\": \"Eve\"}' WHERE key = 'bob'")
    await asked("parked", "retry", "inbox-views", **found)
    await asked("rebuild", "inbox-views", **found)
    comparing = asyncio.create_task(views("compare", "inbox-views", **found))
    last = beginning().tell(personal("fine@acme.example", "bob"))
    await apply(view, [last.recorded[-1]._replace(position=9)])
    await view.close()
    code, output, told = await comparing
    assert code == DONE, told
    assert "they differ" in output
    assert "changed users: acme / bob" in output
    assert 'name: "Eve" -> "Bob"' in output


async def test_the_history_of_a_view_is_shown_and_seen_to(parked_view: str) -> None:
    found = {"SWITCHBOARD_POSTGRES_URL": parked_view}
    await asked("rebuild", "inbox-views", "--history", **found)
    _, output, _ = await views("switch", "inbox-views", "--history", **found)
    assert f"inbox-views, history: version {DEFINITION.version} is live, at position 9." in output
    _, output, _ = await views(**found)
    lines = output.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("inbox-views")]
    assert lines[at + 1].split()[:4] == ["history", str(DEFINITION.version), "9", "0"]
    _, output, _ = await views("parked", "list", "inbox-views", **found)
    assert output.count("rows and history") == 3
    _, output, _ = await views("parked", "drop", "inbox-views", "6", "--yes", **found)
    assert "2 applied, 0 still parked. In the history: 2 applied, 0 still parked." in output
