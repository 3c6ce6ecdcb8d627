"""A whole Switchboard on the configurations of deploy/: each service as its own user and role, and nothing lacks."""

import asyncio
import json
import re
from typing import Any, Final

import nats.errors
import pytest

from services.ops.terminal import NO_ANSWER, REFUSED, USAGE
from shared.client import AuthenticationFailed, PermissionDenied, connect, require
from shared.wire.connection import flush_confirmed
from tests.deploy.production import Production, options_of, production
from tests.journeys.wire import STREAM, TRUSTED, body, command_subject
from tests.real_servers import wait_until
from tests.scale.fleet import SERVICES, Member
from tests.scale.test_each_alone import OWN_FAMILIES, page

SECRETS: Final = ("SWITCHBOARD_SECRETS_DIR",)
PREFIX: Final = ("SWITCHBOARD_NATS_INBOX_PREFIX",)


def test_no_service_wants_what_it_may_not(guarded: Production) -> None:
    for service in SERVICES:
        lines = guarded.said[service].lower().splitlines()
        refused = [line for line in lines if "permission" in line or "not_allowed" in line]
        assert refused == [], service


def test_each_service_tells_all_its_metrics(guarded: Production) -> None:
    for service, families in OWN_FAMILIES.items():
        member = guarded.members[service][0]
        # A lag that cannot be read at the moment is left out.
        wait_until(lambda m=member, f=families: f <= set(page(m).families), what=f"{service} to tell all")  # type: ignore[misc]
        wait_until(lambda m=member: all_parts_ready(m), what=f"{service} to be ready")  # type: ignore[misc]


def all_parts_ready(member: Member) -> bool:
    return set(page(member).samples["switchboard_part_ready"].values()) == {1.0}


def test_people_see_the_stream_the_views_and_their_settings(guarded: Production) -> None:
    code, output = guarded.command_line("ops", "streams", "--json")
    assert code == 0, output
    report = json.loads(output)
    assert report["drift"] == {}
    assert {one["name"] for one in report["consumers"]} >= {"inbox_views", "routing"}
    code, output = guarded.command_line("ops", "views", "show", "--json")
    assert code == 0, output
    assert {one["parked"] for one in json.loads(output)} == {0}
    code, output = guarded.command_line("ops", "config", "show", "--json")
    assert code == 0, output
    found = {one["setting"]: (one["value"], one["from"]) for one in json.loads(output)}
    assert found["SWITCHBOARD_NATS_NKEY_SEED"] == ("***", "file")
    assert found["SWITCHBOARD_POSTGRES_URL"][1] == "file"
    password = guarded.secrets.url("ops").split(":")[2].partition("@")[0]
    assert guarded.secrets.seed("ops") not in output
    assert password not in output


@pytest.mark.parametrize(("user", "account"), [("siem", None), ("crm", "acme")])
async def test_a_reader_follows_the_events_it_may_read(user: str, account: str | None, guarded: Production) -> None:
    options = options_of(user, guarded.secrets.seed(user))
    async with connect(guarded.nats.url, **options) as switchboard, asyncio.timeout(20):
        told = []
        async for one in switchboard.events(account=account, consumer=user):
            told.append(one)
            if one.type == "switchboard.InboxArchived.v1":
                break
    assert {one.account for one in told} == {"acme"}
    assert [one.position for one in told] == list(range(1, len(told) + 1))


async def test_a_caller_asks_about_its_account_and_hears_of_no_other(guarded: Production) -> None:
    refusals: list[str] = []

    async def note(error: Exception) -> None:
        refusals.append(str(error))

    async with guarded.nats.connected_as("crm", error_cb=note) as wire:
        asked = await wire.question("acme", "Address", TRUSTED, address="support@acme.example")
        assert asked.result["state"] == "connected"
        again = await wire.command("acme", "RenameInbox", "ana", inbox="help", name="Help")
        assert again.outcome == "accepted"
        with pytest.raises(nats.errors.TimeoutError):
            await wire.ask("switchboard.query.v1.other.Address", b"{}", seconds=0.3)
        assert any("permissions violation" in one for one in refusals)


async def test_an_auditor_asks_every_question_and_nothing_else(guarded: Production) -> None:
    auditor = "service:audit.zoe"
    async with guarded.nats.connected_as("auditor") as wire:

        async def ask(name: str, **fields: object) -> Any:
            return (await wire.question("acme", name, auditor, **fields)).result

        # The index follows the log on its own: what others did here a moment ago may not be in it yet.
        end = (await ask("Coverage"))["log"]["position"]
        await wire.audited("acme", end)
        coverage = await ask("Coverage")
        assert coverage["index"]["position"] == coverage["log"]["position"]
        (entry, *_) = await ask("Timeline", address="support@acme.example")
        assert entry["sentence"].endswith("connected support@acme.example to the inbox support.")
        async with asyncio.timeout(20):
            # A view that is busy may leave its time open.
            while (await ask("Trace", command_id=entry["command_id"]))[0]["events"][0]["missing"]:
                await asyncio.sleep(0.05)
        tried = [item["today"] for item in await ask("Refusals", today=True) if item["entry"]]
        assert {one["missing"] for one in tried} == {None}
        before, after = [len([one for one in await ask("About", user="bob") if one["question"]]) for _ in range(2)]
        assert after == before + 1
        with pytest.raises(nats.errors.TimeoutError):
            await wire.ask("switchboard.query.v1.acme.Usage", b"{}", seconds=0.3)


async def test_a_caller_is_told_at_once_what_nats_does_not_let_it(guarded: Production) -> None:
    options = options_of("crm", guarded.secrets.seed("crm"))
    async with connect(guarded.nats.url, **options) as switchboard, asyncio.timeout(5):
        acme, other = (switchboard.account(name, actor="service:crm") for name in ("acme", "other"))
        asked = asyncio.create_task(acme.usage())
        with pytest.raises(PermissionDenied, match=re.escape("publish to switchboard.query.v1.other.Usage")):
            await other.usage()
        with pytest.raises(PermissionDenied, match="publish to"):
            await other.rename_inbox("inbox", "Other")
        assert require(await asked).result.inboxes


async def test_a_reader_of_what_it_may_not_read_does_not_wait_for_ever(guarded: Production) -> None:
    options = options_of("crm", guarded.secrets.seed("crm"))
    async with connect(guarded.nats.url, **options) as switchboard, asyncio.timeout(20):
        with pytest.raises(PermissionDenied, match=re.escape("$JS.API.CONSUMER")):
            await anext(switchboard.events(account="other", consumer="crm"))


async def test_who_may_not_hear_answers_asks_nothing(guarded: Production) -> None:
    async with connect(guarded.nats.url, nkeys_seed_str=guarded.secrets.seed("crm")) as switchboard:
        acme = switchboard.account("acme", actor="ana")
        with pytest.raises(PermissionDenied, match="SWITCHBOARD_NATS_INBOX_PREFIX"):
            await acme.create_inbox("unheard", "Unheard")
    async with guarded.nats.connected_as("crm") as wire:
        inboxes = (await wire.question("acme", "Inboxes", TRUSTED)).result
    assert "unheard" not in {one["inbox"] for one in inboxes}


async def test_who_is_not_let_in_is_told_so(guarded: Production) -> None:
    with pytest.raises(AuthenticationFailed):
        async with connect(guarded.nats.url, connect_timeout=1):
            pass


@pytest.mark.parametrize(
    ("user", "without", "words", "code", "said"),
    [
        ("crm", SECRETS, ("query", "acme", "Usage", "actor=ana"), USAGE, "SWITCHBOARD_NATS_NKEY_SEED"),
        ("crm", PREFIX, ("query", "acme", "Usage", "actor=ana"), REFUSED, "SWITCHBOARD_NATS_INBOX_PREFIX"),
        ("crm", PREFIX, ("streams",), NO_ANSWER, "does not let this user publish to"),
        ("crm", (), ("query", "other", "Usage", "actor=ana"), REFUSED, "does not let this user publish to"),
        ("helpdesk", (), ("command", "acme", "RenameInbox", "actor=ana"), REFUSED, "does not let this user publish to"),
        ("ops", (), ("views", "rebuild", "routing"), REFUSED, "the role of the view's own service"),
    ],
)
def test_the_command_line_says_which_setting_or_permission_lacks(
    user: str, without: tuple[str, ...], words: tuple[str, ...], code: int, said: str, guarded: Production
) -> None:
    found, output = guarded.command_line(user, *words, without=without)
    assert (found, said in output, "Traceback" in output) == (code, True, False), output


async def test_a_caller_sends_no_answer_to_where_it_may_not_write_itself(guarded: Production) -> None:
    """Who answers is asked to publish for the caller; were any place allowed, this would be stored as an event."""
    places = [f"$JS.API.STREAM.DELETE.{STREAM}", "switchboard.event.v1.acme.address.Forged", "_INBOX.ops.x"]
    async with guarded.nats.connected_as("ops") as ops, guarded.nats.connected_as("crm") as crm:
        heard = await ops.client.subscribe("_INBOX.ops.x")
        await flush_confirmed(ops.client)
        before = await ops.client.jetstream().stream_info(STREAM)
        for place in places:
            fields = {"address": "support@acme.example", "inbox": "help", "visibility_acknowledged": True}
            await crm.client.publish(command_subject("acme", "ConnectTeam"), body("ana", fields), reply=place)
            await crm.client.publish("switchboard.query.v1.acme.Inboxes", body("ana", {}), reply=place)
        # Answers come in the order of what was asked: when these two are here, all before them were tried.
        answers = [json.loads((await heard.next_msg(timeout=10)).data) for _ in range(2)]
        assert {tuple(sorted(answer)) for answer in answers} >= {("command_id", "outcome", "position")}
        after = await ops.client.jetstream().stream_info(STREAM)
    assert (after.created, after.state.last_seq) == (before.created, before.state.last_seq)


def test_a_view_is_made_anew_by_its_own_role(guarded: Production) -> None:
    for verb in (("rebuild",), ("compare",), ("switch",)):
        code, output = guarded.command_line("routing", "views", *verb, "routing")
        assert code == 0, output
    asked = ("Resolve", "--actor", TRUSTED, "sender=jo@client.example", 'recipients:=["support@acme.example"]')
    code, output = guarded.command_line("ops", "query", "acme", *asked, "--json")
    assert code == 0, output
    assert json.loads(output)["result"][0]["destination"] == "inbox"
    code, output = guarded.command_line("ops", "views", "show", "--json")
    assert code == 0, output


def test_servers_that_write_the_subject_of_acknowledgements_otherwise_are_served_as_well() -> None:
    with production("feature_flags { js_ack_fc_v2: true }") as made:
        made.begin_all()
        assert made.command_line("ops", "demo")[0] == 0
        # The last acknowledgement comes after the answer.
        wait_until(lambda: nothing_waits(made), what="both views to acknowledge everything")
        made.keep_output()
        assert not any("not_allowed" in said for said in made.said.values())


def nothing_waits(made: Production) -> bool:
    code, output = made.command_line("ops", "streams", "--json")
    assert code == 0, output
    told = {one["name"]: one for one in json.loads(output)["consumers"]}
    return not any(told[view][what] for view in ("inbox_views", "routing") for what in ("unacknowledged", "pending"))


def test_services_that_start_before_nats_and_database_are_there_come_up_with_them() -> None:
    with production() as made:
        made.nats.stop()
        made.postgres.stop()
        begun = [made.begin(service) for service in SERVICES]
        made.nats.start()
        made.postgres.start()
        for member in begun:
            member.wait_until_ready()
        assert made.command_line("ops", "demo")[0] == 0
