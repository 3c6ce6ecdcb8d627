"""One user in an answer: their status, permissions and preferences."""

from typing import Any

from shared.core.state.rows import UserRow


def to_answer(row: UserRow, teams: list[str], default_sender: str | None) -> dict[str, Any]:
    """Return the answer's object; the default sender is the one in effect, which may not be the chosen one."""
    return {
        "user": row["user"],
        "name": row["name"],
        "status": row["status"],
        "permissions": row["permissions"],
        "seat": row["seat"],
        "availability": row["availability"],
        "teams": teams,
        "signature": row["signature"],
        "font": row["font"],
        "logging": row["logging"],
        "default_sender": default_sender,
    }
