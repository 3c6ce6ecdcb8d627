"""The short way from the store to the bus says of every event what the long way says."""

from typing import Any
from uuid import UUID

import pytest

from shared.language.events import EVENTS, Event
from shared.language.recorded import Recorded, stream_id
from shared.process import clock
from shared.process.stored_events import from_state, id_in_state, to_state
from shared.wire.cloud_events import stored_to_wire, to_wire
from shared.wire.event_body import Undecodable

SPECIMENS: dict[str, Any] = {
    "plan": "starter",
    "members": ["ana", "bob"],
    "teams": ["sales"],
    "entries": ["acme.example", 'o"r,"data":@x.example'],
    "permissions": ["super_admin"],
    "policy": "orphan",
    "availability": "away",
    "size": 12,
    "log_replies": True,
    "track_opens": False,
    "track_clicks": False,
    "never_log": ["x.example"],
    "access": "members",
    "rule": {"kind": "contact_owner", "fallback": {"kind": "users_and_teams", "users": ["ana"]}},
    "kind": "personal",
    "receive": True,
    "send": False,
    "receiving": False,
    "sending": True,
    "reauthentication_required": False,
    "tools": ["sequences"],
    "tool": "meetings",
    "canonical_form": 1,
    "visibility_acknowledged": True,
    "provider": "google",
    "note": 'a, "data": \n,"data":{}',
    "name": 'Ana ,"data": \u202e 💌',
}


def specimen(kind: type[Event], full: bool) -> Event:
    fields = {}
    for name, field in kind.model_fields.items():
        if field.is_required() or full:
            fields[field.alias or name] = SPECIMENS.get(name, "some")
    if kind.__name__ == "ConnectionConverted":
        fields |= {"from": "personal", "to": "team"}
    if kind.__name__ == "AddressReclaimed":
        fields["cause"] = "owner_returned"
    return kind.model_validate(fields)


def recorded(event: Event, **changes: Any) -> Recorded:
    values: dict[str, Any] = {
        "id": clock.new_id(),
        "account": "acme",
        "stream": stream_id("acme", event.aggregate, "some"),
        "version": 3,
        "position": 17,
        "actor": "service:crm",
        "command_id": clock.new_id(),
        "correlation_id": "order:1",
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "time": clock.now(),
        "event": event,
    }
    return Recorded(**(values | changes))


@pytest.mark.parametrize("full", [True, False], ids=["every field", "required fields"])
@pytest.mark.parametrize("name", sorted(EVENTS))
def test_the_message_is_the_same_for_every_event(name: str, full: bool) -> None:
    traced: dict[str, Any] = {} if full else {"correlation_id": None, "traceparent": None}
    before = recorded(specimen(EVENTS[name], full), **traced)
    row = before.stream, before.version, name, to_state(before), before.position
    assert stored_to_wire(*row) == to_wire(from_state(*row)) == to_wire(before)
    assert id_in_state(row[3]) == before.id


@pytest.mark.parametrize(
    ("stream", "subject"),
    [
        (stream_id("acme", "account", "acme"), "account/acme"),
        (stream_id("acme", "user", "ana"), "user/ana"),
        (stream_id("acme", "inbox", "support"), "inbox/support"),
        (UUID(int=7), f"address/{UUID(int=7)}"),
    ],
)
def test_an_unknown_event_stands_on_the_aggregate_that_its_stream_tells(stream: UUID, subject: str) -> None:
    known = to_state(recorded(specimen(EVENTS["switchboard.SeatAssigned.v1"], True)))
    body = b'{"user":"ana","inbox":"support","new":[1]}'
    state = known[: known.index(b',"data":')] + b',"data":' + body + b"}"
    where, headers, told = stored_to_wire(stream, 1, "switchboard.SomethingNew.v2", state, 5)
    assert where == f"switchboard.event.v1.acme.{subject.partition('/')[0]}.SomethingNew"
    assert headers["ce-subject"] == subject
    assert headers["ce-type"] == "switchboard.SomethingNew.v2"
    assert told == body


@pytest.mark.parametrize("state", [b"", b"{}", b'{"id":"x","data":{}}', b'{"id":1,"data":', b'\xff,"data":{}}'])
def test_what_is_no_stored_form_is_undecodable(state: bytes) -> None:
    with pytest.raises(Undecodable):
        stored_to_wire(UUID(int=1), 1, "switchboard.SeatAssigned.v1", state, 1)


def test_a_topic_that_is_no_stored_name_is_undecodable() -> None:
    state = to_state(recorded(specimen(EVENTS["switchboard.SeatAssigned.v1"], True)))
    with pytest.raises(Undecodable):
        stored_to_wire(UUID(int=1), 1, "some.module:Class", state, 1)
