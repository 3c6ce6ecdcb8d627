"""What an operator does with a history: it is shown, compared, exchanged, and its dead letters end as the live ones."""

import json
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from services.inbox_views.projection import DEFINITION
from shared.language import events as e
from shared.language.recorded import Recorded
from shared.process.log_reader import LogReader
from shared.projections import schemas
from shared.projections.definition import Document
from shared.projections.rebuild.admin import VERBS, run_verb, show
from shared.projections.rebuild.diff import compare
from shared.projections.rebuild.limits import LIMITS
from shared.projections.rebuild.parked import ParkedEventNotFoundError
from shared.projections.rebuild.parked_everywhere import Definitions
from shared.projections.rebuild.rebuild import build, rebuild
from shared.projections.rebuild.replay import resume_replay
from shared.projections.schemas import PreconditionFailedError
from shared.projections.view import View
from tests.inbox_views.stories import Story, beginning, personal
from tests.projections.histories import HISTORY, parked_in, random_log, rows_as_of, versions_of
from tests.projections.running_views import schemas_of, write_log

BOTH = Definitions(DEFINITION, HISTORY)
LATE = "late@acme.example"


def story() -> Story:
    """Five first events; at 6 to 9 an address that never began, and ann in between."""
    return beginning().tell(
        e.ToolBound(address=LATE, tool="meetings"),
        personal(LATE, "bob"),
        personal("ann@acme.example", "bob"),
        e.FromNameChanged(address=LATE, from_name="Late"),
    )


def forgiving(doc: Any, recorded: Recorded) -> Document:
    """Newer code of the same version, which applies what was parked."""
    if doc is None and isinstance(recorded.event, e.ToolBound):
        return DEFINITION.fold(None, recorded._replace(event=personal(LATE, "cleo")))
    return DEFINITION.fold(doc, recorded)


async def made(url: str, told: Story, position: int | None = None) -> None:
    """Live rows of the whole story, and a history of the story up to a position."""
    await write_log(url, told.recorded[:position])
    await rebuild(url, View(url, HISTORY))
    await write_log(url, told.recorded[len(told.recorded[:position]) :])
    await rebuild(url, View(url, DEFINITION))


async def catch_up(url: str) -> None:
    async with schemas.rebuild_connection(url) as connection, LogReader(url) as log:
        await (await resume_replay(connection, log, HISTORY, HISTORY.name, LIMITS)).run()


async def newest_equals_live(url: str) -> bool:
    """Whether the history's newest rows are the live rows."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for table in ("accounts", "users", "inboxes", "addresses"):
            live, newest = f"SELECT * FROM inbox_views.{table}", f"SELECT * FROM {HISTORY.name}.{table}_current"
            rows = await connection.execute(f"({live} EXCEPT {newest}) UNION ALL ({newest} EXCEPT {live})".encode())
            if await rows.fetchall():
                return False
    return await parked_in(url) == await parked_in(url, "inbox_views")


# ---- dead letters


async def test_a_dead_letter_is_listed_with_the_rows_that_have_it(database: str) -> None:
    await made(database, story(), 6)
    listed = await VERBS["parked-list"](database, BOTH, {})
    assert [(one["position"], one["in"]) for one in listed] == [
        (6, ["inbox_views", "inbox_views_history"]),
        (7, ["inbox_views"]),
        (9, ["inbox_views"]),
    ]
    shown = await VERBS["parked-show"](database, BOTH, {"position": 6})
    assert (shown["in"], shown["followers"]) == (["inbox_views", "inbox_views_history"], 2)


async def test_a_retried_dead_letter_is_a_version_since_its_own_position(database: str) -> None:
    await made(database, story())
    newer = replace(DEFINITION, fold=forgiving)
    both = Definitions(newer, newer.history())
    done = await VERBS["parked-retry"](database, both, {"position": 6})
    assert done == {"view": "inbox_views", "applied": 3, "left": 0, "history": {"applied": 3, "left": 0}}
    assert await newest_equals_live(database)
    as_of = await rows_as_of(database, [5, 6, 7, 8, 9])
    owners = [[json.loads(row)[4]["owner"] for row in as_of[at] if LATE in row] for at in (5, 6, 7, 8, 9)]
    assert owners == [[], ["cleo"], ["bob"], ["bob"], ["bob"]]


async def test_a_dropped_dead_letter_is_dropped_from_both(database: str) -> None:
    await made(database, story())
    done = await VERBS["parked-drop"](database, BOTH, {"position": 6})
    assert done == {
        "view": "inbox_views", "dropped": 6, "applied": 2, "left": 0, "history": {"applied": 2, "left": 0},
    }  # fmt: skip
    assert await newest_equals_live(database)
    state = await show(database, BOTH, {})
    assert (state["given_up"], state["history"]["given_up"]) == (1, 1)


async def test_a_history_skips_a_dead_letter_that_was_dropped_before_it_came_there(database: str) -> None:
    await made(database, story(), 5)
    done = await VERBS["parked-drop"](database, BOTH, {"position": 6})
    assert (done["applied"], done["history"]) == (2, {"applied": 0, "left": 0})
    await catch_up(database)
    assert await newest_equals_live(database)
    assert await parked_in(database) == []


async def test_a_batch_that_is_written_carefully_skips_it_too(database: str) -> None:
    told = story().tell(e.FromNameChanged(address="ann@acme.example", from_name="nul\x00"))
    await made(database, told, 5)
    await VERBS["parked-drop"](database, BOTH, {"position": 6})
    await catch_up(database)
    assert await newest_equals_live(database)
    assert await parked_in(database) == [10]


async def test_a_dead_letter_of_the_history_alone_can_be_dropped(database: str) -> None:
    await made(database, story())
    newer = replace(DEFINITION, fold=forgiving)
    await rebuild(database, View(database, newer))
    both = Definitions(newer, newer.history())
    listed = await VERBS["parked-list"](database, both, {})
    assert [one["in"] for one in listed] == [["inbox_views_history"]] * 3
    done = await VERBS["parked-retry"](database, both, {})
    assert (done["applied"], done["history"]) == (0, {"applied": 3, "left": 0})
    assert await newest_equals_live(database)


async def test_what_neither_has_parked_is_refused(database: str) -> None:
    await made(database, story())
    for verb in ("parked-show", "parked-retry", "parked-drop"):
        with pytest.raises(ParkedEventNotFoundError, match="No event is parked at position 8"):
            await VERBS[verb](database, BOTH, {"position": 8})


async def test_a_view_without_a_history_is_seen_to_as_before(database: str) -> None:
    await write_log(database, story().recorded)
    await rebuild(database, View(database, DEFINITION))
    assert (await VERBS["parked-drop"](database, BOTH, {"position": 6})) == {
        "view": "inbox_views", "dropped": 6, "applied": 2, "left": 0,
    }  # fmt: skip
    assert (await show(database, BOTH, {}))["history"]["version"] is None


async def test_a_history_without_live_rows_is_administered_alone(database: str, capsys: Any) -> None:
    await write_log(database, story().recorded)
    await rebuild(database, View(database, HISTORY))
    assert await run_verb(database, DEFINITION, "show", {}, live=False) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])["done"]
    assert (shown["view"], shown["temporal"], shown["parked"]) == (HISTORY.name, True, 3)
    assert await run_verb(database, DEFINITION, "parked-drop", {"position": 6}, live=False) == 0
    dropped = json.loads(capsys.readouterr().out.splitlines()[-1])["done"]
    assert dropped == {"view": HISTORY.name, "dropped": 6, "applied": 2, "left": 0}


# ---- blue/green


async def test_a_rebuilt_history_is_compared_version_by_version(database: str) -> None:
    log = random_log(20, 200)
    await write_log(database, log.recorded, log.topics)
    await rebuild(database, View(database, HISTORY))
    await build(database, HISTORY)
    report = await compare(database, HISTORY)
    assert report.same
    assert report.tables["addresses_past"].rows > 10
    staged = schemas.staged(HISTORY.name)
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            f"UPDATE {staged}.addresses_past SET until = until + 1 WHERE position ="
            f" (SELECT min(position) FROM {staged}.addresses_past)".encode()
        )
    report = await compare(database, HISTORY)
    assert not report.same
    assert report.tables["addresses_past"].changed == 1
    assert report.tables["addresses_past"].fields == {"(until)": 1}


async def test_a_history_is_switched_and_switched_back(database: str) -> None:
    log = random_log(21, 200)
    await write_log(database, log.recorded, log.topics)
    for definition in (HISTORY, DEFINITION):
        await rebuild(database, View(database, definition))
    before = await versions_of(database)
    arguments = {"history": True}
    await VERBS["rebuild"](database, BOTH, arguments)
    for verb in ("switch", "back"):
        done = await VERBS[verb](database, BOTH, arguments)
        assert (done["view"], done["version"], done["position"]) == (HISTORY.name, HISTORY.version, 200)
        assert await versions_of(database) == before
    dropped = await VERBS["drop"](database, BOTH, arguments)
    assert [rows["schema"] for rows in dropped["dropped"]] == [schemas.staged(HISTORY.name)]
    assert await schemas_of(database, DEFINITION.name) == {DEFINITION.name}


async def test_a_history_is_not_switched_to_another_version_than_that_of_the_live_rows(database: str) -> None:
    await made(database, story())
    later = replace(DEFINITION, version=DEFINITION.version + 1)
    both = Definitions(later, later.history())
    await VERBS["rebuild"](database, both, {"history": True})
    with pytest.raises(PreconditionFailedError, match="their history follows by itself"):
        await VERBS["switch"](database, both, {"history": True, "force": True})
