"""Whatever is sent in gets an answer of a known form, and what is accepted comes back unchanged.

The texts are those that others collected to break programs (`tests/corpora`), in every text field of every command and
question; the bodies are those that no well-behaved caller sends.
"""

import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

import nats.errors
import psutil
import pytest

from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.process.clock import new_id
from tests.journeys import cast
from tests.journeys.story import STORY
from tests.journeys.wire import TRUSTED, Account, Reply, Wire, body, command_subject, question_subject
from tests.real_servers import ROOT, RunningSwitchboard

CORPORA = ROOT / "tests/corpora"
NAUGHTY: list[str] = json.loads((CORPORA / "naughty-strings.json").read_text("utf-8"))
MORE = [
    "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\ufeff", "\u202e", "a" * 10_001, "\U0010ffff" * 200, "é", "e\u0301",
    "\x7f", "\x85", "\u2028", "\u200b", "\u00a0", "\t", "line\nfeed", "trailing ", " leading", "\r\n",
    "Bob\r\nAcme, 2nd floor", "Bob\rAcme", "7d9f3a52-6c1e-4b8a-9f20-3b1c5e7a9d44", "u" * 64, "u" * 65, "_u", ".u",
]  # fmt: skip
TEXTS = list(dict.fromkeys(NAUGHTY + MORE))
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
IN_FLIGHT = 256


def isemail() -> list[str]:
    """The addresses of the collection, as pictured and with the control characters that the pictures stand for."""
    found = [test.findtext("address") or "" for test in ET.parse(CORPORA / "isemail-tests.xml").iter("test")]  # noqa: S314
    pictures = {0x2400 + code: code for code in (*range(0x20), 0x7F)}
    return list(dict.fromkeys(found + [text.translate(pictures) for text in found]))


def acceptable(text: str, longest: int, *, blank: bool = False, lines: bool = False) -> bool:
    """What the contract says of texts, said once more."""
    plain = kept_as(text).replace("\n", "").replace("\t", "") if lines else text
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in plain):
        return False
    return len(text) <= longest and (blank or bool(text.strip()))


def kept_as(text: str) -> str:
    """Lines as they come back: CR LF is kept as LF."""
    return text.replace("\r\n", "\n")


@pytest.fixture(autouse=True)
async def nothing_breaks(running: RunningSwitchboard, wire: Wire) -> Any:
    """After each test every service still answers, and none was started again."""
    before = parts(running)
    yield
    assert running.ready(), running.health()
    assert parts(running) == before
    assert "part.died" not in running.output()
    account = await cast.furnished(wire)
    await account.do("ConnectPersonal", "bob", address="still@acme.example", owner="bob")
    assert (await account.see("Address", address="still@acme.example"))["owner"] == "bob"
    resolved = await account.see("Resolve", recipients=["still@acme.example"], sender="a@b.example")
    assert resolved[0]["owner"] == "bob"
    failures = [line for line in running.output().splitlines() if "Traceback" in line or ".failed" in line]
    assert not failures, failures[:3]


def parts(running: RunningSwitchboard) -> set[int]:
    """The processes that the launcher keeps; PostgreSQL's own come and go."""
    return {process.pid for process in psutil.Process(running.process.pid).children()}


def text_fields(message: type[Any], beside: frozenset[str] = frozenset()) -> list[str]:
    """The fields that take text, or a list of texts."""
    return [name for name, field in message.model_fields.items() if name not in beside and takes_text(field.annotation)]


def takes_text(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, tuple) or get_args(annotation):
        return any(takes_text(part) for part in get_args(annotation))
    return annotation is str or isinstance(annotation, str)


def is_list(message: type[Any], name: str) -> bool:
    return "tuple" in str(message.model_fields[name].annotation)


def typed(replies: list[Reply]) -> Counter[str]:
    """Every reply is of a known form; how often which."""
    for reply in replies:
        assert reply.typed(), reply
        assert reply.reason != "BUSY", reply
    return Counter(reply.reason or reply.outcome or "answered" for reply in replies)


# ---- every text in every field


async def test_every_text_in_every_field_of_every_command_gets_an_answer(account: Account) -> None:
    good: dict[str, dict[str, Any]] = {step.command: step.fields for step in STORY}

    def requests() -> Iterator[tuple[str, bytes]]:
        for name, message in COMMANDS.items():
            for field in text_fields(message, frozenset(("actor", "command_id", "correlation_id"))):
                for text in TEXTS:
                    fields = good[name] | {field: [text] if is_list(message, field) else text}
                    yield command_subject(account.name, name), as_json(fields | {"actor": TRUSTED, "dry_run": True})

    seen = typed(await account.wire.flood(requests(), IN_FLIGHT))
    print(seen)
    assert seen["COMMAND_INVALID"] > 10_000
    assert seen["ADDRESS_INVALID"] > 5_000


def as_json(fields: dict[str, Any]) -> bytes:
    """With escapes, so that lone surrogates can be said."""
    return json.dumps(fields).encode()


async def test_every_text_as_actor_and_as_ids_of_a_command_gets_an_answer(account: Account) -> None:
    names = list(COMMANDS)
    good: dict[str, dict[str, Any]] = {step.command: step.fields for step in STORY}

    def requests() -> Iterator[tuple[str, bytes]]:
        for number, text in enumerate(TEXTS):
            for offset, field in enumerate(("actor", "command_id", "correlation_id", "dry_run")):
                name = names[(number + offset) % len(names)]
                yield command_subject(account.name, name), as_json(good[name] | {"actor": TRUSTED} | {field: text})

    assert set(typed(await account.wire.flood(requests(), IN_FLIGHT))) >= {"COMMAND_INVALID", "PERMISSION_MISSING"}


async def test_every_text_in_every_field_of_every_question_gets_an_answer(account: Account) -> None:
    good: dict[str, dict[str, Any]] = {
        "Address": {"address": "a@b.example"}, "Inbox": {"inbox": "support"}, "Identities": {"user": "bob"},
        "User": {"user": "bob"}, "RemovalImpact": {"user": "bob"}, "Routing": {"inbox": "support"},
        "Resolve": {"recipients": ["a@b.example"], "sender": "c@d.example"},
    }  # fmt: skip

    def requests() -> Iterator[tuple[str, bytes]]:
        for name, message in QUESTIONS.items():
            for field in text_fields(message):
                if field == "actor" and name not in ("Address", "Resolve"):
                    continue
                for text in TEXTS:
                    fields = {"actor": TRUSTED} | good.get(name, {})
                    told = fields | {field: [text] if is_list(message, field) else text}
                    yield question_subject(account.name, name), as_json(told)

    seen = typed(await account.wire.flood(requests(), IN_FLIGHT))
    print(seen)
    assert set(seen) >= {"QUERY_INVALID", "ADDRESS_INVALID", "USER_NOT_FOUND", "INBOX_NOT_FOUND", "answered"}


# ---- what is accepted comes back


async def given(account: Account, command: str, fields: list[dict[str, Any]]) -> list[Reply]:
    """One command for each, all at once; only typed answers."""
    subject = command_subject(account.name, command)
    replies = await account.wire.flood(((subject, as_json({"actor": TRUSTED} | told)) for told in fields), IN_FLIGHT)
    typed(replies)
    account.position = max([account.position, *(reply.body.get("position", 0) for reply in replies)])
    return replies


def expect(replies: list[Reply], texts: list[str], field: str, *accepted_if: bool) -> list[int]:
    """Exactly the acceptable ones were accepted, and the refusals name the field; which were accepted."""
    for reply, text, fine in zip(replies, texts, accepted_if, strict=True):
        assert (reply.outcome == "accepted") == fine, (text, reply.body)
        if not fine:
            assert reply.error == (400, "COMMAND_INVALID"), (text, reply.body)
            # Of a body that is no readable JSON nothing more can be said than that.
            assert {error["field"] for error in reply.body["details"]["errors"]} <= {field, ""}
    return [number for number, reply in enumerate(replies) if reply.outcome == "accepted"]


async def bodies_of(account: Account, event: str) -> list[dict[str, Any]]:
    return [fact.body for fact in await account.facts() if fact.name == event]


async def test_every_name_signature_and_font_comes_back_as_it_was_sent(wire: Wire) -> None:
    account = await cast.furnished(wire)
    users = [f"user-{number}" for number in range(len(TEXTS))]
    named = await given(account, "AddUser", [
        {"user": user, "name": text, "permissions": []} for user, text in zip(users, TEXTS, strict=True)])  # fmt: skip
    kept = expect(named, TEXTS, "name", *(acceptable(text, 200) for text in TEXTS))
    await given(account, "AddUser", [
        {"user": users[n], "name": "N", "permissions": []} for n in range(len(users)) if n not in kept])  # fmt: skip
    signed = await given(account, "SetSignature", [
        {"user": user, "signature": text} for user, text in zip(users, TEXTS, strict=True)])  # fmt: skip
    signable = [acceptable(text, 10_000, blank=True, lines=True) for text in TEXTS]
    for text, reply, fine in zip(TEXTS, signed, signable, strict=True):
        assert (reply.outcome != "refused") == fine, (text, reply.body)
    fonts = await given(account, "SetDefaultFont", [
        {"user": user, "font": text, "size": 12} for user, text in zip(users, TEXTS, strict=True)])  # fmt: skip
    in_font = expect(fonts, TEXTS, "font", *(acceptable(text, 100) for text in TEXTS))
    caused = await given(account, "SetAvailability", [
        {"user": user, "availability": "away", "cause": text}
        for user, text in zip(users, TEXTS, strict=True)])  # fmt: skip
    away = expect(caused, TEXTS, "cause", *(acceptable(text, 1_000, lines=True) for text in TEXTS))
    shown = {user["user"]: user for user in await account.pages("Users", limit=200)}
    for number, (user, text) in enumerate(zip(users, TEXTS, strict=True)):
        told = shown[user]
        assert told["name"] == (text if number in kept else "N")
        assert told["signature"] == (kept_as(text) if signable[number] else "")
        assert told["font"] == ({"font": text, "size": 12} if number in in_font else None)
        assert told["availability"] == ("away" if number in away else "available")
    facts = await account.facts()
    told_names = {fact.body["user"]: fact.body["name"] for fact in facts if fact.name == "UserAdded"}
    assert all(told_names[users[number]] == TEXTS[number] for number in kept)
    causes = {fact.body["user"]: fact.body["cause"] for fact in facts if fact.name == "AvailabilityChanged"}
    assert causes == {users[number]: kept_as(TEXTS[number]) for number in away}


async def test_every_from_name_identity_cause_and_note_comes_back_as_it_was_sent(wire: Wire) -> None:
    account = await cast.furnished(wire)
    addresses = [f"a{number}@acme.example" for number in range(len(TEXTS))]
    pairs = list(zip(addresses, TEXTS, strict=True))
    both = {"owner": "bob", "provider": "imap"}
    connected = await given(account, "ConnectPersonal", [
        {"address": address, "from_name": text, "provider_identity": text, **both}
        for address, text in pairs])  # fmt: skip
    for (_, text), reply in zip(pairs, connected, strict=True):
        assert (reply.outcome == "accepted") == acceptable(text, 200), (text, reply.body)
    kept = [number for number, reply in enumerate(connected) if reply.outcome == "accepted"]
    await given(account, "ConnectPersonal", [
        {"address": addresses[n], "owner": "bob"} for n in range(len(addresses)) if n not in kept])  # fmt: skip
    shown = {one["address"]: one for one in await account.pages("Addresses", limit=500)}
    assert all(shown[addresses[number]]["from_name"] == TEXTS[number] for number in kept)
    facts = {fact["address"]: fact for fact in await bodies_of(account, "PersonalConnected")}
    for number in kept:
        fact = facts[addresses[number]]
        assert (fact["from_name"], fact["provider_identity"]) == (TEXTS[number], TEXTS[number])
    renamed = await given(account, "SetFromName", [{"address": a, "from_name": t + "!"} for a, t in pairs])
    kept = expect(renamed, TEXTS, "from_name", *(acceptable(text + "!", 200) for text in TEXTS))
    shown = {one["address"]: one for one in await account.pages("Addresses", limit=500)}
    assert all(shown[addresses[number]]["from_name"] == TEXTS[number] + "!" for number in kept)
    broken = await given(account, "RequireReauthentication", [{"address": a, "cause": t} for a, t in pairs])
    kept = expect(broken, TEXTS, "cause", *(acceptable(text, 1_000, lines=True) for text in TEXTS))
    causes = {fact["address"]: fact["cause"] for fact in await bodies_of(account, "ReauthenticationRequired")}
    assert causes == {addresses[number]: kept_as(TEXTS[number]) for number in kept}
    ended = await given(account, "Disconnect", [{"address": a, "note": t} for a, t in pairs])
    kept = expect(ended, TEXTS, "note", *(acceptable(text, 1_000, blank=True, lines=True) for text in TEXTS))
    notes = {fact["address"]: fact["note"] for fact in await bodies_of(account, "Disconnected")}
    assert notes == {addresses[number]: kept_as(TEXTS[number]) for number in kept}


async def test_every_name_of_an_inbox_and_a_team_comes_back_as_it_was_sent(wire: Wire) -> None:
    account = await cast.furnished(wire, plan="enterprise")
    teams = await given(account, "CreateTeam", [
        {"team": f"t{number:04}", "name": text} for number, text in enumerate(TEXTS)])  # fmt: skip
    kept = expect(teams, TEXTS, "name", *(acceptable(text, 200) for text in TEXTS))
    shown = {team["team"]: team["name"] for team in await account.pages("Teams", limit=300)}
    assert shown == {f"t{number:04}": TEXTS[number] for number in kept}
    for start in range(0, len(TEXTS), 190):
        rooms = await cast.furnished(wire, plan="enterprise")
        texts = TEXTS[start : start + 190]
        made = await given(rooms, "CreateInbox", [
            {"inbox": f"i{number:04}", "name": text} for number, text in enumerate(texts)])  # fmt: skip
        for text, reply in zip(texts, made, strict=True):
            assert reply.outcome == "accepted" or reply.reason == "INBOX_NAME_TAKEN" or not acceptable(text, 200), text
        expected = {f"i{n:04}": texts[n] for n, reply in enumerate(made) if reply.outcome == "accepted"}
        inboxes = {one["inbox"]: one["name"] for one in await rooms.pages("Inboxes", limit=50)}
        assert expected.items() <= inboxes.items()


async def test_every_text_as_an_id_is_accepted_exactly_when_it_is_one(wire: Wire) -> None:
    account = await cast.furnished(wire)
    made = await given(account, "AddUser", [{"user": text, "name": "N", "permissions": []} for text in TEXTS])
    accepted = [text for text, reply in zip(TEXTS, made, strict=True) if reply.outcome == "accepted"]
    assert set(accepted) == {text for text in TEXTS if ID.fullmatch(text)}
    shown = {user["user"] for user in await account.pages("Users", limit=50)}
    assert shown == {"ana", *cast.PEOPLE, *accepted}
    teams = await given(account, "CreateTeam", [{"team": text, "name": "N", "members": accepted[:3]} for text in TEXTS])
    assert {t for t, reply in zip(TEXTS, teams, strict=True) if reply.outcome == "accepted"} == set(accepted)


# ---- addresses


async def test_every_address_is_accepted_and_comes_back_or_is_refused_with_the_place(wire: Wire) -> None:
    account = await cast.furnished(wire)
    texts = list(dict.fromkeys(isemail() + TEXTS))
    assert len(texts) > 650
    replies = await given(account, "ConnectPersonal", [{"address": text, "owner": "bob"} for text in texts])
    connected = {}
    for text, reply in zip(texts, replies, strict=True):
        match reply.outcome, reply.error:
            case "accepted" | "unchanged", None:
                connected[text] = reply
            case "refused", (422, "ADDRESS_INVALID"):
                at = reply.body["details"]["at"]
                assert reply.body["details"]["field"] == "address"
                assert at is None or 0 <= at <= len(text)
            case _:
                # What is no text in JSON's sense (a lone surrogate) is not read as an address at all.
                assert (reply.reason, text.isprintable()) == ("COMMAND_INVALID", False), (text, reply.body)
    print(f"{len(connected)} of {len(texts)} accepted")
    assert len(connected) >= 20
    subject = question_subject(account.name, "Address")
    asked = [(subject, as_json({"actor": "bob", "address": text, "at_least": account.position})) for text in texts]
    answers = await wire.flood(asked, IN_FLIGHT)
    typed(answers)
    facts = {fact["address"]: fact for fact in await bodies_of(account, "PersonalConnected")}
    for text, answer in zip(texts, answers, strict=True):
        if text not in connected:
            assert answer.reason in ("ADDRESS_INVALID", "QUERY_INVALID"), (text, answer.body)
            continue
        told = answer.result
        assert told["owner"] == "bob"
        assert told["address"].isascii()
        assert told["address"] == told["address"].lower()
        assert facts[told["address"]]["display"] == told["display"]
        if connected[text].outcome == "accepted":
            assert told["display"] == text.strip(" \t")
    listed = {one["address"] for one in await account.pages("Addresses", limit=100)}
    assert listed == set(facts)


# ---- bodies and subjects that nobody well-behaved sends

DEEP = b"[" * 100_000
GOOD = {"address": "bob@acme.example", "owner": "bob"}
BODIES: list[bytes] = [
    b"", b" ", b"{", b"}", b"[]", b"null", b"true", b"0", b'"text"', b"NaN", b"{]", b'{"actor"}', b'{"actor":}',
    b"\x00", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"actor": "\xff"}', b'{"actor": "\xed\xa0\x80"}', b"{'actor': 'bob'}",
    b'{"actor": "\\ud800"}', b'{"\\ud800": 1}', b'{"\\u0000": 1}', b'{"actor": "bob", "actor": "nobody at all"}',
    b'{"actor": NaN}', b'{"actor": 1e999}', b'{"actor": 1' + b"0" * 5_000 + b"}", b'{"actor": -0.0}', b"{} {}",
    b'{"actor": {"a": {"b": null}}}', DEEP, DEEP + b"]" * 100_000, b'{"a":' * 50_000,
    b'{"a":' * 500 + b"1" + b"}" * 500,
    json.dumps({"actor": "bob", **{f"field{n}": n for n in range(5_000)}}).encode(),
    b'{"actor": "' + b"a" * 262_000 + b'"}', b'{"actor": "' + b"a" * 262_133 + b'"}', b" " * 1_048_576,
    b'{"actor": "' + b"a" * 1_048_563 + b'"}', b"[" * 1_048_576, b'"' + b"\\u0000" * 170_000 + b'"',
]  # fmt: skip
WRONG_VALUES: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**400, "", [], {}, [[]], [None], {"a": None}, ["a"] * 1_001, "a" * 20_000,
    [{"deep": [[[{}]]]}], "ünicode", "true",
]  # fmt: skip


async def test_every_body_gets_an_answer_from_every_command_and_question(account: Account) -> None:
    commands = [command_subject(account.name, name) for name in (*COMMANDS, "Nonsense", "connectteam")]
    questions = [question_subject(account.name, name) for name in (*QUESTIONS, "Nonsense")]
    small = [told for told in BODIES if len(told) < 10_000]
    big = [told for told in BODIES if len(told) >= 10_000]
    few = [commands[0], commands[-1], questions[0], questions[-1], question_subject(account.name, "Resolve")]
    replies = await account.wire.flood([(subject, told) for told in small for subject in (*commands, *questions)])
    replies += await account.wire.flood([(subject, told) for told in big for subject in few], in_flight=16)
    seen = typed(replies)
    assert set(seen) == {"COMMAND_INVALID", "COMMAND_UNKNOWN", "QUERY_INVALID", "QUERY_UNKNOWN"}, seen
    assert {reply.body["command_id"] for reply in replies if reply.reason == "COMMAND_INVALID"} == {None}


async def test_every_wrong_value_in_every_field_gets_an_answer(account: Account) -> None:
    good: dict[str, dict[str, Any]] = {step.command: step.fields for step in STORY}

    def requests() -> Iterator[tuple[str, bytes]]:
        for name, message in (*COMMANDS.items(), *QUESTIONS.items()):
            subject = (command_subject if name in COMMANDS else question_subject)(account.name, name)
            extra = {"dry_run": True} if name in COMMANDS else {}
            for field in (*message.model_fields, "unknown_field"):
                for value in WRONG_VALUES:
                    yield subject, as_json({"actor": TRUSTED} | extra | good.get(name, {}) | {field: value})

    seen = typed(await account.wire.flood(requests(), IN_FLIGHT))
    print(seen)
    assert seen["COMMAND_INVALID"] > 2_000
    assert seen["QUERY_INVALID"] > 500


async def test_all_field_errors_are_told_at_once(account: Account) -> None:
    fields = {"adress": 1, "owner": "a b", "provider": "aol", "dry_run": "yes", "from_name": "\n"}
    reply = await account.attempt("ConnectPersonal", "no one", **fields)
    assert reply.error == (400, "COMMAND_INVALID")
    told = {error["field"] for error in reply.body["details"]["errors"]}
    assert told == {"actor", "address", "adress", "owner", "provider", "dry_run", "from_name"}


async def test_text_beyond_its_length_and_lists_beyond_theirs_are_refused(account: Account) -> None:
    rule = {"kind": "users_and_teams", "users": ["bob"] * 1_001}
    for command, fields in (
        ("ConnectPersonal", GOOD | {"from_name": "x" * 201}),
        ("ConnectPersonal", GOOD | {"provider_identity": "x" * 255}),
        ("SetDefaultFont", {"user": "bob", "font": "x" * 101}),
        ("SetSignature", {"user": "bob", "signature": "x" * 10_001}),
        ("Disconnect", {"address": "bob@acme.example", "note": "x" * 1_001}),
        ("CreateInbox", {"inbox": "i", "name": "x" * 201}),
        ("SetRouting", {"inbox": "support", "rule": rule}),
        ("CreateTeam", {"team": "t", "name": "T", "members": ["bob"] * 1_001}),
        ("ConnectPersonal", GOOD | {"correlation_id": "x" * 129}),
    ):
        assert (await account.attempt(command, TRUSTED, **fields)).reason == "COMMAND_INVALID", command
    await account.do("ConnectPersonal", TRUSTED, **GOOD, from_name="x" * 200, provider_identity="x" * 254)
    await account.do("SetSignature", TRUSTED, user="bob", signature="\U0001f4e7" * 10_000)
    assert len((await account.see("User", user="bob"))["signature"]) == 10_000


async def test_odd_accounts_commands_and_questions_get_an_answer(wire: Wire) -> None:
    # Longer subjects the bus itself refuses, by closing the caller's connection.
    tokens = [
        text for text in TEXTS if 0 < len(text) < 3_000 and not re.search(r"[\s.*>\x00-\x20\x7f\ud800-\udfff]", text)
    ]
    tokens += ["a" * 33, "a" * 32, "ünïcode", "$SRV", "_INBOX", "a@b", "%", "-", "a" * 3_000]
    requests = [
        (subject(token, name), body(TRUSTED, {}))
        for token in dict.fromkeys(tokens)
        for subject, name in (
            (command_subject, "ConnectTeam"),
            (question_subject, "Usage"),
            (question_subject, "Resolve"),
        )
    ]
    requests += [
        (subject("acme", token), body(TRUSTED, {}))
        for token in dict.fromkeys(tokens)
        for subject in (command_subject, question_subject)
    ]
    seen = typed(await wire.flood(requests, IN_FLIGHT))
    print(seen)
    assert set(seen) >= {"COMMAND_INVALID", "COMMAND_UNKNOWN", "QUERY_INVALID", "QUERY_UNKNOWN", "ACCOUNT_NOT_FOUND"}


async def test_a_body_larger_than_the_bus_lets_through_is_refused_by_the_bus(account: Account) -> None:
    with pytest.raises(nats.errors.MaxPayloadError):
        await account.wire.ask(command_subject(account.name, "AddUser"), b" " * (1_048_576 + 1))


async def test_a_command_without_a_reply_subject_is_decided_all_the_same(account: Account) -> None:
    fields = GOOD | {"command_id": new_id()}
    await account.wire.client.publish(command_subject(account.name, "ConnectPersonal"), body("bob", fields))
    await account.wire.client.publish(question_subject(account.name, "Usage"), body("ana", {}))
    await account.wire.client.publish(question_subject(account.name, "Usage"), b"\xff")
    reply = await account.attempt("ConnectPersonal", "bob", **fields)
    assert (reply.outcome, reply.types) == ("accepted", ["PersonalConnected"])
    assert (await account.see("Address", address=GOOD["address"]))["owner"] == "bob"
