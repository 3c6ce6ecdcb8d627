"""The question Timeline: every fact and every refused attempt about a thing, in order, once each."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.language import commands as c
from tests.audit.past import Past, past_in, rows, run
from tests.audit.plain_index import plain_index
from tests.audit.running import Auditing, auditing
from tests.connections.given_when_then import ADA, ANA, BOB, CLEO, COMPANY, HR

BOBS, SUPPORT = "bob@acme.example", "support@acme.example"


@pytest.fixture
def past(database: str) -> Iterator[Past]:
    with past_in(database) as made:
        yield made


@pytest.fixture
def company(past: Past) -> Past:
    """Bob connects an address, cleo tries the same, ana makes it the team's after a first attempt without a right."""
    past.give(*COMPANY)
    past.give(
        c.ConnectPersonal(actor=BOB, address="Bob@acme.example", owner=BOB),
        c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO),
        c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB),
        c.ConnectTeam(actor=ANA, address=SUPPORT, inbox="support", visibility_acknowledged=True),
        c.CreateTeam(actor=ANA, team="crew", name="Crew", members=(BOB, CLEO)),
        c.SetTeamMembers(actor=ANA, team="crew", members=(CLEO,)),
        c.Pause(actor=ANA, address=SUPPORT, send=True),
        correlation_id="week-9",
    )
    past.message("ConnectTeam", {"actor": BOB, "mood": "good"})
    return past


def said(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["sentence"] for entry in entries]


async def test_the_timeline_of_an_address_has_facts_and_refused_attempts(company: Past) -> None:
    async with auditing(company) as audit:
        connected, refused = await audit.ask("Timeline", address="BOB@acme.example")
        assert connected["sentence"] == "bob connected bob@acme.example as their own personal address."
        assert refused["sentence"].startswith(
            "cleo tried to connect bob@acme.example as their own personal address; refused: "
        )
        assert refused["message"].startswith(refused["sentence"].partition("refused: ")[2].removesuffix("."))
        assert connected["outcome"] == "accepted"
        assert (connected["command"], connected["correlation_id"]) == ("ConnectPersonal", "week-9")
        assert connected["event"]["type"] == "PersonalConnected"
        assert connected["event"]["subject"].startswith("address/")
        assert {change["field"]: change["after"] for change in connected["changes"]} == {
            "state": "connected", "kind": "personal", "owner": BOB, "receiving": True, "sending": True,
        }  # fmt: skip
        assert refused["outcome"] == "refused"
        assert refused["reason"] == "ADDRESS_ALREADY_PERSONAL"
        assert refused["position"] == connected["position"]
        assert refused["ordinal"] == connected["ordinal"] + 1
        assert (refused["event"], refused["changes"]) == (None, [])
        with_needless = await audit.ask("Timeline", address=BOBS, unchanged=True)
        assert [entry["outcome"] for entry in with_needless] == ["accepted", "refused", "unchanged"]


async def test_people_and_inboxes_hear_of_what_concerns_them_without_being_named(company: Past) -> None:
    async with auditing(company) as audit:
        assert said(await audit.ask("Timeline", inbox="support"))[-1] == "ana paused sending from support@acme.example."
        of_bob = said(await audit.ask("Timeline", user=BOB))
        assert "ana set the members of the team crew to cleo." in of_bob
        assert any(text.startswith("cleo tried to connect bob@acme.example") for text in of_bob)
        of_cleo = said(await audit.ask("Timeline", user=CLEO))
        assert "ana set the members of the team crew to cleo." not in of_cleo
        (team, changed) = await audit.ask("Timeline", team="crew")
        assert changed["changes"] == [{"field": "teams.crew.members", "before": [BOB, CLEO], "after": [CLEO]}]
        assert [change["field"] for change in team["changes"]] == ["teams.crew.name", "teams.crew.members"]


async def test_an_attempt_without_a_body_is_in_the_timeline_of_the_account(company: Past) -> None:
    async with auditing(company) as audit:
        last = (await audit.ask("Timeline"))[-1]
        assert (last["reason"], last["actor"], last["command_id"]) == ("COMMAND_INVALID", None, None)
        assert last["sentence"].startswith(
            "Somebody tried to give the command ConnectTeam; refused: The command cannot"
        )
        assert last["message"].startswith("The command cannot be read")


async def test_it_can_be_limited_to_what_one_actor_did(company: Past) -> None:
    async with auditing(company) as audit:
        assert said(await audit.ask("Timeline", given_by=CLEO, address=BOBS))[0].startswith("cleo tried")
        assert len(await audit.ask("Timeline", given_by=ANA, team="crew")) == 2
        assert await audit.ask("Timeline", given_by="service:nobody") == []
        by_ada = await audit.ask("Timeline", given_by=ADA)
        assert {entry["actor"] for entry in by_ada} == {ADA}


async def test_who_was_never_named_is_not_found(company: Past) -> None:
    async with auditing(company) as audit:
        assert await audit.refused("Timeline", user="nobody") == "USER_NOT_FOUND"
        assert await audit.refused("Timeline", inbox="suport") == "INBOX_NOT_FOUND"
        assert await audit.refused("Timeline", team="nobody") == "TEAM_NOT_FOUND"
        assert await audit.refused("Timeline", address="no address") == "ADDRESS_INVALID"
        assert await audit.ask("Timeline", address="free@acme.example") == []


@pytest.mark.parametrize("limit", [1, 7])
async def test_each_entry_comes_once_while_new_ones_arrive(past: Past, limit: int) -> None:
    past.begin()
    past.live(1, 60, ("acme", "zenith"))
    async with auditing(past) as audit:
        before = places(await audit.ask("Timeline", unchanged=True))
        found: list[tuple[int, int]] = []
        after, pages = None, 0
        while after is not None or not pages:
            body = await audit.reply("Timeline", limit=limit, after=after, unchanged=True)
            assert len(body["result"]) <= limit
            found += places(body["result"])
            after, pages = body["next"], pages + 1
            if pages % 10 == 0 and pages <= 50:
                past.live(100 + pages, 15, ("acme",))
        assert len(found) == len(set(found))
        assert set(before) <= set(found) <= set(places(await audit.ask("Timeline", unchanged=True)))


def places(entries: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(entry["position"], 0 if entry["event"] else entry["ordinal"]) for entry in entries]


async def test_it_agrees_with_a_plain_recomputation(past: Past) -> None:
    past.begin()
    past.live(2, 300, ("acme",))
    names = plain_index(past.url)
    refused = {row[0] for row in rows(past.url, "SELECT ordinal FROM connections.journal WHERE outcome = 'refused'")}
    async with auditing(past) as audit:
        for kind in ("address", "inbox", "user", "team"):
            for name in sorted({row[2] for row in names if row[1] == kind}):
                expected = {row[3:] for row in names if row[1:3] == (kind, name) and (not row[4] or row[4] in refused)}
                entries = await audit.ask("Timeline", **{kind: name}, limit=7)
                assert places(entries) == sorted(expected), (kind, name)


async def test_each_change_is_the_difference_that_the_event_made(past: Past) -> None:
    past.begin()
    past.live(3, 200, ("acme",))
    async with auditing(past) as audit:
        state: dict[tuple[str, str], Any] = {}
        for entry in await audit.ask("Timeline"):
            if entry["event"] is None:
                continue
            for change in entry["changes"]:
                key = (entry["event"]["subject"], change["field"])
                assert change["before"] == state.get(key, change["before"]), entry
                state[key] = change["after"]


# ---- moments


SET_TIME = """
UPDATE connections.events SET state = convert_to(
    regexp_replace(convert_from(state, 'UTF8'), '"time":"[^"]*"', '"time":"{time}"'), 'UTF8'
) WHERE notification_id {which}
"""
BEGINNING = "2026-03-01T00:00:00.000Z"


def at(url: str, time: str, ordinal: int, position: int = 0) -> None:
    """The journal entry, and the event at the position, happened at that time."""
    run(url, f"UPDATE connections.journal SET recorded_at = '{time}' WHERE ordinal = {ordinal}")
    run(url, SET_TIME.format(time=time, which=f"= {position}"))


@pytest.fixture
def days(past: Past) -> Past:
    """On the 2nd bob connects, on the 3rd, 4th and 5th cleo is refused, on the 6th bob changes it, on the 7th cleo."""
    past.give(*COMPANY)
    run(past.url, f"UPDATE connections.journal SET recorded_at = '{BEGINNING}'")
    run(past.url, SET_TIME.format(time=BEGINNING, which="> 0"))
    ((ordinal, position),) = rows(past.url, "SELECT max(ordinal), max(position) FROM connections.journal")
    taken = c.ConnectPersonal(actor=CLEO, address=BOBS, owner=CLEO)
    past.give(c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB), taken, taken, taken)
    past.give(c.SetFromName(actor=BOB, address=BOBS, from_name="B"), taken)
    for number, event in ((1, position + 1), (2, 0), (3, 0), (4, 0), (5, position + 2), (6, 0)):
        at(past.url, f"2026-03-0{number + 1}T10:00:00.000Z", ordinal + number, event)
    run(past.url, "DELETE FROM connections.commits")
    for number, time in enumerate((BEGINNING, "2026-03-02T10:00:00Z", "2026-03-06T10:00:00Z")):
        run(past.url, f"INSERT INTO connections.commits VALUES ('{time}', {position + number})")
    return past


async def days_of(audit: Auditing, **fields: Any) -> list[int]:
    return [int(entry["time"][8:10]) for entry in await audit.ask("Timeline", address=BOBS, **fields)]


async def test_a_range_of_times_has_both_ends_and_attempts_by_their_own_times(days: Past) -> None:
    async with auditing(days) as audit:
        assert await days_of(audit) == [2, 3, 4, 5, 6, 7]
        assert await days_of(audit, from_="2026-03-04T10:00:00Z") == [4, 5, 6, 7]
        assert await days_of(audit, from_="2026-03-04T10:00:00.001Z") == [5, 6, 7]
        assert await days_of(audit, to="2026-03-04T11:00:00+01:00") == [2, 3, 4]
        assert await days_of(audit, to="2026-03-04T09:59:59Z") == [2, 3]
        assert await days_of(audit, from_="2026-03-02T10:00:00Z", to="2026-03-02T10:00:00Z") == [2]
        assert await days_of(audit, from_="2026-03-06T10:00:00Z") == [6, 7]
        assert await days_of(audit, from_="2020-01-01T00:00:00Z", to="2026-11-30T00:00:00Z") == [2, 3, 4, 5, 6, 7]
        assert await days_of(audit, from_="2026-03-07T10:00:01Z") == []


async def test_a_range_of_positions_has_the_attempts_at_its_ends(days: Past) -> None:
    async with auditing(days) as audit:
        first = (await audit.ask("Timeline", address=BOBS))[0]["position"]
        assert await days_of(audit, from_=first + 1) == [6, 7]
        assert await days_of(audit, from_=first, to=first) == [2, 3, 4, 5]
        assert await days_of(audit, to=first - 1) == []


async def test_a_moment_that_the_log_lacks_is_an_error(days: Past) -> None:
    async with auditing(days) as audit:
        assert await audit.refused("Timeline", from_=10_000) == "AS_OF_TOO_LATE"
        assert await audit.refused("Timeline", from_="2999-01-01T00:00:00Z") == "AS_OF_TOO_LATE"
        assert await audit.refused("Timeline", to="2020-01-01T00:00:00Z") == "AS_OF_TOO_EARLY"
        assert await audit.refused("Timeline", to=0) == "AS_OF_TOO_EARLY"
        assert await audit.refused("Timeline", from_=5, to=3) == "QUERY_INVALID"
        assert await audit.refused("Timeline", after="!") == "QUERY_INVALID"
        assert await audit.refused("Timeline", after="cTE") == "QUERY_INVALID"


# ---- what the rows lack


async def test_an_event_of_a_newer_release_is_named_as_what_it_is(company: Past) -> None:
    run(
        company.url,
        "UPDATE connections.events SET topic = 'switchboard.TeamRenamed.v2' WHERE topic LIKE '%TeamMembersChanged%'",
    )
    async with auditing(company) as audit:
        (entry,) = [one for one in await audit.ask("Timeline", team="crew") if one["dead_letter"]]
        assert entry["sentence"] == "ana caused the event TeamRenamed, version 2, which this release cannot read."
        assert entry["event"]["type"] == "switchboard.TeamRenamed.v2"
        assert (entry["command"], entry["changes"]) == ("SetTeamMembers", [])
        (kind,) = (await audit.ask("Coverage"))["dead_letters"]
        assert (kind["type"], kind["parked"]) == ("switchboard.TeamRenamed.v2", 1)


async def test_a_dead_letter_is_in_the_timeline_and_says_so(company: Past) -> None:
    company.give(c.SetFromName(actor=BOB, address=BOBS, from_name="Bob"))
    # An event of an aggregate that never began.
    topic = "topic LIKE '%FromNameChanged%'"
    run(company.url, f"UPDATE connections.events SET originator_id = gen_random_uuid() WHERE {topic}")
    async with auditing(company) as audit:
        last = (await audit.ask("Timeline", address=BOBS))[-1]
        assert last["sentence"] == "bob set the From name of bob@acme.example to “Bob”."
        assert (last["dead_letter"], last["changes"]) == (True, [])


async def test_attempts_on_an_account_that_does_not_exist_are_on_record(past: Past) -> None:
    past.begin()
    past.message("AssignSeat", {"actor": "mallory", "user": "bob"}, account="acmee")
    async with auditing(past) as audit:
        (entry,) = await audit.ask("Timeline", account="acmee")
        assert (entry["reason"], entry["actor"]) == ("ACCOUNT_NOT_FOUND", "mallory")
        (group, refused) = await audit.ask("Refusals", account="acmee")
        assert (group["group"]["count"], refused["entry"]) == (1, entry)


async def test_an_account_whose_first_event_is_a_dead_letter_has_its_timeline(company: Past) -> None:
    run(
        company.url, "UPDATE connections.events SET topic = 'switchboard.New.v1' WHERE topic LIKE '%AccountRegistered%'"
    )
    async with auditing(company) as audit:
        entries = await audit.ask("Timeline")
        assert (
            entries[0]["sentence"] == "The service hr caused the event New, version 1, which this release cannot read."
        )
        assert entries[0]["dead_letter"]
        body = await audit.reply("Timeline")
        assert body["incomplete_since"] == 1


async def test_hostile_texts_are_data(past: Past) -> None:
    past.give(*COMPANY)
    hostile = '<script>alert("x")</script> [bold red]\u202e{{7*7}} %s \u2028'
    past.give(c.ConnectPersonal(actor=BOB, address=BOBS, owner=BOB, from_name=hostile))
    past.give(c.ConnectPersonal(actor=CLEO, address="o'brien+%s{0}@acme.example", owner=BOB, from_name=hostile))
    async with auditing(past) as audit:
        (entry,) = await audit.ask("Timeline", address=BOBS)
        assert {"field": "from_name", "before": None, "after": hostile} in entry["changes"]
        (refused,) = await audit.ask("Timeline", address="o'brien+%s{0}@acme.example")
        assert "o'brien+%s{0}@acme.example" in refused["sentence"]


async def test_a_service_is_named_as_one(company: Past) -> None:
    async with auditing(company) as audit:
        first = (await audit.ask("Timeline"))[0]
        assert first["sentence"].startswith("The service hr registered the account")
        assert first["actor"] == HR
