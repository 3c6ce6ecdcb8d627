"""The tools that use an address; every tool needs a personal connection (A5, A6)."""

from typing import assert_never

from services.connections.domain.address.conditions import require_live
from services.connections.domain.address.state import (
    AddressState,
    AddressTakenError,
    Alias,
    Free,
    Orphaned,
    Personal,
    Team,
)
from shared.core.refusal import Refused, next_action
from shared.language.commands import BindTool, ConnectPersonal, UnbindTool
from shared.language.events import Event, ToolBound, ToolUnbound
from shared.language.reasons import Reason


def bind(command: BindTool, address: str, state: AddressState) -> list[Event]:
    match state:
        case Personal(tools=tools):
            return [] if command.tool in tools else [ToolBound(address=address, tool=command.tool)]
        case Alias():
            raise AddressTakenError(Reason.ADDRESS_IS_ALIAS, state)
        case Orphaned():
            raise AddressTakenError(Reason.ADDRESS_ORPHANED, state)
        case Team() if command.tool == "meetings":
            raise meetings_forbidden(command, address)
        case Team() | Free():
            raise personal_required(command, address)
        case _:
            assert_never(state)


def meetings_forbidden(command: BindTool, address: str) -> Refused:
    return Refused(
        Reason.TEAM_ADDRESS_IN_MEETINGS_FORBIDDEN,
        f"{address} is a team address; the meetings tool works with personal addresses only.",
        {"tool": command.tool},
        [next_action(ConnectPersonal, "Connect a different account as personal for meetings.")],
    )


def personal_required(command: BindTool, address: str) -> Refused:
    return Refused(
        Reason.PERSONAL_CONNECTION_REQUIRED,
        f"The tool {command.tool} needs a personal connection of {address}.",
        {"tool": command.tool},
        [next_action(ConnectPersonal, "Connect a mail account as personal first.")],
    )


def unbind(command: UnbindTool, address: str, state: AddressState) -> list[Event]:
    if command.tool not in require_live(state, address).tools:
        return []
    return [ToolUnbound(address=address, tool=command.tool)]
