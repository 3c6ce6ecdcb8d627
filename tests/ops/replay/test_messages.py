"""A replayed event is the live one with headers of the replay; nothing that cannot be read is left out in silence."""

from typing import Any

import pytest

from services.ops.replay.messages import Message, Progress, of_event, progress_in
from shared.language.replays import ReplayStarted, digest_after
from shared.process.log_reader import StoredEvent
from shared.wire.cloud_events import stored_to_wire
from tests.ops.replay.replaying import of_type, row_of_account, stored

ID = "0198c0de-0000-7000-8000-00000000beef"
ADDED = {
    "ce-replayid", "ce-replayfrom", "ce-replayto", "ce-replaysequence", "ce-replaydigest", "Nats-Msg-Id",
}  # fmt: skip


def started(**fields: Any) -> ReplayStarted:
    usual = {"replay": "x", "replay_id": ID, "log": "log", "from_": 1, "to": 9, "speed": "500/s", "forced": False}
    return ReplayStarted(**(usual | {"started_by": "service:audit.zoe"} | fields))


def event(row: Any, position: int = 7) -> StoredEvent:
    stream, version, topic, state = row
    return StoredEvent(stream, version, topic, state, position)


def message(replay: ReplayStarted, one: StoredEvent, before: Progress | None = None) -> tuple[Message, Progress]:
    made = of_event(replay, one, before or Progress(0))
    assert made is not None
    return made


def test_it_is_the_live_event_with_headers_of_the_replay() -> None:
    one = event(stored("support"))
    live_subject, live, body = stored_to_wire(*one)
    (subject, headers, again), progress = message(started(), one)
    assert live_subject == "switchboard.event.v1.acme.address.TeamConnected"
    assert subject == "switchboard.replay.v1.x.acme.address.TeamConnected"
    assert again == body
    own = {name: value for name, value in headers.items() if name not in ADDED}
    assert own == {name: value for name, value in live.items() if name != "Nats-Msg-Id"}
    assert headers["Nats-Msg-Id"] == f"{ID}:7"
    assert (headers["ce-replayid"], headers["ce-replayfrom"], headers["ce-replayto"]) == (ID, "1", "9")
    assert (headers["ce-replaysequence"], progress.count, progress.position) == ("1", 1, 7)
    assert progress_in(headers) == progress


def test_the_reason_is_escaped_as_cloudevents_says() -> None:
    (_, headers, _), _ = message(started(reason='100% of "Zoë"'), event(stored("support")))
    assert headers["ce-replayreason"] == "100%25%20of%20%22Zo%C3%AB%22"


def test_the_digest_depends_on_everything_before_it_and_on_id_position_and_body() -> None:
    first, second = event(stored("a"), 1), event(stored("b"), 2)
    _, before = message(started(), first)
    (_, headers, body), after = message(started(), second, before)
    assert after.digest == digest_after(before.digest, headers["ce-id"], 2, body) == headers["ce-replaydigest"]
    others = {
        digest_after("0" * 64, headers["ce-id"], 2, body),
        digest_after(before.digest, "x", 2, body),
        digest_after(before.digest, headers["ce-id"], 3, body),
        digest_after(before.digest, headers["ce-id"], 2, body + b" "),
        after.digest,
    }
    assert len(others) == 5


def test_forced_ids_are_new_the_same_after_a_resumption_and_name_the_original() -> None:
    one = event(stored("support"))
    _, live, _ = stored_to_wire(*one)
    (_, headers, _), _ = message(started(forced=True), one)
    (_, repeated, _), _ = message(started(forced=True), one)
    (_, other, _), _ = message(started(forced=True, replay_id="another"), one)
    assert headers["ce-replayof"] == live["ce-id"]
    assert headers["ce-id"] == repeated["ce-id"]
    assert len({headers["ce-id"], other["ce-id"], live["ce-id"]}) == 3


def test_an_event_of_a_later_release_is_published_as_it_is_and_counted() -> None:
    one = event(of_type(stored("support"), "switchboard.InboxPainted.v7"))
    (subject, headers, body), progress = message(started(), one)
    assert (subject.rpartition(".")[2], headers["ce-type"]) == ("InboxPainted", "switchboard.InboxPainted.v7")
    assert body == stored_to_wire(*one)[2]
    assert (progress.unknown, headers["ce-replayunknown"]) == (1, "1")
    (_, later, _), _ = message(started(), event(stored("b"), 8), progress)
    assert later["ce-replayunknown"] == "1"


def test_what_is_not_an_event_is_published_with_its_stored_bytes_and_counted() -> None:
    broken = event((*stored("support")[:3], b"\x00 broken"))
    (subject, headers, body), progress = message(started(), broken)
    assert (subject, body) == ("switchboard.replay.v1.x.@all.replay.UnreadableEvent", b"\x00 broken")
    assert (headers["ce-type"], headers["ce-position"]) == ("switchboard.UnreadableEvent.v1", "7")
    assert headers["ce-replaytype"] == "switchboard.TeamConnected.v1"
    assert (progress.unreadable, headers["ce-replayunreadable"]) == (1, "1")
    assert progress_in(headers) == progress


def test_in_a_replay_of_one_account_its_bytes_are_left_out_since_they_may_be_another_ones() -> None:
    broken = event((*stored("support")[:3], b"\x00 broken"))
    (subject, _, body), progress = message(started(account="acme"), broken)
    assert (subject, body) == ("switchboard.replay.v1.x.acme.replay.UnreadableEvent", b"")
    assert progress.unreadable == 1


@pytest.mark.parametrize(
    ("filters", "included"),
    [
        ({"account": "acme"}, True),
        ({"account": "other"}, False),
        ({"types": ("TeamConnected",)}, True),
        ({"types": ("switchboard.TeamConnected.v1",)}, True),
        ({"types": ("switchboard.TeamConnected.v2",)}, False),
        ({"types": ("UserAdded", "TeamConnected")}, True),
        ({"types": ("UserAdded",)}, False),
        ({"account": "acme", "types": ("UserAdded",)}, False),
    ],
)
def test_filters(filters: dict[str, Any], included: bool) -> None:
    assert (of_event(started(**filters), event(stored("support")), Progress(0)) is not None) is included


def test_the_account_is_the_one_of_the_event() -> None:
    one = event(row_of_account("globex", "support"))
    (subject, _, _), _ = message(started(account="globex"), one)
    assert subject == "switchboard.replay.v1.x.globex.address.TeamConnected"
    assert of_event(started(account="acme"), one, Progress(0)) is None
