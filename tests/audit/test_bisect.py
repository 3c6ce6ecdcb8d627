"""The question `Bisect`: the first position at which a value in an answer became as given."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from services.audit.bisect.query import bisect
from services.audit.bisect.search import Search
from services.audit.domain.json_pointer import value_at
from services.inbox_views.projection import DEFINITION
from services.inbox_views.queries import answer
from shared.language import events as e
from shared.language.audit import Bisect
from shared.language.audit_answers import Bisected
from shared.language.catalog import QUESTIONS
from shared.language.reasons import QuestionError
from shared.language.recorded import Recorded
from shared.projections.answers import QuestionRefusedError, error_body, render_answer
from shared.projections.rebuild.rebuild import rebuild
from shared.projections.snapshot import Asker
from shared.projections.view import View
from tests.audit.asking import AUDITOR, HISTORY, Item, audit_of
from tests.audit.test_access import BOB, HELP, alias, members, support
from tests.inbox_views.stories import beginning, personal, team

OF_VIEWS = DEFINITION.history()


class Views:
    """The inbox views of the same log, asked as of positions."""

    def __init__(self, audit: View, views: View) -> None:
        self._audit = audit
        self._views = views
        self.asked: list[int] = []

    async def ask(self, account: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        question = QUESTIONS[name].model_validate(body)
        self.asked.append(body["as_of"])
        async with self._views.snapshots([Asker(account, question.actor, body["as_of"])]) as (snapshot,):
            try:
                reply = await render_answer(snapshot.position, await answer(snapshot, question), None)
            except QuestionRefusedError as error:
                return dict(orjson.loads(error_body(error)))
        return dict(orjson.loads(orjson.dumps(reply)))

    async def bisect(self, name: str, path: str, value: Any, *, moments: Item | None = None, **fields: Any) -> Item:
        question = Bisect.model_validate(
            {"actor": AUDITOR, "question": name, "fields": fields, "path": path, "value": value, **(moments or {})}
        )
        async with self._audit.snapshots([Asker("acme", AUDITOR)]) as (snapshot,):
            found = await bisect(snapshot, question, self.ask)
        Bisected.model_validate(found, strict=False)
        return found


@asynccontextmanager
async def views_of(url: str, recorded: Sequence[Recorded]) -> AsyncIterator[Views]:
    async with audit_of(url, recorded):
        for definition in (DEFINITION, OF_VIEWS):
            await rebuild(url, View(url, definition))
        audit, views = View(url, HISTORY, readers=1), View(url, OF_VIEWS)
        await audit.open()
        await views.open()
        try:
            yield Views(audit, views)
        finally:
            await audit.close()
            await views.close()


async def test_it_finds_the_event_at_which_an_address_was_orphaned(database: str) -> None:
    told = beginning().tell(
        personal(BOB, "bob"),  # 6
        e.UserDeactivated(user="bob"),  # 7
        e.UserRemoved(user="bob", policy="orphan"),  # 8
        e.AddressOrphaned(address=BOB, owner="bob"),  # 9
        e.PlanChanged(plan="enterprise"),  # 10
    )
    async with views_of(database, told.recorded) as views:
        found = await views.bisect("Address", "/state", "orphaned", address=BOB)
    assert (found["position"], found["before"], found["after"], found["complete"]) == (9, "connected", "orphaned", True)
    assert found["event"]["type"] == "AddressOrphaned"
    assert BOB in found["sentence"]


async def test_a_value_that_came_and_went_is_found_where_it_came_first(database: str) -> None:
    told = beginning().tell(
        support("bob"),  # 6
        members("bob", "cleo"),  # 7
        members("bob"),  # 8
        members("cleo"),  # 9
        members("bob"),  # 10
        members("cleo"),  # 11
    )
    async with views_of(database, told.recorded) as views:
        only_cleo = await views.bisect("Inbox", "/readers", ["cleo"], inbox="support")
        again = await views.bisect("Inbox", "/readers", ["cleo"], inbox="support", moments={"from": 10})
        assert (only_cleo["position"], only_cleo["before"], again["position"]) == (9, ["bob"], 11)


async def test_a_value_that_never_became_so_names_the_range_that_was_looked_at(database: str) -> None:
    told = beginning().tell(personal(BOB, "bob"))
    async with views_of(database, told.recorded) as views:
        found = await views.bisect("Address", "/state", "paused", address=BOB, moments={"from": 2, "to": 6})
    assert (found["position"], found["event"], found["after"]) == (None, None, None)
    assert (found["first"], found["last"], found["complete"]) == (2, 6, True)


async def test_a_value_that_was_so_from_the_beginning_has_no_event(database: str) -> None:
    async with views_of(database, beginning().recorded) as views:
        found = await views.bisect("Address", "/state", "free", address=BOB, moments={"from": 2})
        assert (found["position"], found["event"], found["before"], found["after"]) == (2, None, None, "free")


async def test_what_is_not_there_yet_has_no_values(database: str) -> None:
    told = beginning().tell(support("bob"))
    async with views_of(database, told.recorded) as views:
        found = await views.bisect("Inbox", "/name", "Support", inbox="support")
        assert (found["position"], found["before"]) == (6, None)
        assert (await views.bisect("Inbox", "/name", None, inbox="support"))["position"] == 1


async def test_only_events_of_things_that_the_answer_depends_on_are_asked_about(database: str) -> None:
    told = beginning().tell(personal(BOB, "bob"), personal("other@acme.example", "cleo"))  # 6, 7
    for number in range(30):
        told.tell(e.FromNameChanged(address="other@acme.example", from_name=f"Name {number}"))
        told.tell(e.SignatureChanged(user="bob", signature=f"{number}"))
    told.tell(e.ToolBound(address=BOB, tool="meetings"))
    async with views_of(database, told.recorded) as views:
        found = await views.bisect("Address", "/tools/0", "meetings", address=BOB)
        assert found["position"] == told.end
        # The account, the owner, and the address's own events.
        assert views.asked == [1, 4, 6, told.end]


@pytest.mark.parametrize(
    ("name", "path", "fields", "value"),
    [
        ("Address", "/health", {"address": HELP}, "degraded"),
        ("Address", "/aliases", {"address": HELP}, ["h@acme.example"]),
        ("Address", "/health", {"address": "h@acme.example"}, "degraded"),
        ("Inbox", "/addresses/0/health", {"inbox": "support"}, "degraded"),
        ("Identities", "/0/usable", {"user": "bob"}, True),
        ("User", "/teams", {"user": "bob"}, ["north"]),
        ("Users", "/2/status", {}, "deactivated"),
        ("Teams", "/0/inactive", {}, ["bob"]),
        ("Usage", "/inboxes/used", {}, 2),
        ("Account", "/plan", {}, "enterprise"),
        ("Orphans", "/0/address", {}, BOB),
        ("RemovalImpact", "/last_reader_of", {"user": "bob"}, ["support"]),
    ],
)
async def test_it_is_the_first_of_all_positions_for_every_question(
    name: str, path: str, fields: dict[str, Any], value: Any, database: str
) -> None:
    told = beginning().tell(
        e.TeamCreated(team="north", name="North", members=()),
        support(teams=("north",)),
        team(HELP, "support"),
        alias("h@acme.example", HELP),
        personal(BOB, "cleo"),
        e.TeamMembersChanged(team="north", members=("bob",)),
        e.PlanChanged(plan="enterprise"),
        e.SignatureChanged(user="bob", signature="Regards"),
        e.UserDeactivated(user="bob"),
        e.UserDeactivated(user="cleo"),
        e.UserRemoved(user="cleo", policy="orphan"),
        e.AddressOrphaned(address=BOB, owner="cleo"),
    )
    async with views_of(database, told.recorded) as views:

        async def at(position: int) -> Any:
            reply = await views.ask("acme", name, {"actor": "service:audit", "as_of": position, **fields})
            return value_at(reply.get("result"), path)

        values = [await at(position) for position in range(1, told.end + 1)]
        expected = next((number for number, one in enumerate(values, 1) if one == value), None)
        assert expected is not None, values
        found = await views.bisect(name, path, value, **fields)
        assert (found["position"], found["before"]) == (expected, values[expected - 2] if expected > 1 else None)


@pytest.mark.parametrize(
    ("name", "fields", "named"),
    [
        ("Nothing", {}, "question"),
        ("Timeline", {}, "question"),
        ("Address", {}, "fields.address"),
        ("Address", {"address": BOB, "as_of": 3}, "fields.as_of"),
    ],
)
async def test_a_question_that_cannot_be_asked_is_refused(
    name: str, fields: dict[str, Any], named: str, database: str
) -> None:
    async with views_of(database, beginning().recorded) as views:
        with pytest.raises(QuestionRefusedError) as refused:
            await views.bisect(name, "/state", "free", **fields)
        assert refused.value.error is QuestionError.QUERY_INVALID
        assert [one["field"] for one in refused.value.details["errors"]] == [named]


async def test_an_error_of_the_view_is_the_answer(database: str) -> None:
    async with views_of(database, beginning().recorded) as views:
        with pytest.raises(QuestionRefusedError) as refused:
            await views.bisect("Address", "/state", "free", address="no address")
        assert refused.value.error is QuestionError.ADDRESS_INVALID


def values(*listed: Any) -> tuple[Callable[[int], Any], Callable[[int, int], Any]]:
    """The value as of each position from 1 on, all of which are asked about."""

    async def value(position: int) -> Any:
        return listed[position - 1]

    async def positions(after: int, limit: int) -> Sequence[int]:
        return range(after + 1, min(after + limit, len(listed)) + 1)

    return value, positions


async def test_a_search_that_takes_too_long_ends_with_what_it_has_looked_at() -> None:
    search = Search(*values(*["a"] * 100, "b"), wanted="b", seconds=0.0)
    found = await search.run(1, 101)
    assert (found.position, found.last, found.complete) == (None, 17, False)
    while not found.complete:
        found = await search.run(found.last, 101)
    assert (found.position, found.before) == (101, "a")


async def test_true_is_not_one() -> None:
    assert (await Search(*values(0, True, 1), wanted=1).run(1, 3)).position == 3


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", {"a/b": [1, {"~": 2}]}),
        ("/a~1b/0", 1),
        ("/a~1b/1/~0", 2),
        ("/a~1b/2", None),
        ("/a~1b/-1", None),
        ("/x/y", None),
    ],
)
def test_a_json_pointer_names_a_value(pointer: str, value: Any) -> None:
    assert value_at({"a/b": [1, {"~": 2}]}, pointer) == value
