"""The lines of a bundle have each byte of their rows."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.process import stored_events
from shared.process.journal_reader import JournalRow
from shared.process.log_reader import StoredEvent
from shared.transparency.bundles import InvalidLineError, event_line, journal_line, parse_event_line, parse_journal_line
from shared.wire.cloud_events import to_wire
from tests.audit.random_histories import Chance

TEXTS = st.text(st.characters(codec="utf-8"))
NUMBERS = st.integers(1, 2**63 - 1)
ROWS = st.builds(
    JournalRow,
    NUMBERS, st.uuids(), TEXTS, st.none() | st.uuids(), st.booleans(), TEXTS, st.none() | TEXTS, TEXTS,
    st.none() | TEXTS, st.none() | NUMBERS, st.integers(0, 2**63 - 1), st.none() | st.binary(),
    st.none() | st.binary() | TEXTS.map(str.encode), st.binary() | TEXTS.map(str.encode),
    st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip


@given(st.builds(StoredEvent, st.uuids(), NUMBERS, TEXTS, st.binary() | TEXTS.map(str.encode), NUMBERS))
def test_an_event_comes_back_from_its_line(event: StoredEvent) -> None:
    line = event_line(event)
    assert line.count(b"\n") == 1
    assert parse_event_line(line) == event


@given(ROWS)
def test_an_entry_comes_back_from_its_line(row: JournalRow) -> None:
    line = journal_line(row)
    assert line.count(b"\n") == 1
    assert parse_journal_line(line) == row


def test_the_time_of_an_entry_is_in_utc() -> None:
    at = datetime(2026, 3, 3, 9, tzinfo=timezone(timedelta(hours=2)))
    row = JournalRow(1, UUID(int=1), "a", None, False, "X", None, "refused", None, None, 0, None, None, b"{}", at)
    assert orjson.loads(journal_line(row))["recorded_at"] == "2026-03-03T07:00:00.000000Z"


@pytest.mark.parametrize("seed", range(3))
def test_a_line_has_the_attributes_and_the_data_that_the_bus_has(seed: int) -> None:
    for recorded in Chance(seed).story(60).recorded:
        state = stored_events.to_state(recorded)
        stored = StoredEvent(recorded.stream, recorded.version, recorded.event.stored_name(), state, recorded.position)
        _, headers, body = to_wire(recorded)
        found = orjson.loads(event_line(stored))
        assert found.pop("data") == orjson.loads(body)
        assert found.pop("sequence") == f"{recorded.position:020}"
        assert (found.pop("stream"), bool(found.pop("stored"))) == (str(recorded.stream), True)
        del headers["Nats-Msg-Id"]
        assert found == {name.removeprefix("ce-"): text for name, text in headers.items()}


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b'"x"', b"not JSON", b'{"stream": 1}'])
def test_another_line_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidLineError):
        parse_event_line(line)
    with pytest.raises(InvalidLineError):
        parse_journal_line(line)
