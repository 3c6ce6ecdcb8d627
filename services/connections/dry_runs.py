"""Reads a batch of dry runs: every command of it as one of its own, refused alone when it cannot be read."""

from collections.abc import Mapping
from typing import Final

import orjson
from pydantic import ValidationError

from services.connections import outcome, parsing
from services.connections.domain import actor as actors
from services.connections.envelope import CommandEnvelope
from shared.core.refusal import Refused
from shared.language.dry_runs import DryRunBatch
from shared.language.text import SERVICE
from shared.messaging.json_body import ACCOUNT, parse_body, printable, problem, problems_of
from shared.process import unexpected_errors
from shared.process.clock import new_id, now

NAME: Final = DryRunBatch.__name__
LARGEST_BATCH: Final = 512 * 1024


def read(account: str, data: bytes, headers: Mapping[str, str] | None) -> CommandEnvelope:
    """The batch of one message; a batch that cannot be read has a `refusal`."""
    envelope = CommandEnvelope(account, NAME, now(), new_id(), dry_run=True)
    try:
        batch = _parsed(account, data)
        envelope.batch = [_command(account, one.command, one.body, headers) for one in batch.commands]
    except Refused as refusal:
        envelope.refusal = refusal
    except Exception as error:  # noqa: BLE001  the caller hears that it is our fault
        unexpected_errors.record(error, "reading", command=NAME, account=printable(account))
        envelope.refusal = outcome.failed()
    return envelope


def _parsed(account: str, data: bytes) -> DryRunBatch:
    if not ACCOUNT.match(account):
        raise outcome.invalid([problem("", parsing.NO_ACCOUNT)])
    if len(data) > LARGEST_BATCH:
        raise outcome.invalid([problem("", f"the body is larger than {LARGEST_BATCH} bytes: send fewer commands")])
    fields, problems = parse_body(data)
    if problems:
        raise outcome.invalid(problems)
    try:
        batch = DryRunBatch.model_validate(fields)
    except ValidationError as error:
        raise outcome.invalid(problems_of(error)) from None
    if not batch.actor.startswith(SERVICE):
        actors.refuse("service", batch.actor)
    return batch


def _command(account: str, name: str, body: Mapping[str, object], headers: Mapping[str, str] | None) -> CommandEnvelope:
    return parsing.read(account, name, orjson.dumps({**body, "dry_run": True}), headers)
