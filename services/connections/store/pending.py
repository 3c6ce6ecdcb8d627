"""A command on its way through the ledger, how it was decided, and what its caller is told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.language.events import Aggregate, Event
from shared.language.reasons import Reason


@dataclass(slots=True)
class Verdict:
    """How a command was decided. `reply` is its JSON; accepted and unchanged ones bear `"position":0` for now.

    `kept` says whether the answer stands for ever under the command's id; `events` come with their ids, and those that
    a dry run would make are `foreseen`.
    """

    outcome: str
    reply: bytes
    reason: Reason | None = None
    events: Sequence[tuple[str, Event]] = ()
    kept: bool = True
    foreseen: Sequence[tuple[str, Event]] = ()


@dataclass(slots=True)
class Pending:
    """A command on its way through the ledger; `fixed` is the verdict when it stands before any state is looked at.

    `known` and `known_sets` name what its decision will look at, as far as its fields tell: it is read for the whole
    group in one go. `weight` and `share` are how much it counts among those that wait, and for whom.
    """

    account: str
    name: str
    command_id: str | None
    actor: str | None
    digest: bytes | None
    body: bytes | None
    time: str
    entry: str
    dry_run: bool = False
    correlation_id: str | None = None
    traceparent: str | None = None
    payload: Any = None
    known: Sequence[tuple[Aggregate, str]] = ()
    known_sets: Sequence[str] = ()
    fixed: Verdict | None = None
    request: Any = None
    arrived: float = 0.0
    weight: int = 1
    share: str = ""


@dataclass(slots=True)
class Answer:
    """What the caller is told, final."""

    reply: bytes
    outcome: str
    reason: Reason | None
