"""What is on record is read as it happened, of a killed client too."""

from pathlib import Path

import pytest

from tests.faults.history import Answer, BrokenHistoryError, Question, Recorder, Try, questions, read

ACCEPTED = Answer(b'{"outcome":"accepted","position":7,"events":[{"id":"e"}]}')
REFUSED = Answer(b'{"outcome":"refused","reason":"NOT_CONNECTED"}', (409, "NOT_CONNECTED"))


def invoke(record: Recorder, id_: str) -> None:
    record.invoked(id_, "acme", "ConnectPersonal", "bob", {"address": "a@b.example", "owner": "bob"})


def test_a_command_is_read_with_all_its_tries(folder: Path) -> None:
    tries = [Try(1, 2, "timeout"), Try(3, 4, "BUSY", Answer(b"{}", (503, "BUSY"))), Try(5, 6, "reply", ACCEPTED)]
    with Recorder(folder / "1", 1) as record:
        invoke(record, "one")
        record.ended("one", tries)
    (one,) = read([folder / "1"])
    assert (one.client, one.account, one.name, one.actor) == (1, "acme", "ConnectPersonal", "bob")
    assert one.address == "a@b.example"
    assert one.tries == tries
    assert (one.outcome, one.position, one.completed) == ("accepted", 7, 6)
    assert one.ended is not None
    assert one.ended > one.invoked


def test_a_refusal_is_an_outcome_with_its_headers(folder: Path) -> None:
    with Recorder(folder / "1", 1) as record:
        invoke(record, "one")
        record.ended("one", [Try(1, 2, "reply", REFUSED)])
    (one,) = read([folder / "1"])
    assert (one.outcome, one.reason, one.answer) == ("refused", "NOT_CONNECTED", REFUSED)


def test_what_was_given_up_is_unknown(folder: Path) -> None:
    with Recorder(folder / "1", 1) as record:
        invoke(record, "one")
        record.ended("one", [Try(1, 2, "timeout"), Try(3, 4, "bus error")])
    (one,) = read([folder / "1"])
    assert (one.outcome, one.completed, one.answer) == ("unknown", None, None)


def test_a_client_killed_before_or_while_it_wrote_leaves_an_unknown_outcome(folder: Path) -> None:
    with Recorder(folder / "1", 1) as record:
        invoke(record, "one")
        invoke(record, "two")
        record.ended("one", [Try(1, 2, "reply", ACCEPTED)])
        record.ended("two", [Try(1, 2, "reply", ACCEPTED)])
    path = folder / "1"
    path.write_bytes(path.read_bytes()[:-10])
    one, two = read([path])
    assert (one.outcome, two.outcome) == ("accepted", "unknown")
    assert two.ended is None


def test_an_invocation_is_in_the_file_before_the_request_goes_out(folder: Path) -> None:
    record = Recorder(folder / "1", 1)
    invoke(record, "one")
    assert [one.id for one in read([folder / "1"])] == ["one"]
    record.close()


def test_a_question_is_read_beside_the_commands(folder: Path) -> None:
    told = Try(1, 2, "reply", Answer(b'{"position":7,"result":{}}'))
    behind = Try(3, 4, "VIEW_BEHIND", Answer(b'{"error":"VIEW_BEHIND"}', (503, "VIEW_BEHIND")))
    with Recorder(folder / "1", 1) as record:
        invoke(record, "one")
        record.asked("acme", "Address", "a@b.example", 5, told)
        record.asked("acme", "Resolve", "a@b.example", 6, behind)
        record.asked("acme", "Address", "a@b.example", 0, told, 7)
        record.ended("one", [Try(1, 2, "reply", ACCEPTED)])
    first, second, past = questions([folder / "1"])
    assert first == Question(1, "acme", "Address", "a@b.example", 5, told)
    assert first.position == 7
    assert second.asked == behind
    assert past == Question(1, "acme", "Address", "a@b.example", 0, told, 7)
    assert [one.outcome for one in read([folder / "1"])] == ["accepted"]


def test_files_are_merged_by_the_one_clock(folder: Path) -> None:
    with Recorder(folder / "1", 1) as first, Recorder(folder / "2", 2) as second:
        invoke(first, "one")
        invoke(second, "two")
        invoke(first, "three")
    commands = read([folder / "2", folder / "1"])
    assert [(one.client, one.id) for one in commands] == [(1, "one"), (2, "two"), (1, "three")]


def test_a_damaged_history_is_not_judged(folder: Path) -> None:
    with Recorder(folder / "1", 1) as record:
        invoke(record, "one")
        invoke(record, "two")
    path = folder / "1"
    with pytest.raises(BrokenHistoryError):
        read([path, path])
    path.write_bytes(b"{]" + path.read_bytes())
    with pytest.raises(BrokenHistoryError):
        read([path])
