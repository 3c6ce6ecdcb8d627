"""Large things pass whole: one command is one commit, a page fits into a message, no answer is lost to its size."""

from itertools import pairwise

import pytest

from tests.journeys import cast
from tests.journeys.wire import Account, Wire, body, command_subject

LARGEST_MESSAGE = 1_048_576


def long_address(number: int) -> str:
    """An address of about 240 octets."""
    return f"{number:05}{'x' * 55}@{'y' * 58}.{'z' * 58}.{'w' * 50}.example"


async def connect_many(account: Account, command: str, actor: str, count: int, **fields: object) -> list[str]:
    addresses = [long_address(number) for number in range(count)]
    subject = command_subject(account.name, command)
    replies = await account.wire.flood((subject, body(actor, {"address": one, **fields})) for one in addresses)
    assert {reply.outcome for reply in replies} == {"accepted"}
    account.position = max(reply.position for reply in replies)
    return addresses


@pytest.mark.parametrize("policy", ["orphan", "release", "transfer_to"])
async def test_removing_a_user_with_many_addresses_is_one_commit(account: Account, policy: str) -> None:
    addresses = await connect_many(account, "ConnectPersonal", "bob", 1_500, owner="bob")
    await account.do("DeactivateUser", "ana", user="bob")
    new_owner = {"new_owner": "cleo"} if policy == "transfer_to" else {}
    reply = await account.do("RemoveUser", "ana", user="bob", policy=policy, **new_owner)
    assert reply.body["event_count"] == 1_501
    assert len(reply.body["events"]) == 100
    facts = [fact for fact in await account.facts() if fact.headers["ce-causationid"] == reply.body["command_id"]]
    assert [fact.headers["ce-id"] for fact in facts[:100]] == [event["id"] for event in reply.body["events"]]
    assert facts[-1].position == reply.position
    assert all(after.position == before.position + 1 for before, after in pairwise(facts))
    assert {fact.body["address"] for fact in facts[1:]} == set(addresses)
    filters = {"orphan": {"state": "orphaned"}, "release": {"state": "free"}, "transfer_to": {"owner": "cleo"}}
    listed = await account.pages("Addresses", limit=1_000, **filters[policy])
    assert [one["address"] for one in listed] == sorted(addresses)


async def test_an_inbox_with_more_addresses_than_a_message_holds_gets_its_answers(account: Account) -> None:
    fields = {"inbox": "sales", "visibility_acknowledged": True}
    await connect_many(account, "ConnectTeam", "ana", 5_000, **fields)
    refused = await account.attempt("ArchiveInbox", "ana", inbox="sales")
    assert refused.error == (409, "INBOX_IN_USE")
    unusable = await account.attempt("SetDefaultSender", "dora", user="dora", address="none@acme.example")
    assert unusable.error == (403, "IDENTITY_NOT_USABLE")
    for question, asked in (("Inbox", {"inbox": "sales"}), ("Inboxes", {}), ("Identities", {"user": "dora"})):
        reply = await account.ask(question, **asked)
        assert reply.typed(), reply
        assert reply.reason in (None, "QUERY_INVALID")
    assert len(await account.pages("Identities", user="dora", limit=1_000)) == 5_000
    impact = await account.ask("RemovalImpact", user="dora")
    assert impact.typed()
    archived = await account.do("ArchiveInbox", "ana", inbox="sales", cascade=True)
    assert archived.body["event_count"] == 5_001
    assert await account.see("Addresses", kind="team") == []


async def test_a_page_is_cut_before_it_grows_too_large_for_a_message(wire: Wire) -> None:
    account = await cast.furnished(wire)
    signature = "\U0001f4e7" * 10_000
    users = [f"user-{number:03}" for number in range(60)]
    for user in users:
        await account.do("AddUser", user=user, name="N", permissions=[])
        await account.do("SetSignature", user=user, signature=signature)
    page = await account.ask("Users", limit=1_000)
    assert len(page.raw) < LARGEST_MESSAGE
    assert page.body["next"] is not None
    shown = await account.pages("Users", limit=1_000)
    assert [one["user"] for one in shown] == sorted([*users, "ana", *cast.PEOPLE])
    assert all(one["signature"] == signature for one in shown if one["user"] in users)
