"""One person who comes and goes all the time, and what commands about him are answered, from the contract.

Nobody else's standing changes, so that whoever else is named may what he may.
"""

from typing import Final

from tests.faults.workload import LEAVER

__all__ = ["AWAY", "LEAVER", "STATUS", "as_owner", "of_a_life"]

STATUS: Final = {
    "UserAdded": "active", "UserDeactivated": "deactivated", "UserReactivated": "active", "UserRemoved": "removed",
}  # fmt: skip
AWAY: Final = ("deactivated", "removed")


def of_a_life(command: str, status: str | None) -> str:
    """What the command about a user of that status (None: there was never one) is answered."""
    match command, status:
        case "AddUser", "active" | "deactivated":
            return "USER_EXISTS"
        case ("AddUser", _) | ("ReactivateUser", "deactivated" | "removed"):
            return "accepted"
        case (_, None) | ("DeactivateUser", "removed"):
            return "USER_NOT_FOUND"
        case "RemoveUser", "active":
            return "USER_NOT_DEACTIVATED"
        case ("DeactivateUser", "active") | ("RemoveUser", "deactivated"):
            return "accepted"
    return "unchanged"


def as_owner(status: str | None) -> str | None:
    """Why a user of that status cannot be given an address."""
    if status is None or status == "removed":
        return "USER_NOT_FOUND"
    return "OWNER_NOT_ACTIVE" if status == "deactivated" else None
