"""A row of the table of commands: a command, its permission, what must be there, what it reads, and its decider."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar, overload

from services.connections.context import DecisionContext
from shared.core.decider import Decision
from shared.language.commands import Command
from shared.language.events import Event
from shared.language.permissions import PERMISSIONS, PermissionRule

C = TypeVar("C", bound=Command)
V1 = TypeVar("V1")
V2 = TypeVar("V2")
V3 = TypeVar("V3")
V4 = TypeVar("V4")
V5 = TypeVar("V5")

Result: TypeAlias = Decision | Sequence[Event]
Read: TypeAlias = Callable[[DecisionContext, C], V1]
Requirement: TypeAlias = Callable[[DecisionContext, C], None]
Warn: TypeAlias = Callable[[DecisionContext, C, Sequence[Event]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Row:
    """`requires` refuse, in this order, before `reads` give the decider its values; `warn` is for what it accepted."""

    command: type[Command]
    permission: PermissionRule
    requires: tuple[Requirement[Any], ...]
    reads: tuple[Read[Any, Any], ...]
    decide: Callable[..., Result]
    warn: Warn[Any] | None


@overload
def row(
    command: type[C],
    reads: tuple[Read[C, V1]],
    decide: Callable[[C, V1], Result],
    *,
    requires: tuple[Requirement[C], ...] = (),
    warn: Warn[C] | None = None,
) -> Row: ...
@overload
def row(
    command: type[C],
    reads: tuple[Read[C, V1], Read[C, V2]],
    decide: Callable[[C, V1, V2], Result],
    *,
    requires: tuple[Requirement[C], ...] = (),
    warn: Warn[C] | None = None,
) -> Row: ...
@overload
def row(
    command: type[C],
    reads: tuple[Read[C, V1], Read[C, V2], Read[C, V3]],
    decide: Callable[[C, V1, V2, V3], Result],
    *,
    requires: tuple[Requirement[C], ...] = (),
    warn: Warn[C] | None = None,
) -> Row: ...
@overload
def row(
    command: type[C],
    reads: tuple[Read[C, V1], Read[C, V2], Read[C, V3], Read[C, V4]],
    decide: Callable[[C, V1, V2, V3, V4], Result],
    *,
    requires: tuple[Requirement[C], ...] = (),
    warn: Warn[C] | None = None,
) -> Row: ...
@overload
def row(
    command: type[C],
    reads: tuple[Read[C, V1], Read[C, V2], Read[C, V3], Read[C, V4], Read[C, V5]],
    decide: Callable[[C, V1, V2, V3, V4, V5], Result],
    *,
    requires: tuple[Requirement[C], ...] = (),
    warn: Warn[C] | None = None,
) -> Row: ...
def row(
    command: type[Any],
    reads: tuple[Read[Any, Any], ...],
    decide: Callable[..., Result],
    *,
    requires: tuple[Requirement[Any], ...] = (),
    warn: Warn[Any] | None = None,
) -> Row:
    """One row; the types say that each read gives the decider its parameter at the same place."""
    return Row(command, PERMISSIONS[command], requires, reads, decide, warn)
