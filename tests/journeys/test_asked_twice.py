"""A command asked twice is one command: the first answer again, word for word, refusals too."""

import json
from typing import Any
from uuid import UUID

from shared.process.clock import new_id
from tests.journeys import cast
from tests.journeys.wire import Account, Wire, body, command_subject

BOB = "bob@acme.example"


def connect(**more: Any) -> dict[str, Any]:
    return {"address": BOB, "owner": "bob", "command_id": new_id()} | more


async def test_the_first_answer_comes_again_word_for_word_whatever_happened_since(account: Account) -> None:
    fields = connect()
    first = await account.attempt("ConnectPersonal", "bob", **fields)
    unchanged = connect()
    second = await account.attempt("ConnectPersonal", "bob", **unchanged)
    await account.do("Disconnect", "bob", address=BOB)
    await account.do("ConnectPersonal", "cleo", address=BOB, owner="cleo")
    assert (first.outcome, second.outcome) == ("accepted", "unchanged")
    assert (await account.attempt("ConnectPersonal", "bob", **fields)).raw == first.raw
    assert (await account.attempt("ConnectPersonal", "bob", **unchanged)).raw == second.raw
    assert [fact.name for fact in await account.facts()].count("PersonalConnected") == 2


async def test_the_same_body_is_an_equal_json_value_and_not_the_same_bytes(account: Account) -> None:
    fields = {"actor": "bob"} | connect()
    subject = command_subject(account.name, "ConnectPersonal")
    spellings = (
        json.dumps(fields),
        json.dumps(dict(reversed(fields.items())), indent=4),
        json.dumps(fields | {"provider": None}),
        json.dumps(fields).replace("@", "\\u0040"),
        json.dumps(fields | {"command_id": str(fields["command_id"]).upper()}),
    )
    replies = [await account.wire.ask(subject, spelling.encode()) for spelling in spellings]
    assert {reply.raw for reply in replies} == {replies[0].raw}
    assert replies[0].outcome == "accepted"


async def test_an_id_is_good_for_one_body_of_one_command_in_one_account(account: Account, wire: Wire) -> None:
    fields = connect()
    await account.do("ConnectPersonal", "bob", **fields)
    for command, actor, changed in (
        ("ConnectPersonal", "bob", fields | {"from_name": "Bob"}),
        ("ConnectPersonal", "bob", fields | {"address": "other@acme.example"}),
        ("ConnectPersonal", "service:x", fields),
        ("Disconnect", "bob", {"address": BOB, "command_id": fields["command_id"]}),
    ):
        reply = await account.attempt(command, actor, **changed)
        assert reply.error == (409, "COMMAND_ID_REUSED"), reply.body
    other = await cast.furnished(wire)
    assert (await other.attempt("ConnectPersonal", "bob", **fields)).outcome == "accepted"


async def test_what_was_never_decided_may_be_asked_anew_under_its_id(wire: Wire) -> None:
    account = cast.new_account(wire)
    fields = {"plan": "free", "admin": "ana", "command_id": new_id()}
    assert (await account.attempt("RegisterAccount", **fields | {"plan": "gold"})).reason == "COMMAND_INVALID"
    assert (await account.attempt("NoSuchCommand", **fields)).reason == "COMMAND_UNKNOWN"
    early = {"inbox": "i", "name": "I", "command_id": new_id()}
    assert (await account.attempt("CreateInbox", **early)).reason == "ACCOUNT_NOT_FOUND"
    assert (await account.attempt("RegisterAccount", **fields)).outcome == "accepted"
    await account.do("ChangePlan", plan="starter")
    assert (await account.attempt("CreateInbox", **early)).outcome == "accepted"


async def test_a_command_without_an_id_gets_one(account: Account) -> None:
    replies = [await account.attempt("ConnectPersonal", "bob", address=BOB, owner="bob") for _ in range(2)]
    first, second = (UUID(reply.body["command_id"]) for reply in replies)
    assert first != second
    assert [reply.outcome for reply in replies] == ["accepted", "unchanged"]


async def test_many_copies_under_way_at_once_are_one_command(account: Account) -> None:
    for number in range(20):
        request = body("bob", connect(address=f"b{number}@acme.example"))
        replies = await account.wire.flood([(command_subject(account.name, "ConnectPersonal"), request)] * 50)
        assert {(reply.raw, reply.outcome) for reply in replies} == {(replies[0].raw, "accepted")}
