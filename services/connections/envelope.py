"""A command on its way: what was read, and what the write side needs to know of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from shared.core.address import CanonicalAddress
from shared.core.refusal import Refused
from shared.language.commands import Command
from shared.language.events import Aggregate
from shared.messaging.endpoint import Request


@dataclass(slots=True)
class CommandEnvelope:
    """One command as it was read; a command that cannot be read has a `refusal` instead of `command`.

    `entry` is its id in the command journal, `time` when it arrived (RFC 3339 in UTC). `addresses` are its address
    fields and `lists` its never-log lists, canonical, by name of field. `aggregates` and `sets` name what its decision
    will read, as far as its fields tell. `weight` and `share` count it among the commands that wait. A batch of
    dry runs has its commands in `batch`.
    """

    account: str
    name: str
    time: str
    entry: str
    request: Request | None = None
    command_id: str | None = None
    dry_run: bool = False
    command: Command | None = None
    refusal: Refused | None = None
    actor: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    body: bytes | None = None
    digest: bytes | None = None
    addresses: Mapping[str, CanonicalAddress] = field(default_factory=dict)
    lists: Mapping[str, list[str]] = field(default_factory=dict)
    aggregates: Sequence[tuple[Aggregate, str]] = ()
    sets: Sequence[str] = ()
    arrived: float = 0.0
    weight: int = 1
    share: str = ""
    batch: "Sequence[CommandEnvelope]" = ()

    def log_fields(self) -> dict[str, str | None]:
        """The fields that name the command in a line of the log."""
        return {
            "account": self.account,
            "command": self.name,
            "command_id": self.command_id,
            "correlation_id": self.correlation_id,
        }
