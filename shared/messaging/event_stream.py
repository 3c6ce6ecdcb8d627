"""Declaration of the stream of events, as data.

The stream is declared here and nowhere else. A stream with another configuration is never overwritten:
`declare_stream` fails and names each difference.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import Base, DiscardPolicy, RetentionPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.errors import APIError, BadRequestError, NotFoundError

from shared.language import subjects
from shared.process.settings import Settings

log = structlog.get_logger(__name__)

# The key of the stream's metadata for the id of its log.
LOG_ID_KEY = "switchboard-log"

# Codes of the server, in `APIError.err_code`.
STREAM_EXISTS_DIFFERENTLY = 10058
WRONG_LAST_SEQUENCE = 10071
WRONG_LAST_MESSAGE_ID = 10070
# By the limits of the server, and of an account.
NO_SPACE = frozenset({10023, 10047})
STREAM_FULL = 10077
# One of its many reasons is a limit of the duplicate window.
INVALID_CONFIG = 10052
# Limits of an account or a server that a stream or a consumer exceeds, and what to do about each.
LIMITS: Mapping[int, str] = {
    10026: "raise the number of consumers that this NATS account may have",
    10027: "raise the number of streams that this NATS account may have",
    10047: "raise the storage that this NATS account may have, or set SWITCHBOARD_STREAM_MAX_BYTES to less",
    INVALID_CONFIG: "set SWITCHBOARD_DUPLICATE_WINDOW_SECONDS to no more than that, for all services",
    10113: "set SWITCHBOARD_STREAM_MAX_BYTES, for all services, to more than the stream will ever have",
    10121: "set SWITCHBOARD_MAX_ACK_PENDING to no more than that, for all services",
    10122: "set SWITCHBOARD_STREAM_MAX_BYTES to no more than that, for all services",
}
OLDEST_NATS = (2, 12)
# nats-py has it for a server without a version.
NO_VERSION = (0, 0)

# No limit of age, size or count: a late reader reads everything. Single messages cannot be deleted or purged, since
# readers would not notice the gap; a stream that is lost as a whole is published again from the event store.
EVENT_STREAM = StreamConfig(
    name=subjects.EVENT_STREAM,
    description="Every fact about connected addresses, in the order of ce-position; published again when lost.",
    subjects=[subjects.EVENTS],
    storage=StorageType.FILE,
    retention=RetentionPolicy.LIMITS,
    discard=DiscardPolicy.OLD,
    max_age=0,
    max_bytes=-1,
    max_msgs=-1,
    max_msgs_per_subject=-1,
    max_msg_size=-1,
    num_replicas=1,
    # The relay's fence and the consumers' positions do not depend on it.
    duplicate_window=120.0,
    deny_delete=True,
    deny_purge=True,
    allow_rollup_hdrs=False,
    allow_direct=True,
    allow_atomic=True,
)

# Left to operators: on a cluster a stream has more replicas, and a description has no effect.
_FREE_TO_DIFFER = frozenset({"description", "num_replicas", "metadata", "placement", "max_consumers"})
# Defaults that the server fills in.
_SERVER_DEFAULTS: Mapping[str, object] = {"compression": "none", "mirror_direct": False}


@dataclass(frozen=True)
class Difference:
    declared: object
    found: object


class UnusableStreamError(Exception):
    """The stream cannot be used as it is."""


class NoStreamYet(UnusableStreamError):
    """The stream does not exist yet, and this process must not create it."""


class StreamDrifted(UnusableStreamError):
    """The configuration of the stream is not as declared; `differences` by the field's name."""

    def __init__(self, stream: str, differences: Mapping[str, Difference]) -> None:
        text = ", ".join(f"{field} is {d.found!r}, not {d.declared!r}" for field, d in sorted(differences.items()))
        super().__init__(
            f"stream {stream} is not as declared: {text}. Change it, or have it published again from the log with "
            "`switchboard streams --delete`"
        )
        self.stream = stream
        self.differences = differences


class ServerTooOld(UnusableStreamError):
    """This release of NATS lacks what the stream needs."""


class LimitTooLow(UnusableStreamError):
    """The NATS account, or the server, allows less than is declared; the message names the setting."""


def too_old(client: Client) -> str | None:
    """Return why the release of the client's server cannot be used; None when it can, or is unknown."""
    # A release of nats-py without these internals leaves the check out.
    version = getattr(client.connected_server_version, "_server_version", "")
    match = re.match(r"(\d+)\.(\d+)\.", version)
    found = (int(match[1]), int(match[2])) if match else NO_VERSION
    if found == NO_VERSION or found >= OLDEST_NATS:
        return None
    return f"NATS {version} is too old: {'.'.join(map(str, OLDEST_NATS))} or newer is needed"


def require_new(client: Client) -> None:
    """
    Raises:
        ServerTooOld: the server lacks what the stream needs.
    """
    if why := too_old(client):
        raise ServerTooOld(why)


def explained(error: APIError, subject: str) -> APIError | LimitTooLow:
    """Return the error, as one that names what to do where it is about a limit."""
    advice = LIMITS.get(error.err_code or 0)
    if error.err_code == INVALID_CONFIG and "duplicates window" not in (error.description or ""):
        advice = None
    return error if advice is None else LimitTooLow(f"NATS refuses {subject}: {error.description}. To do: {advice}")


class ForeignStream(UnusableStreamError):
    """The stream has the events of another log: another database was connected to this NATS before."""


class StreamContradictsLog(UnusableStreamError):
    """The stream has events that the log does not have: the log was restored, and the stream was not deleted."""


async def declare_stream(
    js: JetStreamContext, log_id: str | None = None, declared: StreamConfig | None = None, *, create: bool = True
) -> StreamInfo:
    """Create the stream if it does not exist, and raise its replicas to the setting; safe in several processes at once.

    Args:
        js: the JetStream of the connection.
        log_id: the id of the log that the stream is published from; None when that is not known yet.
        declared: the configuration; by default that of the settings.
        create: whether to create or change anything. Replicas are never removed.

    Raises:
        NoStreamYet: it does not exist, and `create` is false.
        ServerTooOld: this NATS cannot have such a stream.
        LimitTooLow: the account or the server does not allow it.
        StreamDrifted: its configuration is another one.
        ForeignStream: it has the events of another log.
        nats.errors.Error: JetStream is off, or did not answer.
    """
    if (client := getattr(js, "_nc", None)) is not None:
        require_new(client)
    declared = declared or configured_stream()
    try:
        found = await js.stream_info(str(declared.name))
    except NotFoundError as error:
        if not create:
            raise NoStreamYet(f"the stream {declared.name} does not exist yet: the relay creates it") from error
        found = await _create_stream(js, _with_log_id(declared, log_id) if log_id else declared)
    differences = stream_differences(declared, found.config)
    if create and differences and differences.keys() <= _configured_fields():
        found = await _update(js, declared, found)
        differences = stream_differences(declared, found.config)
    if differences:
        raise StreamDrifted(str(declared.name), differences)
    if (found_id := log_id_of(found.config)) not in (None, log_id):
        raise ForeignStream(
            f"the stream {declared.name} has the log {found_id}, not {log_id or 'one of this database'}"
        )
    if create and (found.config.num_replicas or 1) < (declared.num_replicas or 1):
        log.info("stream.replicas_raised", before=found.config.num_replicas, replicas=declared.num_replicas)
        found = await js.update_stream(found.config.evolve(num_replicas=declared.num_replicas))
    return found


def configured_stream() -> StreamConfig:
    """Return the declaration of the stream with the values of the settings.

    A full stream refuses new messages: readers would not notice that its oldest events were dropped.
    """
    settings = Settings()
    declared = EVENT_STREAM.evolve(
        num_replicas=settings.stream_replicas, duplicate_window=settings.duplicate_window_seconds
    )
    if settings.stream_max_bytes is None:
        return declared
    return declared.evolve(max_bytes=settings.stream_max_bytes, discard=DiscardPolicy.NEW)


def _configured_fields() -> frozenset[str]:
    """Return the fields with a setting, which an existing stream is updated to."""
    settings = Settings()
    size = {"max_bytes", "discard"} if settings.stream_max_bytes is not None else set()
    window = {"duplicate_window"} & {name.removesuffix("_seconds") for name in settings.model_fields_set}
    return frozenset(size | window)


async def _update(js: JetStreamContext, declared: StreamConfig, found: StreamInfo) -> StreamInfo:
    limit = declared.max_bytes or -1
    if 0 < limit < found.state.bytes:
        raise LimitTooLow(f"the stream has {found.state.bytes} bytes already, more than SWITCHBOARD_STREAM_MAX_BYTES")
    log.info("stream.set", max_bytes=limit, duplicate_window=declared.duplicate_window)
    changed = {field: getattr(declared, field) for field in ("max_bytes", "discard", "duplicate_window")}
    try:
        return await js.update_stream(found.config.evolve(**changed))
    except APIError as error:
        raise explained(error, "the stream") from error


async def set_log_id(js: JetStreamContext, log_id: str, declared: StreamConfig | None = None) -> None:
    """Write the id of the log into the stream's metadata; the other fields that may differ stay as they are."""
    declared = declared or configured_stream()
    found = (await js.stream_info(str(declared.name))).config
    unchanged = {field: getattr(found, field) for field in _FREE_TO_DIFFER}
    await js.update_stream(_with_log_id(declared.evolve(**unchanged), log_id))


def log_id_of(config: StreamConfig) -> str | None:
    """Return the id of the log that the stream is published from, if it has one."""
    return (config.metadata or {}).get(LOG_ID_KEY)


def _with_log_id(declared: StreamConfig, log_id: str) -> StreamConfig:
    return declared.evolve(metadata={LOG_ID_KEY: log_id})


async def _create_stream(js: JetStreamContext, declared: StreamConfig) -> StreamInfo:
    try:
        return await js.add_stream(declared)
    except APIError as error:
        if not isinstance(error, BadRequestError) or error.err_code != STREAM_EXISTS_DIFFERENTLY:
            raise explained(error, "the stream") from error
        # Another process created it in between.
        return await js.stream_info(str(declared.name))


def stream_differences(declared: StreamConfig, found: StreamConfig) -> dict[str, Difference]:
    """Return each field that is not as declared."""
    ours, theirs = _comparable(declared), _comparable(found)
    return {
        field: Difference(ours.get(field), theirs.get(field))
        for field in sorted(ours.keys() | theirs.keys())
        if ours.get(field) != theirs.get(field)
    }


def _comparable(config: StreamConfig) -> dict[str, object]:
    fields = dict(_SERVER_DEFAULTS) | {field: value for field, value in vars(config).items() if value is not None}
    return {field: value for field, value in fields.items() if field not in _FREE_TO_DIFFER and _has_effect(value)}


def _has_effect(value: object) -> bool:
    """Whether the value is not a default: None, empty, False, a limit of 0, or an object with only such fields."""
    return any(vars(value).values()) if isinstance(value, Base) else bool(value)
