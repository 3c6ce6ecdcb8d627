"""A leaf is canonical JSON that covers every stored column of its row, without what is personal."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.transparency.leaves import event_leaf, event_leaves, journal_leaf, journal_leaves, sealed_columns
from shared.transparency.tiles import LARGEST_ENTRY

SCHEMA = Path(__file__).parents[2] / "services/connections/store/event_store.sql"
STREAM = UUID("0198c0de-0000-7000-8000-00000000000a")
STATE = (
    b'{"id":"0198c0de-0000-7000-8000-00000000000b","account":"acme","actor":"ana","command_id":null,'
    b'"correlation_id":null,"traceparent":null,"time":"2026-12-01T06:00:00.000Z","data":{"address":"ana@acme.example"}}'
)
EVENT = StoredEvent(STREAM, 3, "switchboard.TeamConnected.v1", STATE, 41)
ENTRY = JournalRow(
    ordinal=17,
    entry=UUID("0198c0de-0000-7000-8000-00000000000c"),
    account="acme",
    command_id=UUID("0198c0de-0000-7000-8000-00000000000d"),
    recorded_once=True,
    command="ConnectTeam",
    actor="ana",
    outcome="accepted",
    reason=None,
    position=41,
    log_position=41,
    digest=b"\x01" * 32,
    body=b'{"address":"ana@acme.example"}',
    reply=b'{"outcome":"accepted"}',
    recorded_at=datetime(2026, 12, 1, 6, 0, 0, 5, UTC),
)
# Columns with the fields of the rows as readers name them.
EVENT_FIELDS = {
    "originator_id": "stream", "originator_version": "version", "topic": "topic", "state": "state",
    "notification_id": "position",
}  # fmt: skip
ENTRY_FIELDS = {"kept": "recorded_once"}
# A value of each field that differs from the one above by as little as possible.
OTHER_EVENT: Mapping[str, list[Any]] = {
    "stream": [UUID(int=STREAM.int + 1)],
    "version": [4],
    "topic": ["switchboard.TeamConnected.v2", ""],
    "state": [STATE + b" ", STATE.replace(b"ana", b"bob"), b"", b"\xff"],
    "position": [42],
}
OTHER_ENTRY: Mapping[str, list[Any]] = {
    "ordinal": [18],
    "entry": [UUID(int=ENTRY.entry.int + 1)],
    "account": ["acmf", ""],
    "command_id": [UUID(int=ENTRY.entry.int), None],
    "recorded_once": [False],
    "command": ["ConnectTeams", ""],
    "actor": ["bob", "", None],
    "outcome": ["unchanged"],
    "reason": ["", "NOT_ALLOWED"],
    "position": [42, 0, None],
    "log_position": [40],
    "digest": [b"\x01" * 31, b"", None],
    "body": [b"{}", b"", None],
    "reply": [b"", b"{}"],
    "recorded_at": [ENTRY.recorded_at + timedelta(microseconds=1)],
}


def columns(table: str) -> list[str]:
    """The columns of a table as the event store makes it."""
    found = re.search(rf"CREATE TABLE IF NOT EXISTS connections\.{table} \((.*?)\n\)", SCHEMA.read_text(), re.DOTALL)
    assert found
    rows = [row.strip() for row in found[1].splitlines()]
    return [row.split()[0] for row in rows if row and not row.startswith("PRIMARY KEY")]


@pytest.mark.parametrize("column", columns("events"))
def test_every_column_of_an_event_changes_its_leaf(column: str) -> None:
    field = EVENT_FIELDS[column]
    leaves = {event_leaf(*EVENT._replace(**{field: value})) for value in OTHER_EVENT[field]}
    assert len(leaves - {event_leaf(*EVENT)}) == len(OTHER_EVENT[field])


@pytest.mark.parametrize("column", columns("journal"))
def test_every_column_of_a_journal_entry_changes_its_leaf(column: str) -> None:
    field = ENTRY_FIELDS.get(column, column)
    leaves = {journal_leaf(ENTRY._replace(**{field: value})) for value in OTHER_ENTRY[field]}
    assert len(leaves - {journal_leaf(ENTRY)}) == len(OTHER_ENTRY[field])


def test_the_columns_are_read_from_the_event_store() -> None:
    assert len(columns("events")) == 5
    assert "log_position" in columns("journal")


def test_the_leaf_of_an_event() -> None:
    assert event_leaf(*EVENT) == (
        b'{"account":"acme","position":41,"sha256":"%b","stream":"0198c0de-0000-7000-8000-00000000000a",'
        b'"time":"2026-12-01T06:00:00.000Z","topic":"switchboard.TeamConnected.v1","version":3}'
        % hashlib.sha256(STATE).hexdigest().encode()
    )


def test_the_leaf_of_a_journal_entry() -> None:
    sealed = hashlib.sha256()
    for value in (b"ana", b"\x01" * 32, b'{"address":"ana@acme.example"}', b'{"outcome":"accepted"}'):
        sealed.update(b"\x01" + len(value).to_bytes(8, "big") + value)
    assert journal_leaf(ENTRY) == (
        b'{"account":"acme","command":"ConnectTeam","command_id":"0198c0de-0000-7000-8000-00000000000d",'
        b'"entry":"0198c0de-0000-7000-8000-00000000000c","log_position":41,"ordinal":17,"outcome":"accepted",'
        b'"position":41,"reason":null,"recorded_at":"2026-12-01T06:00:00.000005Z","recorded_once":true,"sha256":"%b"}'
        % sealed.hexdigest().encode()
    )


def test_a_leaf_has_no_address_and_no_actor() -> None:
    for leaf in (event_leaf(*EVENT), journal_leaf(ENTRY)):
        assert b"@" not in leaf
        assert b"ana" not in leaf


def test_leaves_of_many_rows_are_those_of_each() -> None:
    assert event_leaves([EVENT, EVENT._replace(position=42)]) == [event_leaf(*EVENT), event_leaf(*EVENT[:4], 42)]
    assert journal_leaves([ENTRY]) == [journal_leaf(ENTRY)]


@pytest.mark.parametrize(
    ("state", "account", "time"),
    [
        (b"", None, None),
        (b"{", None, None),
        (b"[1]", None, None),
        (b'"acme"', None, None),
        (b"{}", None, None),
        (b"\xff", None, None),
        (b'{"account":"acme"}', "acme", None),
        (b'{"account":7,"time":"t"}', None, "t"),
        (b'{"account":{"a":1},"time":null}', None, None),
    ],
)
def test_an_envelope_that_cannot_be_read_leaves_account_and_time_open(
    state: bytes, account: str | None, time: str | None
) -> None:
    leaf = orjson.loads(event_leaf(STREAM, 1, "t", state, 1))
    assert (leaf["account"], leaf["time"]) == (account, time)
    assert leaf["sha256"] == hashlib.sha256(state).hexdigest()


def test_the_sealed_columns_cannot_be_taken_for_one_another() -> None:
    rows = [
        ENTRY._replace(actor=actor, digest=digest, body=body, reply=reply)
        for actor in (None, "", "a", "ab")
        for digest in (None, b"", b"b", b"\x00")
        for body in (None, b"", b"a", b"\x00")
        for reply in (b"", b"b", b"\x00" * 9)
    ]
    assert len({sealed_columns(row) for row in rows}) == len(rows)


def test_times_are_written_in_utc_with_microseconds() -> None:
    later = timezone(timedelta(hours=5, minutes=30))
    times = {
        datetime(2026, 12, 1, 11, 30, tzinfo=later): b"2026-12-01T06:00:00.000000Z",
        datetime(2026, 12, 1, 6, tzinfo=UTC): b"2026-12-01T06:00:00.000000Z",
        datetime(1, 1, 1, tzinfo=UTC): b"0001-01-01T00:00:00.000000Z",
    }
    for time, text in times.items():
        assert b'"recorded_at":"%b"' % text in journal_leaf(ENTRY._replace(recorded_at=time))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXTS, TEXTS, TEXTS)
@example("\x7f", "\x00\x1f", '"\\')
@example("\u2028", "\U0001f642", "</script>")
def test_a_leaf_is_what_the_standard_library_writes(account: str, time: str, topic: str) -> None:
    state = orjson.dumps({"account": account, "time": time})
    leaf = event_leaf(STREAM, 1, topic, state, 2**63 - 1)
    assert leaf == canonical(json.loads(leaf))
    assert [json.loads(leaf)[name] for name in ("account", "time", "topic")] == [account, time, topic]


@given(TEXTS, TEXTS, st.none() | TEXTS)
def test_a_leaf_of_the_journal_is_too(account: str, command: str, reason: str | None) -> None:
    leaf = journal_leaf(ENTRY._replace(account=account, command=command, reason=reason))
    assert leaf == canonical(json.loads(leaf))
    assert [json.loads(leaf)[name] for name in ("account", "command", "reason")] == [account, command, reason]


def canonical(leaf: object) -> bytes:
    return json.dumps(leaf, sort_keys=True, separators=(",", ":")).encode("ascii")


@pytest.mark.parametrize("letter", ["a", '"', "\x7f", "è", "\U0001f642"])
def test_a_leaf_of_any_row_fits_into_a_bundle(letter: str) -> None:
    short, long = letter * 1_000, letter * 1_001
    row = ENTRY._replace(account=short, command=short, outcome=short, reason=short)
    assert len(journal_leaf(row)) <= LARGEST_ENTRY
    assert json.loads(journal_leaf(row))["reason"] == short
    digest = {"sha256": hashlib.sha256(long.encode()).hexdigest()}
    assert json.loads(journal_leaf(row._replace(reason=long)))["reason"] == digest
    of_event = json.loads(event_leaf(STREAM, 1, long, orjson.dumps({"account": long, "time": short}), 1))
    assert (of_event["account"], of_event["time"], of_event["topic"]) == (digest, short, digest)


def test_a_text_is_not_taken_for_the_hash_of_a_long_one() -> None:
    long = "a" * 1_001
    digest = json.dumps({"sha256": hashlib.sha256(long.encode()).hexdigest()}, separators=(",", ":"))
    assert journal_leaf(ENTRY._replace(command=long)) != journal_leaf(ENTRY._replace(command=digest))
