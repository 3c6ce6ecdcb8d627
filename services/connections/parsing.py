"""Parse a command from NATS strictly, or refuse it; compute the digest by which a repeated command is recognised."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import ValidationError

from services.connections import outcome
from services.connections.domain import inbox as inboxes
from services.connections.domain.address import state as addresses
from services.connections.envelope import CommandEnvelope
from shared.core.address import CanonicalAddress, InvalidAddressError, canonical, never_log_entry
from shared.core.refusal import Refused
from shared.language import commands as c
from shared.language.commands import COMMANDS, Command
from shared.language.events import Aggregate
from shared.language.text import SERVICE
from shared.messaging.json_body import ACCOUNT, parse_body, printable, problem, problems_of
from shared.process import unexpected_errors
from shared.process.clock import new_id, now

NO_ACCOUNT: Final = "the account in the subject is not 1 to 32 of A-Z a-z 0-9 _ -"
LARGEST_BODY: Final = 256 * 1024
COMMAND_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
# W3C Trace Context, level 1, where version ff and ids of zeros are invalid; anything else is dropped.
TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z")

ADDRESS_FIELDS: Final = ("address", "alias")
LIST_FIELDS: Final = ("entries", "never_log")
NAMES: Final[Mapping[str, Aggregate]] = {
    "user": "user",
    "owner": "user",
    "new_owner": "user",
    "inbox": "inbox",
    "to_inbox": "inbox",
}


def read(account: str, name: str, data: bytes, headers: Mapping[str, str] | None) -> CommandEnvelope:
    """The command of one message. A command that cannot be read has a `refusal`, and is recorded all the same."""
    envelope = CommandEnvelope(account, name, now(), new_id())
    try:
        _read(envelope, data, headers)
    except Refused as refusal:
        envelope.refusal = refusal
    except Exception as error:  # noqa: BLE001  the caller hears that it is our fault
        unexpected_errors.record(error, "reading", command=printable(name), account=printable(account))
        envelope.refusal = outcome.failed()
    if envelope.refusal is not None and not outcome.recorded_once(envelope.refusal):
        envelope.account, envelope.name = printable(account), printable(name)
    return envelope


def busy(data: bytes, retry_after_ms: int) -> bytes:
    """The reply to a command that there is no room for. Of its body only the id is read: floods must be cheap."""
    command_id, dry_run = _glance(data)
    return outcome.busy_reply(command_id, retry_after_ms, dry_run=dry_run)


def failed(data: bytes) -> bytes:
    """The reply to a command at which reading failed."""
    command_id, dry_run = _glance(data)
    return outcome.failed_reply(command_id, dry_run=dry_run)


def _glance(data: bytes) -> tuple[str | None, bool]:
    """The command's id and whether it is a dry run, as far as the body says."""
    try:
        fields = orjson.loads(data) if len(data) <= LARGEST_BODY else {}
    except orjson.JSONDecodeError:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    return _id_of(fields.get("command_id")), fields.get("dry_run") is True


def _id_of(value: object) -> str | None:
    return value.lower() if isinstance(value, str) and COMMAND_ID.match(value) else None


def _read(envelope: CommandEnvelope, data: bytes, headers: Mapping[str, str] | None) -> None:
    validate = _VALIDATE.get(envelope.name)
    too_large = len(data) > LARGEST_BODY
    fields, problems = ({}, ()) if too_large else parse_body(data)
    envelope.command_id = _id_of(fields.get("command_id"))
    envelope.dry_run = fields.get("dry_run") is True
    if validate is None:
        raise outcome.unknown(printable(envelope.name))
    if not ACCOUNT.match(envelope.account):
        raise outcome.invalid([problem("", NO_ACCOUNT)])
    if too_large:
        raise outcome.invalid([problem("", f"the body is larger than {LARGEST_BODY} bytes")])
    if problems and not fields:
        raise outcome.invalid(problems)
    try:
        command = validate(fields)
    except ValidationError as error:
        raise outcome.invalid(problems_of(error, problems)) from None
    if problems:
        raise outcome.invalid(problems)
    _fill(envelope, command, fields, headers)


def _fill(
    envelope: CommandEnvelope, command: Command, fields: dict[str, Any], headers: Mapping[str, str] | None
) -> None:
    if envelope.command_id is None:
        envelope.command_id = new_id()
    envelope.actor = command.actor
    envelope.correlation_id = command.correlation_id
    trace = headers.get("traceparent") if headers else None
    envelope.traceparent = trace if trace and TRACEPARENT.match(trace) else None
    fields.pop("command_id", None)
    envelope.body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    envelope.digest = hashlib.sha256(envelope.name.encode() + b"\n" + envelope.body).digest()
    envelope.addresses, envelope.lists = _canonical(command), _lists(command)
    if isinstance(command, c.AddAlias) and envelope.addresses["address"].address == envelope.addresses["alias"].address:
        raise outcome.invalid([problem("alias", "the alias is the address itself")])
    envelope.command = command
    envelope.aggregates, envelope.sets = reads_of(envelope.account, command, envelope.addresses)


def _canonical(command: Command) -> dict[str, CanonicalAddress]:
    found: dict[str, CanonicalAddress] = {}
    wrong: list[tuple[str, str, int | None]] = []
    for field in _FIELDS_OF_ADDRESSES[type(command)]:
        try:
            found[field] = canonical(getattr(command, field))
        except InvalidAddressError as error:
            wrong.append((field, error.what, error.at))
    if wrong:
        raise outcome.address_invalid(type(command).__name__, wrong)
    return found


def _lists(command: Command) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for field in _FIELDS_OF_LISTS[type(command)]:
        entries: Sequence[str] | None = getattr(command, field)
        if entries is None:
            continue
        found[field] = []
        for number, entry in enumerate(entries):
            try:
                found[field].append(never_log_entry(entry))
            except InvalidAddressError as error:
                raise outcome.address_invalid(
                    type(command).__name__, [(f"{field}.{number}", error.what, error.at)]
                ) from None
    return found


def reads_of(
    account: str, command: Command, canonical: Mapping[str, CanonicalAddress]
) -> tuple[list[tuple[Aggregate, str]], list[str]]:
    """The aggregates and sets, by name, that the decision will read, as far as the fields of the command show."""
    found: list[tuple[Aggregate, str]] = [("account", account)]
    if not command.actor.startswith(SERVICE):
        found.append(("user", command.actor))
    for field, aggregate in _NAME_FIELDS[type(command)]:
        value = getattr(command, field)
        if value is not None:
            found.append((aggregate, value))
    if isinstance(command, c.CreateTeam | c.SetTeamMembers | c.CreateInbox | c.SetInboxAccess):
        found.extend(("user", member) for member in command.members or ())
    if not isinstance(command, c.SetDefaultSender):
        # `StateCache.prefetch` must not take it for a new one: where it is not usable, all others are read.
        found.extend(("address", address.address) for address in canonical.values())
    match command:
        case c.ConnectPersonal() | c.ConnectTeam() if command.provider_identity is not None:
            return found, [addresses.mailbox(command.provider, command.provider_identity)]
        case c.Disconnect() | c.ReleaseAddress() | c.PromoteAlias():
            return found, [addresses.aliases_of(canonical["address"].address)]
        case c.CreateInbox() | c.RenameInbox():
            return found, [inboxes.name_set(command.name), inboxes.OPEN]
        case c.SetRouting():
            found.extend(("user", user) for user in inboxes.users_of(command.rule))
    return found, []


# Looked up once: attributes of pydantic's classes that they make themselves are slow to reach.
_VALIDATE: Final[Mapping[str, Callable[[object], Command]]] = {
    name: message.__pydantic_validator__.validate_python for name, message in COMMANDS.items()
}
_FIELDS_OF_ADDRESSES: Final[Mapping[type[Command], Sequence[str]]] = {
    message: [field for field in ADDRESS_FIELDS if field in message.model_fields] for message in COMMANDS.values()
}
_FIELDS_OF_LISTS: Final[Mapping[type[Command], Sequence[str]]] = {
    message: [field for field in LIST_FIELDS if field in message.model_fields] for message in COMMANDS.values()
}
_NAME_FIELDS: Final[Mapping[type[Command], Sequence[tuple[str, Aggregate]]]] = {
    message: [(field, aggregate) for field, aggregate in NAMES.items() if field in message.model_fields]
    for message in COMMANDS.values()
}
