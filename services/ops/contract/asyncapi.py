"""The contract as an AsyncAPI 3.0 document, told from Switchboard's side: it receives commands, and sends events.

A channel for every message, since its subject says which it is. Replies go to the subject that the request names, so
their channels have no address. What AsyncAPI has no word for stands under `x-`: who may, refused why, the stream.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from services.ops.contract import decisions, examples, headers
from services.ops.contract.schemas import Message, Schema, event_name, messages
from shared.language import subjects
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS, Event
from shared.language.questions import QUESTIONS, ROUTING_QUESTIONS
from shared.language.reasons import CODES, QuestionError, Reason
from shared.language.text import Account

ASYNCAPI: Final = "3.0.0"
# Names the messages as the subjects do; within it they only grow.
VERSION: Final = subjects.COMMAND.rpartition(".v")[2]
JSON: Final = "application/json"
NATS_BINDING: Final = "0.1.0"
LICENSE: Final = {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"}
# EventCatalog has three types of message; a reply is filed with what it answers. The contract of all is Switchboard's.
CATALOGUED: Final = {
    "commands": "command",
    "replies": "command",
    "questions": "query",
    "answers": "query",
    "events": "event",
}
PARAMETERS: Final = {"account": {"$ref": "#/components/parameters/account"}}

DESCRIPTION: Final = f"""\
Which e-mail address is connected to whom, as what, and where does its mail go?

Everything is JSON in UTF-8 over NATS. A command or question is a request, and its reply comes to the inbox that the \
request names. A reply that is no success bears `{subjects.ERROR_CODE}` and `{subjects.ERROR}`. Events are CloudEvents \
1.0 in binary mode, kept in the JetStream stream `{subjects.EVENT_STREAM}`.

The services are found by the NATS micro protocol: `$SRV.PING`, `$SRV.INFO` and `$SRV.STATS`, as by `nats micro ls`.

Messages only grow: whoever reads replies, answers and events ignores fields that he does not know. In commands and \
questions null equals absent, and an unknown field is refused."""


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
                "description": "The NATS that `switchboard run` starts. In production, your own.",
            }
        },
        "channels": channels(),
        "operations": dict(operations()),
        "components": {
            "messages": {key(message): message_object(message) for message in every},
            "schemas": dict(sorted((name, schema) for message in every for name, schema in embedded(message))),
            "parameters": {
                "account": {
                    "description": f"The account, which matches `{headers.pattern_of(Account)}`.",
                    "examples": [examples.ACCOUNT],
                }
            },
            "correlationIds": {
                "command": {"location": "$message.payload#/command_id"},
                "causation": {"location": f"$message.header#/{subjects.Ce.CAUSATION_ID}"},
            },
        },
    }


# ---- where


def channels() -> dict[str, Any]:
    asked = {f"commands.{name}": _channel(subjects.command("{account}", name), f"commands.{name}") for name in COMMANDS}
    asked |= {
        f"questions.{name}": _channel(subjects.query("{account}", name), f"questions.{name}") for name in QUESTIONS
    }
    told = {
        event_key(event): _channel(subjects.event("{account}", event.aggregate, event.__name__), event_key(event))
        for event in EVENTS.values()
    }
    inboxes = {
        "replies": _inbox("replies", ["Accepted", "Unchanged", "Refused"]),
        "answers": _inbox("answers", [*QUESTIONS, "NotAnswered"]),
    }
    return asked | told | inboxes


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
        decided = decisions.rules_of_command(command)
        yield (
            f"commands.{name}",
            _received(f"commands.{name}", "replies", ["Accepted", "Unchanged", "Refused"])
            | {
                "bindings": _queue(subjects.CONNECTIONS_QUEUE),
                "x-who": decisions.who_may(command),
                "x-refused": {str(reason): CODES[reason] for reason in decisions.refusals(command)},
                "x-events": [event.stored_name() for event in decided.events],
            }
            | ({"x-unchanged": decided.unchanged} if decided.unchanged else {}),
        )
    for name, question in QUESTIONS.items():
        queue = subjects.ROUTING_QUEUE if name in ROUTING_QUESTIONS else subjects.INBOX_VIEWS_QUEUE
        yield (
            f"questions.{name}",
            _received(f"questions.{name}", "answers", [name, "NotAnswered"])
            | {
                "bindings": _queue(queue),
                "x-who": decisions.rules_of_question(question).who,
                "x-errors": {str(error): CODES[error] for error in decisions.errors(question)},
            },
        )
    for event in EVENTS.values():
        yield (
            event_key(event),
            _operation("send", event_key(event))
            | {"x-jetstream": {"stream": subjects.EVENT_STREAM, "subjects": [subjects.EVENTS]}},
        )


def _operation(action: str, channel: str) -> dict[str, Any]:
    where = f"#/channels/{channel}"
    return {"action": action, "channel": {"$ref": where}, "messages": [{"$ref": f"{where}/messages/{channel}"}]}


def _received(channel: str, group: str, names: list[str]) -> dict[str, Any]:
    where = f"#/channels/{group}"
    replies = [{"$ref": f"{where}/messages/{group}.{name}"} for name in names]
    return _operation("receive", channel) | {"reply": {"channel": {"$ref": where}, "messages": replies}}


def _queue(name: str) -> dict[str, Any]:
    return {"nats": {"queue": name, "bindingVersion": NATS_BINDING}}


# ---- what


def key(message: Message) -> str:
    return f"{message.group}.{message.name}"


def event_key(event: type[Event]) -> str:
    return f"events.{event_name(event)}"


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
    """Headers, the field by which a reply or an event is known for what it belongs to, and an example."""
    match message.group:
        case "commands":
            found = examples.of_command(message.name)[0]
            return {"headers": headers.traced(), "correlationId": _correlation("command")} | _example(found.body)
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
        case _:
            event = next(event for event in EVENTS.values() if event_key(event) == key(message))
            told = examples.of_event(event)
            found_headers = {"headers": headers.cloud_event(event), "correlationId": _correlation("causation")}
            return found_headers | _example(told.body, told.headers)


def _refused(reply: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The error headers of a reply that is no success."""
    name = reply.get("reason") or reply.get("error")
    return {subjects.ERROR_CODE: str(CODES[name]), subjects.ERROR: name} if name else None


def _example(payload: Mapping[str, Any], with_headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    return {"examples": [{"payload": payload} | ({"headers": with_headers} if with_headers else {})]}


def _correlation(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/correlationIds/{name}"}


def _schema_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def embedded(message: Message) -> Iterator[tuple[str, Schema]]:
    """The message's schema and those it refers to, by the names they have among the document's components."""
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
