"""Parsing: every message is a command that can be decided or a refusal that says why; never an exception."""

import json
import time
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.connections import outcome, parsing
from services.connections.envelope import CommandEnvelope
from shared.core.refusal import Refused
from shared.language import commands as c
from shared.language.commands import COMMANDS
from shared.language.reasons import Reason
from tests.connections.anything import any_command, dice_of

ID = "0198c0de-0000-7000-8000-000000000001"
GOOD: dict[str, Any] = {"command_id": ID, "actor": "bob", "address": "bob@acme.example"}
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def come(
    name: str, body: dict[str, Any] | bytes, account: str = "acme", headers: dict[str, str] | None = None
) -> CommandEnvelope:
    return parsing.read(account, name, body if isinstance(body, bytes) else orjson.dumps(body), headers)


def refusal_of(envelope: CommandEnvelope) -> Refused:
    assert envelope.refusal is not None
    return envelope.refusal


def reply_bytes(envelope: CommandEnvelope) -> bytes:
    return outcome.refused(envelope, refusal_of(envelope)).reply()


def reply(envelope: CommandEnvelope) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(reply_bytes(envelope))
    return told


def fields_at_fault(envelope: CommandEnvelope) -> list[str]:
    told = reply(envelope)
    assert told["reason"] == Reason.COMMAND_INVALID
    assert not outcome.recorded_once(refusal_of(envelope))
    return [error["field"] for error in told["details"]["errors"]]


def is_well(envelope: CommandEnvelope) -> bool:
    return envelope.refusal is None and envelope.command is not None


# ---- bodies that are no command


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"1",
        b"[" * 100_000 + b"]" * 100_000,
        b"\xff\xfe{}",
        b"\x00",
        b'{"actor": "bob"}garbage',
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).encode("utf-32"),
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        b'{"actor": "b\xffb", "address": "bob@acme.example"}',
        b'{"a":' * 60_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_no_json_object_in_utf_8_is_refused_without_an_id(body: bytes) -> None:
    envelope = come("Disconnect", body)
    assert fields_at_fault(envelope) == [""]
    assert reply(envelope)["command_id"] is None


@pytest.mark.parametrize("levels", [2, 9, 300, 500, 700, 1_000, 1_022])
@pytest.mark.parametrize(("opening", "closing"), [(b'{"a":', b"}"), (b"[", b"]"), (b'[{"a":', b"}]")])
def test_deep_nesting_is_refused(levels: int, opening: bytes, closing: bytes) -> None:
    body = b'{"actor":"bob","address":"bob@acme.example","note":' + opening * levels + b"null" + closing * levels + b"}"
    assert set(fields_at_fault(come("Disconnect", body))) <= {"note", ""}


def test_a_body_of_256_kib_is_read_and_one_byte_more_is_not() -> None:
    body = orjson.dumps(GOOD)
    full = body + b" " * (256 * 1024 - len(body))
    assert is_well(come("Disconnect", full))
    assert fields_at_fault(come("Disconnect", full + b" ")) == [""]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (b'"address": "\\ud800@acme.example"', "address"),
        (b'"address": "bob@acme.example", "note": "\\udfff"', "note"),
        (b'"address": "bob@acme.example", "note": "\\u0000"', "note"),
        (b'"address": "bob@acme.example", "note": "\\u0007"', "note"),
        (b'"address": "bob@acme.example", "note": "\\u009f"', "note"),
        (b'"address": NaN', "address"),
        (b'"address": Infinity', "address"),
        (b'"address": 7', "address"),
        (b'"address": ["bob@acme.example"]', "address"),
        (b'"address": true', "address"),
        (b'"address": "bob@acme.example", "dry_run": "true"', "dry_run"),
        (b'"address": "bob@acme.example", "dry_run": 1', "dry_run"),
        (b'"address": "bob@acme.example", "password": "x"', "password"),
        (b'"note": "x"', "address"),
        (b'"address": null', "address"),
    ],
)
def test_the_field_at_fault_is_named(text: bytes, field: str) -> None:
    envelope = come("Disconnect", b'{"command_id": "%s", "actor": "bob", %s}' % (ID.encode(), text))
    assert fields_at_fault(envelope) == [field]
    assert reply(envelope)["command_id"] == ID


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (b'"address": "bob@acme.example", "address": "cleo@acme.example"', ["address"]),
        (b'"address": "bob@acme.example", "\\u0061ddress": "bob@acme.example"', ["address"]),
        (b'"address": "bob@acme.example", "note": "x", "note": null, "dry_run": 1', ["note", "dry_run"]),
        (b'"address": "bob@acme.example", "note": {"a": 1, "a": 2}', ["note.a", "note"]),
        (b'"address": "bob@acme.example", "actor": "bob"', ["actor"]),
    ],
)
def test_a_field_that_stands_twice_is_named_and_neither_value_is_taken(text: bytes, fields: list[str]) -> None:
    envelope = come("Disconnect", b'{"command_id": "%s", "actor": "bob", %s}' % (ID.encode(), text))
    assert fields_at_fault(envelope) == fields
    assert reply(envelope)["command_id"] == ID


def test_a_command_id_that_stands_twice_is_none() -> None:
    twice = b'"command_id": "%s", ' % ID.encode()
    envelope = come("Disconnect", b"{" + twice + twice + b'"actor": "bob", "address": "b@acme.example"}')
    assert (fields_at_fault(envelope), reply(envelope)["command_id"]) == (["command_id"], None)


def test_a_text_that_says_something_twice_is_a_text() -> None:
    note = json.dumps('{"address": "bob@acme.example", "address": "x"} \u003a \\u003a').encode()
    envelope = come("Disconnect", b'{"actor": "service:x", "address": "bob@acme.example", "note": %s}' % note)
    assert envelope.refusal is None


def test_a_key_with_a_lone_surrogate_is_refused_even_when_its_value_is_null() -> None:
    assert fields_at_fault(come("Disconnect", b'{"actor":"bob","address":"bob@acme.example","\\ud800":null}'))
    assert fields_at_fault(come("Disconnect", b'{"actor":"bob","address":"bob@acme.example","\\ud800":1}'))


@pytest.mark.parametrize(
    "size", ["0", "1001", "11.0", "1e1", "true", '"11"', "9" * 400, "9" * 30, "-1", "1e999", "[11]"]
)
def test_numbers_are_integers_in_their_range_and_nothing_is_converted(size: str) -> None:
    body = f'{{"actor": "bob", "user": "bob", "font": "Arial", "size": {size}}}'.encode()
    assert fields_at_fault(come("SetDefaultFont", body)) in (["size"], [""])


def test_all_field_errors_are_named_at_once_and_before_an_unusable_address() -> None:
    body = {"actor": "", "address": "@", "owner": 7, "provider": "yahoo", "extra": 1}
    assert sorted(fields_at_fault(come("ConnectPersonal", body))) == ["actor", "extra", "owner", "provider"]


def test_the_reply_is_small_and_soon_there_whatever_stands_twice() -> None:
    deep = b'{"a":' * 800 + b'{"b":1,"b":[' + b'{"c":1,"c":2},' * 10_000 + b"{}]}" + b"}" * 800
    for body in (deep, b"{" + b",".join(b'"%d":1,"%d":{}' % (n, n) for n in range(10_000)) + b"}"):
        begun = time.perf_counter()
        envelope = come("Disconnect", body)
        assert time.perf_counter() - begun < 1.0
        assert 0 < len(fields_at_fault(envelope)) <= 100
        assert len(json.dumps(reply(envelope))) < 32_000


def test_the_reply_is_small_whatever_was_sent() -> None:
    for body in (
        {"actor": "bob", "inbox": "x", "rule": {"kind": "k" * 200_000}},
        {"actor": "bob", "inbox": "x", "rule": {"kind": "users_and_teams", "users": [1] * 1_000}},
        {f"k{n}" * 10: n for n in range(5_000)},
        {"k" * 200_000: 1},
    ):
        envelope = come("SetRouting", body)
        assert fields_at_fault(envelope)
        assert len(reply_bytes(envelope)) < 32_768


# ---- limits of text

LIMITS: list[tuple[str, dict[str, Any], str, int]] = [
    ("CreateInbox", {"inbox": "x"}, "name", 200),
    ("SetFromName", {"address": "a@acme.example"}, "from_name", 200),
    ("SetDefaultFont", {"user": "bob"}, "font", 100),
    ("RequireReauthentication", {"address": "a@acme.example"}, "cause", 1_000),
    ("Disconnect", {"address": "a@acme.example"}, "note", 1_000),
    ("Reconnect", {"address": "a@acme.example"}, "provider_identity", 254),
    ("SetSignature", {"user": "bob"}, "signature", 10_000),
    ("Disconnect", {"address": "a@acme.example"}, "correlation_id", 128),
]


NEW = [("AddUser", "user"), ("CreateInbox", "inbox"), ("CreateTeam", "team"), ("RegisterAccount", "admin")]


@pytest.mark.parametrize(("command", "field"), NEW, ids=str)
def test_a_new_id_begins_with_a_letter_or_a_digit(command: str, field: str) -> None:
    rest = {"actor": "service:hr", "name": "N", "permissions": [], "plan": "free"}
    wanted = {name: rest[name] for name in ("actor", *COMMANDS[command].model_fields) if name in rest}
    assert is_well(come(command, wanted | {field: "7d9f3a52-6c1e-4b8a-9f20-3b1c5e7a9d44"}))
    for name in ("_a", "-a", ".a"):
        assert fields_at_fault(come(command, wanted | {field: name})) == [field]


def test_somebody_who_got_an_id_before_that_can_still_be_named() -> None:
    assert is_well(come("DeactivateUser", {"actor": "_ann", "user": "-bob"}))
    assert is_well(come("SetTeamMembers", {"actor": "_ann", "team": "_crew", "members": ["_ann"]}))


@pytest.mark.parametrize(("name", "rest", "field", "limit"), LIMITS, ids=lambda value: str(value)[:20])
def test_texts_have_their_limits_in_characters(name: str, rest: dict[str, Any], field: str, limit: int) -> None:
    letter = "x" if field == "correlation_id" else "🂡"
    assert is_well(come(name, rest | {"actor": "bob", field: letter * limit}))
    assert fields_at_fault(come(name, rest | {"actor": "bob", field: letter * (limit + 1)})) == [field]


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u00a0\u2003"])
def test_required_text_is_not_blank(blank: str) -> None:
    assert fields_at_fault(come("CreateInbox", {"actor": "bob", "inbox": "x", "name": blank})) == ["name"]


def test_lines_and_tabs_are_for_signatures_and_notes_only() -> None:
    assert is_well(come("SetSignature", {"actor": "bob", "user": "bob", "signature": "a\n\tb"}))
    assert is_well(come("Disconnect", GOOD | {"note": "a\n\tb"}))
    for text in ("a\rb", "a\r\r\nb"):
        envelope = come("SetSignature", {"actor": "bob", "user": "bob", "signature": text})
        assert fields_at_fault(envelope) == ["signature"]
    assert fields_at_fault(come("CreateInbox", {"actor": "bob", "inbox": "x", "name": "a\nb"})) == ["name"]


def test_text_is_kept_as_sent() -> None:
    envelope = come("CreateInbox", {"actor": "bob", "inbox": "x", "name": "  Cafe\u0301 "})
    assert isinstance(envelope.command, c.CreateInbox)
    assert envelope.command.name == "  Cafe\u0301 "


def test_lists_have_at_most_a_thousand_entries() -> None:
    members = [f"u{n}" for n in range(1_001)]
    assert is_well(come("SetTeamMembers", {"actor": "bob", "team": "t", "members": members[:1_000]}))
    assert fields_at_fault(come("SetTeamMembers", {"actor": "bob", "team": "t", "members": members})) == ["members"]


@pytest.mark.parametrize("name", ["", "a b", ".a", "x" * 65, "ü", "a\n", "service:x"])
def test_ids_have_one_alphabet(name: str) -> None:
    assert fields_at_fault(come("AssignSeat", {"actor": "bob", "user": name})) == ["user"]


@pytest.mark.parametrize("actor", ["service:", "service:" + "x" * 65, "robot:x", "", "a b", "service:x\n", "bob\n"])
def test_an_actor_is_a_user_or_a_service(actor: str) -> None:
    assert fields_at_fault(come("AssignSeat", {"actor": actor, "user": "bob"})) == ["actor"]


# ---- fields that go together

TOGETHER: list[tuple[str, dict[str, Any], bool]] = [
    ("RemoveUser", {"user": "x", "policy": "transfer_to"}, False),
    ("RemoveUser", {"user": "x", "new_owner": "y"}, False),
    ("RemoveUser", {"user": "x", "policy": "transfer_to", "new_owner": "y"}, True),
    ("RemoveUser", {"user": "x", "policy": "orphan", "new_owner": None}, True),
    ("SetInboxAccess", {"inbox": "x", "access": "everyone", "members": ["y"]}, False),
    ("SetInboxAccess", {"inbox": "x", "access": "everyone", "teams": ["y"]}, False),
    ("SetInboxAccess", {"inbox": "x", "access": "everyone", "members": [], "teams": None}, True),
    ("SetRouting", {"inbox": "x", "rule": {"kind": "users_and_teams"}}, False),
    ("SetRouting", {"inbox": "x", "rule": {"kind": "users_and_teams", "users": [], "teams": []}}, False),
    ("SetRouting", {"inbox": "x", "rule": {"kind": "users_and_teams", "users": None, "teams": ["t"]}}, True),
    ("SetRouting", {"inbox": "x", "rule": {"kind": "unassigned", "users": ["y"]}}, False),
    ("SetRouting", {"inbox": "x", "rule": {"kind": "contact_owner", "fallback": {"kind": "contact_owner"}}}, False),
    ("SetRouting", {"inbox": "x", "rule": {"kind": "contact_owner", "fallback": None}}, True),
    ("Pause", {"address": "a@acme.example", "receive": False}, False),
    ("Pause", {"address": "a@acme.example", "receive": False, "send": False}, False),
    ("Resume", {"address": "a@acme.example", "send": False, "receive": True}, True),
    ("ConvertConnection", {"address": "a@acme.example", "to": "team"}, False),
    ("ConvertConnection", {"address": "a@acme.example", "to": "team", "inbox": "x", "owner": "y"}, False),
    ("ConvertConnection", {"address": "a@acme.example", "to": "personal", "inbox": "x"}, False),
    ("ConvertConnection", {"address": "a@acme.example", "to": "personal", "owner": "y"}, True),
    ("ChangePlan", {"plan": "gold"}, False),
    ("AddAlias", {"address": "a@acme.example", "alias": "A@ACME.example"}, False),
]


@pytest.mark.parametrize(("name", "body", "fits"), TOGETHER, ids=str)
def test_fields_that_go_together(name: str, body: dict[str, Any], fits: bool) -> None:
    envelope = come(name, body | {"actor": "bob"})
    assert is_well(envelope) if fits else fields_at_fault(envelope)


# ---- null equals absent, equal bodies


def test_null_equals_absent_within_too() -> None:
    absent = {"actor": "bob", "inbox": "x", "rule": {"kind": "contact_owner"}}
    null = {
        "actor": "bob",
        "inbox": "x",
        "correlation_id": None,
        "unheard_of": None,
        "rule": {"kind": "contact_owner", "fallback": None},
    }
    assert come("SetRouting", absent).digest == come("SetRouting", null).digest
    within = absent | {"rule": {"kind": "contact_owner", "fallback": {"kind": "unassigned", "users": None}}}
    assert is_well(come("SetRouting", within))


def test_the_same_json_value_is_the_same_command() -> None:
    body = {"actor": "bob", "inbox": "x", "rule": {"kind": "users_and_teams", "users": ["a"], "teams": ["b"]}}
    one = come("SetRouting", body)
    turned = json.dumps({name: body[name] for name in reversed(body)}, indent=3).replace('"a"', '"\\u0061"').encode()
    assert come("SetRouting", turned).digest == one.digest
    assert come("SetRouting", body | {"command_id": ID}).digest == one.digest
    inner = {"rule": {"teams": ["b"], "users": ["a"], "kind": "users_and_teams"}, "inbox": "x", "actor": "bob"}
    assert come("SetRouting", inner).digest == one.digest


@pytest.mark.parametrize(
    "other",
    [{"actor": "ana"}, {"address": "Bob@acme.example"}, {"note": "x"}, {"correlation_id": "c"}, {"dry_run": False}],
)
def test_another_json_value_is_another_command(other: dict[str, Any]) -> None:
    assert come("Disconnect", GOOD | other).digest != come("Disconnect", GOOD).digest


# ---- ids, names, headers


@pytest.mark.parametrize("spelling", [ID, ID.upper(), ID.replace("c0de", "C0dE")])
def test_a_command_id_has_one_spelling(spelling: str) -> None:
    assert come("Disconnect", GOOD | {"command_id": spelling}).command_id == ID


@pytest.mark.parametrize(
    "wrong", ["", "x", ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}", ID + "\n", 7, [ID], "٠" * 36]
)
def test_what_is_no_uuid_is_no_command_id(wrong: object) -> None:
    envelope = come("Disconnect", GOOD | {"command_id": wrong})
    assert fields_at_fault(envelope) == ["command_id"]
    assert reply(envelope)["command_id"] is None


def test_an_id_is_made_when_none_is_given() -> None:
    one, other = (come("Disconnect", {"actor": "bob", "address": "a@acme.example"}).command_id for _ in range(2))
    assert one
    assert one != other


@pytest.mark.parametrize("name", ["Explode", "", "disconnect", "Command", "Disconnect\n", "x" * 10_000, "\x00", "☃"])
def test_an_unknown_command_is_told_the_known_ones_before_its_body_is_judged(name: str) -> None:
    for body in (b"{", orjson.dumps(GOOD), b"x" * 300_000):
        envelope = come(name, body)
        told = reply(envelope)
        assert (told["reason"], told["details"]["known"]) == (Reason.COMMAND_UNKNOWN, sorted(COMMANDS))
        assert envelope.name.isascii()
        assert envelope.name.isprintable() or envelope.name == ""
        assert len(envelope.name) < 800
    assert reply(come(name, GOOD))["command_id"] == ID


@pytest.mark.parametrize("account", ["", "a b", "x" * 33, "ü", "acme\n", "a/b", "\x00", "a@b.example"])
def test_an_account_that_is_none_is_refused_and_recorded_readably(account: str) -> None:
    envelope = come("Disconnect", GOOD, account=account)
    assert fields_at_fault(envelope) == [""]
    assert envelope.account.isascii()
    assert "\x00" not in envelope.account


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "x",
        TRACE + "\n",
        TRACE.upper(),
        TRACE + "-extra",
        f"ff-{'a' * 32}-{'b' * 16}-01",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
    ],
)
def test_a_bad_traceparent_is_dropped(trace: str) -> None:
    envelope = come("Disconnect", GOOD, headers={"traceparent": trace})
    assert is_well(envelope)
    assert envelope.traceparent is None


def test_a_good_traceparent_is_kept() -> None:
    assert come("Disconnect", GOOD, headers={"traceparent": TRACE}).traceparent == TRACE
    assert come("Disconnect", GOOD, headers={}).traceparent is None


def test_an_unusable_address_is_told_with_its_place_and_kept_under_its_id() -> None:
    envelope = come("AddAlias", {"command_id": ID, "actor": "bob", "address": "a b@x.example", "alias": "@"})
    told = reply(envelope)
    assert (told["reason"], told["command_id"]) == (Reason.ADDRESS_INVALID, ID)
    assert [(error["field"], error["at"]) for error in told["details"]["errors"]] == [("address", 1), ("alias", 0)]
    assert told["next_actions"]
    assert outcome.recorded_once(refusal_of(envelope))


# ---- anything at all

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = sorted({name for command in COMMANDS.values() for name in command.model_fields})


def is_answered(envelope: CommandEnvelope) -> None:
    if envelope.refusal is None:
        assert envelope.command_id
        assert envelope.digest
        assert envelope.aggregates
        return
    told = orjson.loads(reply_bytes(envelope))
    assert told["reason"] in {Reason.COMMAND_INVALID, Reason.COMMAND_UNKNOWN, Reason.ADDRESS_INVALID}
    assert len(reply_bytes(envelope)) < 32_768


@given(st.sampled_from([*COMMANDS, "Explode"]), st.binary(max_size=200), st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_answered(name: str, body: bytes, account: str) -> None:
    is_answered(parsing.read(account, name, body, None))


@given(
    st.sampled_from(sorted(COMMANDS)),
    st.dictionaries(st.sampled_from(FIELDS), ANY_JSON | st.text(st.characters(), max_size=30), max_size=8),
    st.dictionaries(st.text(max_size=12), st.text(max_size=60), max_size=2),
)
@settings(max_examples=400, deadline=None)
def test_any_json_is_answered(name: str, body: dict[str, Any], headers: dict[str, str]) -> None:
    is_answered(parsing.read("acme", name, json.dumps(body).encode("utf-8", "surrogatepass"), headers))


@given(st.integers(0, 2**32), st.sampled_from(FIELDS), ANY_JSON)
@settings(max_examples=400, deadline=None)
def test_any_field_of_a_good_command_may_be_spoiled(seed: int, field: str, value: Any) -> None:
    command = any_command(dice_of(seed))
    body = command.model_dump(mode="json", exclude_none=True) | {field: value}
    is_answered(parsing.read("acme", type(command).__name__, json.dumps(body).encode("utf-8", "surrogatepass"), None))


@given(st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_every_good_command_is_read_as_it_was_meant(seed: int) -> None:
    command = any_command(dice_of(seed))
    envelope = come(type(command).__name__, command.model_dump(mode="json", exclude_none=True))
    if envelope.refusal is None:
        assert envelope.command == command
    else:
        assert isinstance(command, c.AddAlias | c.RemoveAlias)
        assert command.address == command.alias
