"""How a service connects to PostgreSQL, and says why it cannot."""

import re
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict

# What libpq adds to its reasons, over several lines.
_ADVICE: Final = re.compile(r" *Is the server running [^?]*\?")


def why(error: Exception) -> str:
    """The reason in one line."""
    return _ADVICE.sub("", " ".join(str(error).split())) or type(error).__name__


def ended_when_silent(seconds: float) -> str:
    """The options of a session that holds advisory locks for its process.

    Ended by PostgreSQL when it is silent for so long; by the kernel when the other side of a network does not answer.
    """
    return (
        f"-c idle_session_timeout={seconds * 1000:.0f} -c statement_timeout={seconds * 1000:.0f} "
        f"-c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2"
    )


def connection_arguments(url: str) -> dict[str, Any]:
    """What psycopg connects with: the URL, and time-outs that find a dead peer within seconds."""
    return {
        "application_name": "switchboard",
        "connect_timeout": 3,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    } | conninfo_to_dict(url)
