"""The subjects, streams and header names of the wire, spelled here only."""

import re

COMMAND = "switchboard.command.v1"
QUERY = "switchboard.query.v1"
EVENT = "switchboard.event.v1"
REPLAY = "switchboard.replay.v1"

# The signed checkpoints of the audit, for all that watch the log; a header names the tree.
CHECKPOINT = "switchboard.checkpoint.v1"
CHECKPOINT_TREE = "tree"

COMMANDS = f"{COMMAND}.*.*"
QUERIES = f"{QUERY}.*.*"
EVENTS = f"{EVENT}.>"
REPLAYS = f"{REPLAY}.>"

# Where NATS spreads accounts over writers (deploy/nats/spread.conf), the subject of a command ends with the partition
# of its account.
PARTITIONS = 32

# The queue groups: of several processes one gets a request.
CONNECTIONS_QUEUE = "connections"
INBOX_VIEWS_QUEUE = "inbox_views"
ROUTING_QUEUE = "routing"
AUDIT_QUEUE = "audit"

EVENT_STREAM = "SWITCHBOARD_EVENTS"
EVENT_SOURCE = "/switchboard/connections"
REPLAY_STREAM = "SWITCHBOARD_REPLAYS"
REPLAY_SOURCE = "/switchboard/replays"
# In place of the account, in a message about a replay of all accounts; no account is called so.
ALL_ACCOUNTS = "@all"
JSON = "application/json"
# The `$id` of each published schema is this, its kind and its name, with colons between.
SCHEMA_ID = "urn:switchboard:v1"

# Within Switchboard only: a notice that the log has grown; requests for health and metrics of a process; a subject
# on which only processes listen that answer the questions of a view's version; requests for when a view applied events;
# requests to the process that publishes a replay.
COMMITTED = "switchboard.internal.v1.committed"
HEALTH = "switchboard.internal.v1.health"
METRICS = "switchboard.internal.v1.metrics"
ATTENDANCE = "switchboard.internal.v1.attendance"
APPLIED = "switchboard.internal.v1.applied"
REPLAYING = "switchboard.internal.v1.replaying"

ERROR = "Nats-Service-Error"
ERROR_CODE = "Nats-Service-Error-Code"
MESSAGE_ID = "Nats-Msg-Id"
# The relay's expectations, which keep the order; NATS leaves them on the event.
EXPECTED_SEQUENCE = "Nats-Expected-Last-Sequence"
EXPECTED_MESSAGE_ID = "Nats-Expected-Last-Msg-Id"
# The expectations of a replay: the sequence of its last message, among the messages with its subjects.
EXPECTED_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
# The process that published a message of a replay.
REPLAY_RUN = "Switchboard-Replay-Run"


# A name as part of a subject, and a subject for requests: without wildcards, and without characters that would end it
# on the wire.
TOKEN = re.compile(r"[^\s.*>\x00-\x1f\x7f\ud800-\udfff]+")
SUBJECT = re.compile(rf"{TOKEN.pattern}(?:\.{TOKEN.pattern})*")


def command(account: str, name: str) -> str:
    return f"{COMMAND}.{account}.{name}"


def commands_of(partition: int | None = None) -> str:
    """The commands that NATS has put into a partition, or into any."""
    return f"{COMMANDS}.{'*' if partition is None else partition}"


def query(account: str, name: str) -> str:
    return f"{QUERY}.{account}.{name}"


def event(account: str, aggregate: str, name: str) -> str:
    return f"{EVENT}.{account}.{aggregate}.{name}"


def events_of(account: str) -> str:
    """All events of one account."""
    return f"{EVENT}.{account}.>"


def replayed(replay: str, account: str, aggregate: str, name: str) -> str:
    return f"{REPLAY}.{replay}.{account}.{aggregate}.{name}"


def replay(name: str, account: str | None = None) -> str:
    """All messages of one replay, or its events of one account."""
    return f"{REPLAY}.{name}.{account}.>" if account else f"{REPLAY}.{name}.>"


def replaying(name: str) -> str:
    return f"{REPLAYING}.{name}"


def health(service: str) -> str:
    return f"{HEALTH}.{service}"


def metrics(service: str, process: str) -> str:
    return f"{METRICS}.{service}.{process}"


def attendance(view: str, version: int) -> str:
    return f"{ATTENDANCE}.{view}.{version}"


def event_schema(stored_name: str) -> str:
    """The `$id` of the published schema of an event, derived from its stored name, known here or not."""
    return f"{SCHEMA_ID}:events:{stored_name.removeprefix('switchboard.')}"


def replay_schema(stored_name: str) -> str:
    """The `$id` of the published schema of a message that frames a replay."""
    return f"{SCHEMA_ID}:replays:{stored_name.removeprefix('switchboard.')}"


class Ce:
    """Header names of a CloudEvent in the binary mode of its NATS binding; all values are text."""

    SPECVERSION = "ce-specversion"
    ID = "ce-id"
    SOURCE = "ce-source"
    TYPE = "ce-type"
    SUBJECT = "ce-subject"
    TIME = "ce-time"
    ACCOUNT = "ce-account"
    POSITION = "ce-position"
    STREAM_VERSION = "ce-streamversion"
    ACTOR = "ce-actor"
    CAUSATION_ID = "ce-causationid"
    CONTENT_TYPE = "ce-datacontenttype"
    SCHEMA = "ce-dataschema"
    CORRELATION_ID = "ce-correlationid"
    TRACEPARENT = "traceparent"
    REPLAY_ID = "ce-replayid"
    REPLAY_REASON = "ce-replayreason"
    REPLAY_FROM = "ce-replayfrom"
    REPLAY_TO = "ce-replayto"
    REPLAY_OF = "ce-replayof"
    REPLAY_TYPE = "ce-replaytype"
    REPLAY_SEQUENCE = "ce-replaysequence"
    REPLAY_DIGEST = "ce-replaydigest"
    REPLAY_UNKNOWN = "ce-replayunknown"
    REPLAY_UNREADABLE = "ce-replayunreadable"


def applied(view: str) -> str:
    return f"{APPLIED}.{view}"
