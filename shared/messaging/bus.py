"""The stream of events as data, and the headers of a refused reply.

The stream is declared here and nowhere else; services subscribe with `declare=False`. A stream that exists in another
shape is never overwritten: `declare_stream` fails and names each difference.
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

# The key of the stream's metadata that bears the identity of its log.
LOG = "switchboard-log"

# What the server answers, in `APIError.err_code`.
STREAM_EXISTS_OTHERWISE = 10058
WRONG_LAST_SEQUENCE = 10071
WRONG_LAST_MESSAGE_ID = 10070
# By the server's limits, and by an account's.
NO_SPACE = frozenset({10023, 10047})
STREAM_FULL = 10077
# For many reasons, one of them a limit of the duplicate window.
INVALID = 10052
# Limits of an account or a server that a stream or a consumer does not keep, and what to do about each.
LIMITS: Mapping[int, str] = {
    10026: "raise the number of consumers that this NATS account may have",
    10027: "raise the number of streams that this NATS account may have",
    10047: "raise the storage that this NATS account may have, or set SWITCHBOARD_STREAM_MAX_BYTES to less",
    INVALID: "set SWITCHBOARD_DUPLICATE_WINDOW_SECONDS to no more than that, for all services",
    10113: "set SWITCHBOARD_STREAM_MAX_BYTES, for all services, to more than the stream will ever have",
    10121: "set SWITCHBOARD_MAX_ACK_PENDING to no more than that, for all services",
    10122: "set SWITCHBOARD_STREAM_MAX_BYTES to no more than that, for all services",
}
OLDEST_NATS = (2, 12)
# nats-py's for a server that tells none.
NO_VERSION = (0, 0)

# No limit of age, size or count: whoever starts late reads everything. Nothing can be deleted or purged singly, since
# that would be a hole that nobody notices; a stream that is lost whole is published again from the event store.
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

# Left to whoever runs the server: on a cluster a stream has more replicas, and a text is only a text.
_FREE_TO_DIFFER = frozenset({"description", "num_replicas", "metadata", "placement", "max_consumers"})
# What the server fills in by itself, although nothing was declared.
_FILLED_IN: Mapping[str, object] = {"compression": "none", "mirror_direct": False}


@dataclass(frozen=True)
class Difference:
    declared: object
    found: object


class StreamUnfit(Exception):
    """The stream is there, and not as it has to be."""


class NoStreamYet(StreamUnfit):
    """There is none, and it is not for this process to make it."""


class StreamDrifted(StreamUnfit):
    """The stream exists in another shape than declared; `differences` by the field's name."""

    def __init__(self, stream: str, differences: Mapping[str, Difference]) -> None:
        told = ", ".join(f"{field} is {d.found!r}, not {d.declared!r}" for field, d in sorted(differences.items()))
        super().__init__(
            f"stream {stream} is not as declared: {told}. Give it that shape, or have it made anew from the log with "
            "`switchboard streams --delete`"
        )
        self.stream = stream
        self.differences = differences


class ServerTooOld(StreamUnfit):
    """This release of NATS lacks what the stream needs."""


class LimitTooLow(StreamUnfit):
    """The NATS account, or the server, allows less than what is declared; the message names the setting."""


def too_old(client: Client) -> str | None:
    """Why the server that the client is connected to cannot serve; None when it can, or tells no version."""
    # A release of nats-py without these internals leaves the check out.
    version = getattr(client.connected_server_version, "_server_version", "")
    told = re.match(r"(\d+)\.(\d+)\.", version)
    found = (int(told[1]), int(told[2])) if told else NO_VERSION
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


def within_limits(error: APIError, what: str) -> APIError | LimitTooLow:
    """The error, in plain words where it is about a limit."""
    cure = LIMITS.get(error.err_code or 0)
    if error.err_code == INVALID and "duplicates window" not in (error.description or ""):
        cure = None
    return error if cure is None else LimitTooLow(f"NATS refuses {what}: {error.description}. To do: {cure}")


class ForeignStream(StreamUnfit):
    """The stream tells of another log than this one: another database was connected to this NATS before."""


class StreamContradictsLog(StreamUnfit):
    """The stream tells events that the log does not hold: the log was restored, and the stream not deleted."""


async def declare_stream(
    js: JetStreamContext, log_id: str | None = None, declared: StreamConfig | None = None, *, make: bool = True
) -> StreamInfo:
    """Makes the stream if there is none, and gives it as many replicas as are set; safe when several do so at once.

    `log_id` is the identity of the log it tells of; None when that is not known yet. Replicas are never taken away.
    Without `make` nothing is made or changed.

    Raises:
        NoStreamYet: there is none, and none was to be made.
        ServerTooOld: this NATS cannot have such a stream.
        LimitTooLow: the account or the server does not allow it.
        StreamDrifted: it exists in another shape.
        ForeignStream: it is another log's.
        nats.errors.Error: JetStream is off, or gave no answer.
    """
    if (client := getattr(js, "_nc", None)) is not None:
        require_new(client)
    declared = declared or as_set()
    try:
        found = await js.stream_info(str(declared.name))
    except NotFoundError as error:
        if not make:
            raise NoStreamYet(f"there is no stream {declared.name} yet: the relay makes it") from error
        found = await _make_stream(js, _of_log(declared, log_id) if log_id else declared)
    differences = stream_differences(declared, found.config)
    if make and differences and differences.keys() <= _set_here():
        found = await _set(js, declared, found)
        differences = stream_differences(declared, found.config)
    if differences:
        raise StreamDrifted(str(declared.name), differences)
    if (told := log_of(found.config)) not in (None, log_id):
        raise ForeignStream(f"the stream {declared.name} is of the log {told}, not of {log_id or 'one begun yet'}")
    if make and (found.config.num_replicas or 1) < (declared.num_replicas or 1):
        log.info("stream.replicas_raised", before=found.config.num_replicas, replicas=declared.num_replicas)
        found = await js.update_stream(found.config.evolve(num_replicas=declared.num_replicas))
    return found


def as_set() -> StreamConfig:
    """The stream of events as it is made here, with what the settings say of it.

    A stream that is full refuses what comes: to drop its oldest events would be a hole that nobody notices.
    """
    settings = Settings()
    found = EVENT_STREAM.evolve(
        num_replicas=settings.stream_replicas, duplicate_window=settings.duplicate_window_seconds
    )
    if settings.stream_max_bytes is None:
        return found
    return found.evolve(max_bytes=settings.stream_max_bytes, discard=DiscardPolicy.NEW)


def _set_here() -> frozenset[str]:
    """The fields that a setting says, which an existing stream is given when it has them otherwise."""
    settings = Settings()
    size = {"max_bytes", "discard"} if settings.stream_max_bytes is not None else set()
    window = {"duplicate_window"} & {name.removesuffix("_seconds") for name in settings.model_fields_set}
    return frozenset(size | window)


async def _set(js: JetStreamContext, declared: StreamConfig, found: StreamInfo) -> StreamInfo:
    limit = declared.max_bytes or -1
    if 0 < limit < found.state.bytes:
        raise LimitTooLow(f"the stream has {found.state.bytes} bytes already, more than SWITCHBOARD_STREAM_MAX_BYTES")
    log.info("stream.set", max_bytes=limit, duplicate_window=declared.duplicate_window)
    changed = {field: getattr(declared, field) for field in ("max_bytes", "discard", "duplicate_window")}
    try:
        return await js.update_stream(found.config.evolve(**changed))
    except APIError as error:
        raise within_limits(error, "the stream") from error


async def mark_stream(js: JetStreamContext, log_id: str, declared: StreamConfig | None = None) -> None:
    """Writes onto the stream which log it tells of; whatever else may differ stays as it is."""
    declared = declared or as_set()
    found = (await js.stream_info(str(declared.name))).config
    kept = {field: getattr(found, field) for field in _FREE_TO_DIFFER}
    await js.update_stream(_of_log(declared.evolve(**kept), log_id))


def log_of(config: StreamConfig) -> str | None:
    """The identity of the log that the stream tells of, if it says."""
    return (config.metadata or {}).get(LOG)


def _of_log(declared: StreamConfig, log_id: str) -> StreamConfig:
    return declared.evolve(metadata={LOG: log_id})


async def _make_stream(js: JetStreamContext, declared: StreamConfig) -> StreamInfo:
    try:
        return await js.add_stream(declared)
    except APIError as error:
        if not isinstance(error, BadRequestError) or error.err_code != STREAM_EXISTS_OTHERWISE:
            raise within_limits(error, "the stream") from error
        # Somebody else made it in between.
        return await js.stream_info(str(declared.name))


def stream_differences(declared: StreamConfig, found: StreamConfig) -> dict[str, Difference]:
    """Each field of the shape that is not as declared."""
    ours, theirs = _shape(declared), _shape(found)
    return {
        field: Difference(ours.get(field), theirs.get(field))
        for field in sorted(ours.keys() | theirs.keys())
        if ours.get(field) != theirs.get(field)
    }


def _shape(config: StreamConfig) -> dict[str, object]:
    fields = dict(_FILLED_IN) | {field: value for field, value in vars(config).items() if value is not None}
    return {field: value for field, value in fields.items() if field not in _FREE_TO_DIFFER and _says_anything(value)}


def _says_anything(value: object) -> bool:
    """None, empty, False and a limit of 0 say the same of a field; so does an object with only such fields."""
    return any(vars(value).values()) if isinstance(value, Base) else bool(value)


def error_headers(code: int, description: str) -> dict[str, str]:
    """The headers of the NATS micro protocol by which a reply says that it is no success; one line of text each."""
    return {subjects.ERROR_CODE: str(code), subjects.ERROR: " ".join(description.split())}
