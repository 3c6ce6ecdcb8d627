"""The headers of messages as schemas: NATS has text only, so that numbers are digits."""

from typing import Any, Final

from pydantic import TypeAdapter

from services.ops.contract.meanings import HEADERS
from services.ops.contract.schemas import Schema
from shared.language import subjects
from shared.language.events import Event
from shared.language.reasons import CODES, QuestionError, Reason
from shared.language.replays import REPLAY_NAME, ReplayMessage
from shared.language.subjects import Ce
from shared.language.text import AccountName, Actor, CorrelationId, Id

UUID: Final = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TRACEPARENT: Final = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
# CloudEvents has other characters escaped as %XX.
ESCAPED: Final = r"^([!#$&-~]|%[0-9A-F]{2})+$"
COUNTED: Final = r"^[1-9][0-9]*$"


def pattern_of(text: Any) -> str:
    """The pattern of a type of the language."""
    return str(TypeAdapter(text).json_schema()["pattern"])


def cloud_event(event: type[Event]) -> Schema:
    """The headers of one event: CloudEvents 1.0 in the binary mode of its NATS binding."""
    a_uuid = {"pattern": f"^{UUID}$"}
    return _headers(
        f"{event.__name__}Headers",
        _of_cloud_event(
            event.__name__,
            constant("CeSource", subjects.EVENT_SOURCE),
            event.stored_name(),
            subjects.event_schema(event.stored_name()),
            subject_pattern(event),
        )
        | {
            Ce.ACCOUNT: {"pattern": pattern_of(AccountName)},
            Ce.POSITION: {"pattern": COUNTED},
            Ce.STREAM_VERSION: {"pattern": COUNTED},
            Ce.ACTOR: {"pattern": pattern_of(Actor)},
            Ce.CAUSATION_ID: a_uuid,
            subjects.MESSAGE_ID: a_uuid,
        },
        {
            Ce.CORRELATION_ID: {"pattern": pattern_of(CorrelationId)},
            Ce.TRACEPARENT: {"pattern": TRACEPARENT},
            subjects.EXPECTED_SEQUENCE: {"pattern": "^[0-9]+$"},
            subjects.EXPECTED_MESSAGE_ID: a_uuid,
        },
    )


def subject_pattern(event: type[Event]) -> str:
    """The pattern of `ce-subject`: an address by the id of its stream, all others by name."""
    names = {"address": UUID, "account": pattern_of(AccountName).strip("^$")}
    return f"^{event.aggregate}/{names.get(event.aggregate, pattern_of(Id).strip('^$'))}$"


def replay_frame(frame: type[ReplayMessage]) -> Schema:
    """The headers of a message that frames a replay."""
    return _headers(
        f"{frame.__name__}Headers",
        _of_cloud_event(
            frame.__name__,
            constant("CeReplaySource", subjects.REPLAY_SOURCE),
            frame.stored_name(),
            subjects.replay_schema(frame.stored_name()),
            f"^replay/{REPLAY_NAME.strip('^$')}$",
        )
        | {Ce.ACTOR: {"pattern": pattern_of(Actor)}}
        | _of_replay(),
        {Ce.ACCOUNT: {"pattern": pattern_of(AccountName)}, Ce.REPLAY_REASON: {"pattern": ESCAPED}},
    )


def replayed() -> Schema:
    """The headers that an event has in a replay besides its own, and those of an event that cannot be read."""
    return _headers(
        "ReplayedHeaders",
        _of_replay() | {Ce.REPLAY_SEQUENCE: {"pattern": COUNTED}, Ce.REPLAY_DIGEST: {"pattern": "^[0-9a-f]{64}$"}},
        {
            Ce.REPLAY_REASON: {"pattern": ESCAPED},
            Ce.REPLAY_OF: {"pattern": f"^{UUID}$"},
            Ce.REPLAY_TYPE: {"pattern": ESCAPED},
            Ce.REPLAY_UNKNOWN: {"pattern": COUNTED},
            Ce.REPLAY_UNREADABLE: {"pattern": COUNTED},
        },
    )


def _of_cloud_event(name: str, source: Schema, stored_name: str, schema: str, subject: str) -> dict[str, Schema]:
    """The headers that events and frames have; `subject` is the pattern of `ce-subject`."""
    return {
        Ce.SPECVERSION: constant("CeSpecVersion", "1.0"),
        Ce.ID: {"pattern": f"^{UUID}$"},
        Ce.SOURCE: source,
        Ce.TYPE: constant(f"{name}CeType", stored_name),
        Ce.CONTENT_TYPE: constant("CeDataContentType", subjects.JSON),
        Ce.SCHEMA: constant(f"{name}CeDataSchema", schema),
        Ce.SUBJECT: {"pattern": subject},
        Ce.TIME: {"format": "date-time"},
    }


def _of_replay() -> dict[str, Schema]:
    return {
        Ce.REPLAY_ID: {"pattern": f"^{UUID}$"},
        Ce.REPLAY_FROM: {"pattern": COUNTED},
        Ce.REPLAY_TO: {"pattern": "^[0-9]+$"},
    }


def traced() -> Schema:
    """The optional headers of a command."""
    return _headers("CommandHeaders", {}, {Ce.TRACEPARENT: {"pattern": TRACEPARENT}})


def error(names: type[Reason] | type[QuestionError]) -> Schema:
    """The error headers of a reply, by the NATS micro protocol."""
    codes = sorted({str(CODES[name]) for name in names})
    title = "Refused" if names is Reason else "NotAnswered"
    always: dict[str, Schema] = {
        subjects.ERROR_CODE: {"title": f"{title}Code", "enum": codes},
        subjects.ERROR: {"title": names.__name__, "enum": [str(name) for name in names]},
    }
    return _headers(f"{title}Headers", always, {})


def constant(title: str, value: str) -> Schema:
    return {"title": title, "enum": [value]}


def _headers(title: str, always: dict[str, Schema], sometimes: dict[str, Schema]) -> Schema:
    properties = {
        name: {"type": "string", "description": HEADERS[name]} | schema for name, schema in (always | sometimes).items()
    }
    return {"title": title, "type": "object", "properties": properties} | ({"required": list(always)} if always else {})
