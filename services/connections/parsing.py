"""What comes in over the bus, read strictly: a command that can be decided, or the refusal that says what is wrong."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson
from pydantic import ValidationError

from services.connections import commands, replies
from services.connections.context import DecisionContext
from services.connections.domain import address as addresses
from services.connections.domain import inbox as inboxes
from services.connections.store.not_understood import StreamNotUnderstood
from services.connections.store.oversized import TooLarge
from services.connections.store.pending import Pending, Verdict
from services.connections.store.unit_of_work import Session
from shared.core.address import AddressInvalid, CanonicalAddress, canonical, never_log_entry
from shared.core.refusal import Refused
from shared.language import commands as c
from shared.language.commands import COMMANDS, Command
from shared.language.events import Aggregate
from shared.language.text import SERVICE
from shared.messaging.reading import ACCOUNT, fields_of, printable, problem, problems_of
from shared.process import unexpected_errors
from shared.process.clock import new_id, now

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


class Payload:
    """A readable command with its addresses in canonical form."""

    __slots__ = ("canonical", "command", "lists")

    def __init__(
        self, command: Command, canonical: Mapping[str, CanonicalAddress], lists: Mapping[str, list[str]]
    ) -> None:
        self.command = command
        self.canonical = canonical
        self.lists = lists


def read(account: str, name: str, data: bytes, headers: Mapping[str, str] | None) -> Pending:
    """The command of one message. What cannot be read has its verdict `fixed` already, and is recorded all the same."""
    pending = Pending(
        account=account,
        name=name,
        command_id=None,
        actor=None,
        digest=None,
        body=None,
        time=now(),
        entry=new_id(),
    )
    try:
        _read(pending, data, headers)
    except Refused as refusal:
        pending.fixed = replies.refused(pending.command_id, refusal, dry_run=pending.dry_run)
    except Exception as error:  # noqa: BLE001  the caller hears that it is our fault
        unexpected_errors.record(error, "reading", command=printable(name), account=printable(account))
        pending.fixed = replies.failed(pending.command_id, dry_run=pending.dry_run)
    if pending.fixed is not None and not pending.fixed.kept:
        pending.account, pending.name = printable(account), printable(name)
    return pending


def busy(data: bytes, retry_after_ms: int) -> bytes:
    """The reply to a command that there is no room for. Of its body only the id is looked at: floods must be cheap."""
    command_id, dry_run = _glance(data)
    return replies.busy(command_id, retry_after_ms, dry_run=dry_run).reply


def failed(data: bytes) -> bytes:
    """The reply to a command at which reading failed."""
    command_id, dry_run = _glance(data)
    return replies.failed(command_id, dry_run=dry_run).reply


def _glance(data: bytes) -> tuple[str | None, bool]:
    """The command's id and whether it is a dry run, as far as the body says."""
    try:
        fields = orjson.loads(data) if len(data) <= LARGEST_BODY else {}
    except orjson.JSONDecodeError:
        fields = {}
    if not isinstance(fields, dict):
        fields = {}
    return _id_of(fields.get("command_id")), fields.get("dry_run") is True


def _id_of(given: object) -> str | None:
    return given.lower() if isinstance(given, str) and COMMAND_ID.match(given) else None


def _read(pending: Pending, data: bytes, headers: Mapping[str, str] | None) -> None:
    validate = _VALIDATE.get(pending.name)
    too_large = len(data) > LARGEST_BODY
    fields, problems = ({}, ()) if too_large else fields_of(data)
    pending.command_id = _id_of(fields.get("command_id"))
    pending.dry_run = fields.get("dry_run") is True
    if validate is None:
        raise replies.unknown(printable(pending.name))
    if not ACCOUNT.match(pending.account):
        raise replies.invalid([problem("", "the account in the subject is not 1 to 32 of A-Z a-z 0-9 _ -")])
    if too_large:
        raise replies.invalid([problem("", f"the body is larger than {LARGEST_BODY} bytes")])
    if problems and not fields:
        raise replies.invalid(problems)
    try:
        command = validate(fields)
    except ValidationError as error:
        raise replies.invalid(problems_of(error, problems)) from None
    if problems:
        raise replies.invalid(problems)
    _take_in(pending, command, fields, headers)


def _take_in(pending: Pending, command: Command, fields: dict[str, Any], headers: Mapping[str, str] | None) -> None:
    if pending.command_id is None:
        pending.command_id = new_id()
    pending.actor = command.actor
    pending.correlation_id = command.correlation_id
    trace = headers.get("traceparent") if headers else None
    pending.traceparent = trace if trace and TRACEPARENT.match(trace) else None
    fields.pop("command_id", None)
    pending.body = orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)
    pending.digest = hashlib.sha256(pending.name.encode() + b"\n" + pending.body).digest()
    pending.payload = payload = Payload(command, _canonical(command), _lists(command))
    if isinstance(command, c.AddAlias) and (payload.canonical["address"].address == payload.canonical["alias"].address):
        raise replies.invalid([problem("alias", "the alias is the address itself")])
    pending.known, pending.known_sets = known(pending.account, command, payload.canonical)


def _canonical(command: Command) -> dict[str, CanonicalAddress]:
    found: dict[str, CanonicalAddress] = {}
    wrong: list[tuple[str, str, int | None]] = []
    for field in _FIELDS_OF_ADDRESSES[type(command)]:
        try:
            found[field] = canonical(getattr(command, field))
        except AddressInvalid as error:
            wrong.append((field, error.what, error.at))
    if wrong:
        raise replies.address_invalid(type(command).__name__, wrong)
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
            except AddressInvalid as error:
                raise replies.address_invalid(
                    type(command).__name__, [(f"{field}.{number}", error.what, error.at)]
                ) from None
    return found


def known(
    account: str, command: Command, canonical: Mapping[str, CanonicalAddress]
) -> tuple[list[tuple[Aggregate, str]], list[str]]:
    """What the command's decision will look at, as far as its fields tell: aggregates and sets by name."""
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
        # There it must not be taken for a new one (`Known.expect`): of what is not usable all that is gets read.
        found.extend(("address", address.address) for address in canonical.values())
    match command:
        case c.ConnectPersonal() | c.ConnectTeam() if command.provider_identity is not None:
            return found, [addresses.mailbox(command.provider, command.provider_identity)]
        case c.Disconnect() | c.ReleaseAddress() | c.PromoteAlias():
            return found, [addresses.aliases_of(canonical["address"].address)]
        case c.CreateInbox() | c.RenameInbox():
            return found, [inboxes.name_set(command.name), inboxes.OPEN]
        case c.SetRouting():
            found.extend(("user", user) for user in commands.users_of(command))
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


class Domain:
    """The decisions of this service, as the ledger asks for them."""

    def decide(self, pending: Pending, session: Session) -> Verdict:
        payload: Payload = pending.payload
        command_id = pending.command_id or ""
        context = DecisionContext(session, pending.account, payload.command.actor, payload.canonical, payload.lists)
        try:
            decision = commands.decide(context, payload.command)
        except Refused as refusal:
            return replies.refused(command_id, refusal, dry_run=pending.dry_run)
        except StreamNotUnderstood as error:
            return replies.refused(command_id, replies.not_understood(error.event), dry_run=pending.dry_run)
        if not decision.events:
            return replies.unchanged(command_id, decision.warnings, dry_run=pending.dry_run)
        events = [(new_id(), event) for event in decision.events]
        return replies.accepted(command_id, decision, events, dry_run=pending.dry_run)

    def reused(self, pending: Pending) -> Verdict:
        return replies.refused(pending.command_id, replies.reused())

    def too_large(self, pending: Pending, too_large: TooLarge) -> Verdict:
        refusal = replies.too_large(too_large, _largest_field(pending.body))
        return replies.refused(pending.command_id, refusal, dry_run=pending.dry_run)

    def failed(self, pending: Pending) -> Verdict:
        return replies.failed(pending.command_id, dry_run=pending.dry_run)

    def busy(self, pending: Pending, retry_after_ms: int) -> Verdict:
        return replies.busy(pending.command_id, retry_after_ms, dry_run=pending.dry_run)


def _largest_field(body: bytes | None) -> str:
    fields: dict[str, Any] = orjson.loads(body) if body else {}
    return max(fields, key=lambda name: len(orjson.dumps(fields[name])), default="")
