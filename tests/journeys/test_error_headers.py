"""Every reply that is no success says so in the headers of the NATS micro protocol, and no success does."""

import json
from typing import Any

from tests.journeys.wire import TRUSTED, Account, command_subject, question_subject

BOB, HELP = "bob@acme.example", "help@acme.example"
UNREADABLE = (b"", b"no json", b"[]", b"null", b"\xff\xfe", b'{"actor": "ana"', b'{"actor": "\\ud800"}')
TOO_LARGE = b'{"actor": "ana", "address": "' + b"a" * 300_000 + b'"}'

COMMANDS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("MakeTea", "COMMAND_UNKNOWN", {}),
    ("AssignSeat", "COMMAND_INVALID", {"user": 7}),
    ("AssignSeat", "COMMAND_INVALID", {"user": "bob", "more": True}),
    ("ConnectPersonal", "ADDRESS_INVALID", {"address": "no address", "owner": "bob"}),
    ("ConnectPersonal", "USER_NOT_FOUND", {"address": BOB, "owner": "nobody"}),
    ("ConnectTeam", "INBOX_NOT_FOUND", {"address": BOB, "inbox": "nowhere", "visibility_acknowledged": True}),
    ("ConnectTeam", "TEAM_VISIBILITY_NOT_ACKNOWLEDGED", {"address": BOB, "inbox": "support"}),
    ("ConnectTeam", "TEAM_VISIBILITY_NOT_ACKNOWLEDGED", {"address": BOB, "inbox": "support", "dry_run": True}),
    ("Pause", "NOT_CONNECTED", {"address": BOB}),
    ("SetRouting", "COMMAND_INVALID", {"inbox": "support", "rule": {"kind": "nobody knows"}}),
)
QUESTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("WhatIf", "QUERY_UNKNOWN", {}),
    ("Address", "QUERY_INVALID", {"address": 7}),
    ("Address", "ADDRESS_INVALID", {"address": "no address"}),
    ("Inbox", "INBOX_NOT_FOUND", {"inbox": "nowhere"}),
    ("User", "USER_NOT_FOUND", {"user": "nobody"}),
    ("Usage", "VIEW_BEHIND", {"at_least": 2**62, "wait_ms": 1}),
    ("Usage", "AS_OF_TOO_EARLY", {"as_of": 0}),
    ("Usage", "AS_OF_TOO_LATE", {"as_of": 2**62}),
    ("Addresses", "QUERY_INVALID", {"after": "no cursor"}),
    ("Resolve", "QUERY_INVALID", {"recipients": 7}),
    ("Routing", "INBOX_NOT_FOUND", {"inbox": "nowhere"}),
)


async def test_every_refusal_of_a_command_bears_them(account: Account) -> None:
    for name, reason, fields in COMMANDS:
        reply = await account.attempt(name, **fields)
        assert (reply.typed(), reply.reason) == (True, reason), (name, reply)
        assert reply.error
        assert reply.error[1] == reason
    for body in (*UNREADABLE, TOO_LARGE):
        for where in ("AssignSeat", "MakeTea"):
            reply = await account.wire.ask(command_subject(account.name, where), body)
            assert reply.typed(), (body[:20], reply)
            assert reply.error, (body[:20], reply)
    for elsewhere in ("a" * 33, "a+b"):
        reply = await account.wire.command(elsewhere, "AssignSeat", TRUSTED, user="bob")
        assert (reply.typed(), reply.error) == (True, (400, "COMMAND_INVALID"))
    assert (await account.wire.command("nobody-is-here", "AssignSeat", user="bob")).error == (404, "ACCOUNT_NOT_FOUND")


async def test_a_refusal_that_is_told_again_bears_them_again(account: Account) -> None:
    command_id = "0198c0de-0000-7000-8000-00000000e44e"
    for _ in range(2):
        reply = await account.attempt("Pause", address=BOB, command_id=command_id)
        assert (reply.typed(), reply.error) == (True, (409, "NOT_CONNECTED"))
    reply = await account.attempt("Resume", address=BOB, command_id=command_id)
    assert (reply.typed(), reply.error) == (True, (409, "COMMAND_ID_REUSED"))


async def test_every_refusal_of_a_question_bears_them(account: Account) -> None:
    for name, reason, fields in QUESTIONS:
        reply = await account.ask(name, **fields)
        assert (reply.typed(), reply.reason) == (True, reason), (name, reply)
        assert reply.error
        assert reply.error[1] == reason
    for body in (*UNREADABLE, TOO_LARGE):
        for where in ("Address", "Resolve", "WhatIf"):
            reply = await account.wire.ask(question_subject(account.name, where), body)
            assert reply.typed(), (body[:20], reply)
            assert reply.error, (body[:20], reply)
    for actor, error in (("nobody", (403, "PERMISSION_MISSING")), (None, (400, "QUERY_INVALID"))):
        assert (await account.ask("Usage", actor)).error == error
    assert (await account.wire.question("nobody-is-here", "Usage")).error == (404, "ACCOUNT_NOT_FOUND")


async def test_an_answer_larger_than_a_message_is_refused_with_them(account: Account) -> None:
    users = [f"{'u' * 30}{number}" for number in range(10, 24)]
    for user in users:
        await account.do("AddUser", user=user, name="U", permissions=[])
        await account.do("AssignSeat", user=user)
    await account.do("CreateInbox", inbox="crowd", name="Crowd", members=users)
    await account.do("SetRouting", inbox="crowd", rule={"kind": "users_and_teams", "users": users})
    await account.do("ConnectTeam", address=HELP, inbox="crowd", visibility_acknowledged=True)
    reply = await account.ask("Resolve", recipients=[HELP] * 1_000, sender="jo@client.example")
    assert (reply.typed(), reply.error) == (True, (400, "QUERY_INVALID"))
    assert "larger than one message" in json.dumps(reply.body)


async def test_no_success_bears_them(account: Account) -> None:
    for _ in range(2):
        reply = await account.attempt("ConnectPersonal", "bob", address=BOB, owner="bob")
        assert (reply.typed(), reply.error) == (True, None)
    for name, fields in (("Address", {"address": BOB}), ("Resolve", {"recipients": [BOB], "sender": "jo@c.example"})):
        reply = await account.ask(name, **fields)
        assert (reply.typed(), reply.error) == (True, None)
