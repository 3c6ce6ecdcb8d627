"""What `/metrics` tells is what was done, and what the dashboard, the alerts and the README name is told."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.journeys import cast
from tests.journeys.story import STORY
from tests.journeys.wire import Account, Wire, question_subject
from tests.metrics_page import Page
from tests.real_servers import ROOT, RunningSwitchboard

DASHBOARD = ROOT / "deploy/dashboards/switchboard.json"
ALERTS = ROOT / "deploy/dashboards/alerts.yml"
NAME = re.compile(r"\b(?:switchboard|process)_[a-z_]+\b")
VIEWS = ("inbox_views", "routing")
BOB = "bob@acme.example"


def page_of(running: RunningSwitchboard) -> Page:
    return Page(running.metrics())


async def page(running: RunningSwitchboard) -> Page:
    return await asyncio.to_thread(page_of, running)


async def test_commands_are_counted_by_name_outcome_and_reason(account: Account, running: RunningSwitchboard) -> None:
    before = await page(running)
    for actor in ("bob", "bob", "cleo"):
        await account.attempt("ConnectPersonal", actor, address=BOB, owner=actor)
    await account.attempt("ConnectPersonal", "bob", address="no address", owner="bob")
    for name in ("MakeTea", "MakeCoffee"):
        await account.attempt(name)
    await account.attempt("RenameInbox", inbox=7)
    after = await page(running)
    assert after.since(before, "switchboard_commands_total", "command", "outcome", "reason") == {
        ("ConnectPersonal", "accepted", ""): 1,
        ("ConnectPersonal", "unchanged", ""): 1,
        ("ConnectPersonal", "refused", "ADDRESS_ALREADY_PERSONAL"): 1,
        ("ConnectPersonal", "refused", "ADDRESS_INVALID"): 1,
        ("RenameInbox", "refused", "COMMAND_INVALID"): 1,
        ("other", "refused", "COMMAND_UNKNOWN"): 2,
    }
    for name in ("switchboard_command_duration_seconds_count", "switchboard_commit_commands_sum"):
        assert after.since(before, name, "service") == {("connections",): 7}, name
    assert after.since(before, "switchboard_commit_duration_seconds_count", "service") == after.since(
        before, "switchboard_commit_commands_count", "service"
    )


async def test_questions_are_counted_by_name_outcome_and_reason(account: Account, running: RunningSwitchboard) -> None:
    await account.see("Usage")
    await account.see("Routing", inbox="inbox")
    before = await page(running)
    await account.see("Address", address=BOB)
    await account.see("Resolve", recipients=[BOB], sender="jo@client.example")
    await account.ask("Inbox", inbox="nowhere")
    await account.ask("Usage", at_least=account.position + 1_000_000, wait_ms=1)
    await account.ask("Address", address=7)
    await account.wire.ask(question_subject(account.name, "WhatIf"), b"{}")
    after = await page(running)
    assert after.since(before, "switchboard_questions_total", "service", "question", "outcome", "reason") == {
        ("inbox-views", "Address", "answered", ""): 1,
        ("routing", "Resolve", "answered", ""): 1,
        ("inbox-views", "Inbox", "refused", "INBOX_NOT_FOUND"): 1,
        ("inbox-views", "Usage", "refused", "VIEW_BEHIND"): 1,
        ("inbox-views", "Address", "refused", "QUERY_INVALID"): 1,
        ("inbox-views", "other", "refused", "QUERY_UNKNOWN"): 1,
    }
    assert after.since(before, "switchboard_question_duration_seconds_count", "question") == {
        ("Address",): 2, ("Resolve",): 1, ("Inbox",): 1, ("Usage",): 1, ("other",): 1,
    }  # fmt: skip


async def test_relay_and_views_tell_where_they_are_and_how_far_behind(
    account: Account, running: RunningSwitchboard
) -> None:
    before = await page(running)
    end = (await account.do("CreateTeam", team="told", name="Told", members=[])).position
    await account.see("Usage")
    await account.see("Routing", inbox="inbox")
    await account.facts(end)
    async with asyncio.timeout(20):
        # A consumer's last acknowledgement comes after its answer.
        while any((found := await page(running)).samples["switchboard_consumer_ack_pending_messages"].values()):
            pass
    assert found.value("switchboard_log_position") == found.value("switchboard_relay_position") == end
    assert found.value("switchboard_relay_leading") == 1
    assert found.value("switchboard_relay_lag_events") == found.value("switchboard_relay_lag_seconds") == 0
    for view in VIEWS:
        assert found.value("switchboard_view_position", view=view) == end
        assert found.value("switchboard_view_carrying", view=view) == 1
        for name in ("lag_events", "lag_seconds"):
            assert found.value(f"switchboard_view_{name}", view=view) == 0, name
        # Other journeys park events in the same Switchboard; this one does not.
        parked = "switchboard_view_parked_events"
        assert found.value(parked, view=view) == before.value(parked, view=view)
        assert found.value("switchboard_consumer_pending_messages", consumer=view) == 0


async def test_every_part_of_every_service_is_told_to_be_ready(running: RunningSwitchboard) -> None:
    found = (await page(running)).samples["switchboard_part_ready"]
    assert set(found.values()) == {1.0}
    parts: dict[str, set[str]] = {}
    for labels in map(dict, found):
        parts.setdefault(labels["service"], set()).add(labels["part"])
    assert parts == {
        "launcher": {"postgres", "nats", "connections", "relay", "inbox-views", "routing", "audit"},
        "connections": {"process", "nats", "postgres", "streams"},
        "relay": {"process", "nats", "postgres", "stream", "lease"},
        "inbox-views": {"process", "nats", "events", "view"},
        "routing": {"process", "nats", "events", "view"},
        "audit": {"process", "nats", "history", "record"},
    }


async def test_labels_have_few_values_and_never_an_account_or_an_address(
    wire: Wire, running: RunningSwitchboard
) -> None:
    account = await told_everything(wire)
    for number in range(20):
        await account.attempt(f"Made-{number}-up")
        await account.wire.ask(question_subject(account.name, f"made-{number}-up"), b"{}")
    found = await page(running)
    values = {value for samples in found.samples.values() for labels in samples for _, value in labels}
    assert not [value for value in values if "@" in value or "acme" in value or "made" in value.lower()]
    assert sum(map(len, found.samples.values())) < 2_500


@pytest.fixture
async def shown(wire: Wire, running: RunningSwitchboard) -> Page:
    """After something of everything was done."""
    await told_everything(wire)
    return await page(running)


async def told_everything(wire: Wire) -> Account:
    account = cast.new_account(wire)
    for step in STORY:
        await account.do(step.command, step.actor, **step.fields)
    await account.see("Usage")
    await account.see("Resolve", recipients=[BOB], sender="jo@client.example")
    return account


def expressions(dashboard: Any) -> Iterator[str]:
    """Every expression of a dashboard, those of its variables too."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


async def test_the_dashboard_asks_only_for_what_is_told(shown: Page) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    asked = {name for expression in expressions(dashboard) for name in NAME.findall(expression)}
    assert asked <= set(shown.samples), asked - set(shown.samples)
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["title"] and panel["targets"] and panel["gridPos"]["w"] <= 24 for panel in panels)


async def test_the_alerts_ask_only_for_what_is_told(shown: Page) -> None:
    text = ALERTS.read_text()
    asked = set(NAME.findall(" ".join(re.findall(r"^ +expr: (.+)$", text, re.MULTILINE))))
    assert asked <= set(shown.samples), asked - set(shown.samples)
    alerts = text.count("- alert: ")
    assert alerts == text.count(" expr: ") == text.count(" severity: ") == text.count(" summary: ") > 0


async def test_the_page_of_metrics_names_what_follows_the_log_on_its_own(shown: Page) -> None:
    views = {dict(labels)["view"] for labels in shown.samples["switchboard_history_position"]}
    assert views == {*VIEWS, "audit", "audit_index"}
    text = (ROOT / "deploy/METRICS.md").read_text()
    assert [view for view in views - {*VIEWS} if f'view="{view}"' not in text] == []


async def test_the_readme_names_every_metric_and_no_other(shown: Page) -> None:
    told = set(re.findall(r"`(switchboard_[a-z_]+)`", (ROOT / "deploy/METRICS.md").read_text()))
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in shown.families.values()}
    assert told == {name for name in names if name.startswith("switchboard_")}
