"""The contract as an AsyncAPI 3.0 document from Switchboard's side: it receives commands and sends events.

Every message has its own channel, since its subject names it. Replies go to the reply subject of the request, so that
their channels have no address. Permissions, refusals and the stream are `x-` fields, which AsyncAPI lacks.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from services.ops.contract import decisions, examples, headers, question_rules
from services.ops.contract.schemas import Message, Schema, event_name, messages
from shared.language import subjects
from shared.language.audit import AUDIT_QUESTIONS
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.dry_runs import DryRunBatch
from shared.language.events import EVENTS, Event
from shared.language.questions import ROUTING_QUESTIONS
from shared.language.reasons import CODES, QuestionError, Reason
from shared.language.replays import REPLAY_MESSAGES, ReplayMessage
from shared.language.text import AccountName

ASYNCAPI: Final = "3.0.0"
# The version in the subjects; within it, messages only gain fields.
VERSION: Final = subjects.COMMAND.rpartition(".v")[2]
JSON: Final = "application/json"
NATS_BINDING: Final = "0.1.0"
LICENSE: Final = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
# EventCatalog has three types of message; a reply belongs to its request. Switchboard owns all contracts.
CATALOGUED: Final = {
    "commands": "command",
    "dry_runs": "command",
    "replies": "command",
    "questions": "query",
    "answers": "query",
    "events": "event",
    "replays": "event",
}
DRY_RUNS: Final = f"dry_runs.{DryRunBatch.__name__}"
PARAMETERS: Final = {"account": {"$ref": "#/components/parameters/account"}}
REPLAYED: Final = "replays.events"

DESCRIPTION: Final = f"""\
Which e-mail address is connected to whom, as what, and where does its mail go?

Everything is JSON in UTF-8 over NATS. Commands and questions are requests; replies go to the reply subject of the \
request. An error reply has the headers `{subjects.ERROR_CODE}` and `{subjects.ERROR}`. Events are CloudEvents \
1.0 in binary mode, kept in the JetStream stream `{subjects.EVENT_STREAM}`. A replay publishes a range of them \
again, in `{subjects.REPLAY_STREAM}`.

Services answer the NATS micro protocol: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, as used by `nats micro ls`.

Messages only gain fields: readers of replies, answers and events must ignore unknown fields. In commands and \
questions, null equals absent, and an unknown field is refused."""


def document() -> dict[str, Any]:
    every = list(messages())
    return {
        "asyncapi": ASYNCAPI,
        "id": "urn:switchboard",
        "info": {"title": "Switchboard", "version": VERSION, "description": DESCRIPTION, "license": LICENSE},
        "defaultContentType": JSON,
        "servers": {
            "local": {
                "host": "127.0.0.1:4222",
                "protocol": "nats",
                "description": "The NATS that `switchboard run` starts; use your own in production.",
            }
        },
        "channels": channels(),
        "operations": dict(operations()),
        "components": {
            "messages": {key(message): message_object(message) for message in every},
            "schemas": dict(sorted((name, schema) for message in every for name, schema in embedded(message))),
            "parameters": {
                "account": {
                    "description": f"The account, which matches `{headers.pattern_of(AccountName)}`.",
                    "examples": [examples.ACCOUNT],
                },
                "replay": {"description": "The name of the replay.", "examples": ["crm-2026"]},
                "replayed_account": {
                    "description": f"The account, or `{subjects.ALL_ACCOUNTS}` in a replay of all accounts.",
                    "examples": [examples.ACCOUNT, subjects.ALL_ACCOUNTS],
                },
                "aggregate": {"description": "The kind of the aggregate.", "examples": ["address"]},
                "event": {"description": "The name of the event.", "examples": ["TeamConnected"]},
            },
            "correlationIds": {
                "command": {"location": "$message.payload#/command_id"},
                "causation": {"location": f"$message.header#/{subjects.Ce.CAUSATION_ID}"},
            },
        },
    }


# ---- where


def channels() -> dict[str, Any]:
    requests = {
        f"commands.{name}": _channel(subjects.command("{account}", name), f"commands.{name}") for name in COMMANDS
    }
    requests |= {
        f"questions.{name}": _channel(subjects.query("{account}", name), f"questions.{name}") for name in QUESTIONS
    }
    requests[DRY_RUNS] = _channel(subjects.command("{account}", DryRunBatch.__name__), DRY_RUNS)
    events = {
        event_key(event): _channel(subjects.event("{account}", event.aggregate, event.__name__), event_key(event))
        for event in EVENTS.values()
    }
    inboxes = {
        "replies": _inbox("replies", ["Accepted", "Unchanged", "Refused", "DryRunOutcomes"]),
        "answers": _inbox("answers", [*QUESTIONS, "NotAnswered"]),
    }
    return requests | events | replays() | inboxes


def replays() -> dict[str, Any]:
    """The channels of replays: the two frames, and all events with their own bodies."""
    frames = {
        event_key(frame, "replays"): {
            "address": subjects.replayed("{replay}", "{account}", "replay", frame.__name__),
            "parameters": _parameters("replay", account="replayed_account"),
            "messages": {event_key(frame, "replays"): _message_ref(event_key(frame, "replays"))},
        }
        for frame in REPLAY_MESSAGES.values()
    }
    return frames | {
        REPLAYED: {
            "address": subjects.replayed("{replay}", "{account}", "{aggregate}", "{event}"),
            "description": (
                "An event as on its own channel, with the headers of `x-headers` added. `Nats-Msg-Id` and the "
                "`Nats-Expected-` headers are those of the replay."
            ),
            "parameters": _parameters("replay", "account", "aggregate", "event"),
            "messages": {event_key(event): _message_ref(event_key(event)) for event in EVENTS.values()},
            "x-headers": headers.replayed(),
        }
    }


def _parameters(*names: str, **others: str) -> dict[str, Any]:
    """The parameters of an address, with the components that describe them."""
    found = {name: name for name in names} | others
    return {name: {"$ref": f"#/components/parameters/{component}"} for name, component in found.items()}


def _channel(subject: str, message: str) -> dict[str, Any]:
    return {"address": subject, "parameters": PARAMETERS, "messages": {message: _message_ref(message)}}


def _inbox(group: str, names: list[str]) -> dict[str, Any]:
    return {
        "address": None,
        "description": "The reply subject that the request names.",
        "messages": {f"{group}.{name}": _message_ref(f"{group}.{name}") for name in names},
    }


def _message_ref(message: str) -> dict[str, str]:
    return {"$ref": f"#/components/messages/{message}"}


# ---- who does what


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, command in COMMANDS.items():
        rules = decisions.rules_of_command(command)
        yield (
            f"commands.{name}",
            _received(f"commands.{name}", "replies", ["Accepted", "Unchanged", "Refused"])
            | {
                "bindings": _queue(subjects.CONNECTIONS_QUEUE),
                "x-who": decisions.who_may(command),
                "x-refused": {str(reason): CODES[reason] for reason in decisions.refusals(command)},
                "x-events": [event.stored_name() for event in rules.events],
            }
            | ({"x-unchanged": rules.unchanged} if rules.unchanged else {}),
        )
    yield (
        DRY_RUNS,
        _received(DRY_RUNS, "replies", ["DryRunOutcomes", "Refused"])
        | {
            "bindings": _queue(subjects.CONNECTIONS_QUEUE),
            "x-who": decisions.ROLES["service"],
            "x-refused": {str(reason): CODES[reason] for reason in decisions.OF_DRY_RUNS},
        },
    )
    for name, question in QUESTIONS.items():
        yield (
            f"questions.{name}",
            _received(f"questions.{name}", "answers", [name, "NotAnswered"])
            | {
                "bindings": _queue(queue_of(name)),
                "x-who": question_rules.rules_of_question(question).who,
                "x-errors": {str(error): CODES[error] for error in question_rules.errors(question)},
            },
        )
    for event in EVENTS.values():
        yield (
            event_key(event),
            _operation("send", event_key(event))
            | {"x-jetstream": {"stream": subjects.EVENT_STREAM, "subjects": [subjects.EVENTS]}},
        )
    for channel in replays():
        yield (
            channel,
            _operation("send", channel, replays()[channel]["messages"])
            | {"x-jetstream": {"stream": subjects.REPLAY_STREAM, "subjects": [subjects.REPLAYS]}},
        )


def queue_of(question: str) -> str:
    """The queue group of the service that answers the question."""
    if question in AUDIT_QUESTIONS:
        return subjects.AUDIT_QUEUE
    return subjects.ROUTING_QUEUE if question in ROUTING_QUESTIONS else subjects.INBOX_VIEWS_QUEUE


def _operation(action: str, channel: str, messages: Iterable[str] = ()) -> dict[str, Any]:
    where = f"#/channels/{channel}"
    references = [{"$ref": f"{where}/messages/{message}"} for message in messages or [channel]]
    return {"action": action, "channel": {"$ref": where}, "messages": references}


def _received(channel: str, group: str, names: list[str]) -> dict[str, Any]:
    where = f"#/channels/{group}"
    replies = [{"$ref": f"{where}/messages/{group}.{name}"} for name in names]
    return _operation("receive", channel) | {"reply": {"channel": {"$ref": where}, "messages": replies}}


def _queue(name: str) -> dict[str, Any]:
    return {"nats": {"queue": name, "bindingVersion": NATS_BINDING}}


# ---- what


def key(message: Message) -> str:
    return f"{message.group}.{message.name}"


def event_key(event: type[Event | ReplayMessage], group: str = "events") -> str:
    return f"{group}.{event_name(event)}"


def message_object(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": message.name,
        "title": message.schema["title"],
        "contentType": JSON,
        "x-eventcatalog-message-type": CATALOGUED[message.group],
        "x-eventcatalog-role": "provider",
    }
    if "description" in message.schema:
        found["summary"] = message.schema["description"]
    return found | {"payload": _schema_ref(key(message))} | _details(message)


def _details(message: Message) -> dict[str, Any]:
    """Headers, correlation id and example."""
    match message.group:
        case "commands":
            found = examples.of_command(message.name)[0]
            return {"headers": headers.traced(), "correlationId": _correlation("command")} | _example(found.body)
        case "dry_runs":
            return {"headers": headers.traced()} | _example(examples.of_dry_runs().body)
        case "replies" if message.name == "DryRunOutcomes":
            return _example(examples.of_dry_runs().reply)
        case "replies":
            found = next(examples.of_outcome(message.schema["properties"]["outcome"]["enum"][0]))
            refused = {"headers": headers.error(Reason)} if message.name == "Refused" else {}
            return refused | {"correlationId": _correlation("command")} | _example(found.reply, _refused(found.reply))
        case "questions":
            return _example(examples.of_question(message.name)[0].body)
        case "answers" if message.name == "NotAnswered":
            reply = examples.not_answered().reply
            return {"headers": headers.error(QuestionError)} | _example(reply, _refused(reply))
        case "answers":
            return _example(examples.of_question(message.name)[0].reply)
        case "replays":
            frame = next(one for one in REPLAY_MESSAGES.values() if event_key(one, "replays") == key(message))
            example = examples.of_replay(frame)
            return {"headers": headers.replay_frame(frame)} | _example(example.body, example.headers)
        case _:
            event = next(event for event in EVENTS.values() if event_key(event) == key(message))
            example = examples.of_event(event)
            found_headers = {"headers": headers.cloud_event(event), "correlationId": _correlation("causation")}
            return found_headers | _example(example.body, example.headers)


def _refused(reply: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The error headers of a failed reply."""
    name = reply.get("reason") or reply.get("error")
    return {subjects.ERROR_CODE: str(CODES[name]), subjects.ERROR: name} if name else None


def _example(payload: Mapping[str, Any], with_headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"examples": [{"payload": payload} | ({"headers": with_headers} if with_headers else {})]}


def _correlation(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/correlationIds/{name}"}


def _schema_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def embedded(message: Message) -> Iterator[tuple[str, Schema]]:
    """The message's schema and those it refers to, by their names among the components."""
    own = {word: value for word, value in message.schema.items() if word not in ("$schema", "$id", "$defs")}
    yield key(message), _referring(own, message.group)
    for name, schema in message.schema.get("$defs", {}).items():
        yield f"{message.group}.{name}", _referring(schema, message.group)


def _referring(schema: Any, group: str) -> Any:
    if isinstance(schema, list):
        return [_referring(one, group) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if isinstance(target := schema.get("$ref"), str):
        return _schema_ref(f"{group}.{target.removeprefix('#/$defs/')}")
    return {word: _referring(value, group) for word, value in schema.items()}
