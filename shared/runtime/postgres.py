"""How a service connects to PostgreSQL."""

from typing import Any

from psycopg.conninfo import conninfo_to_dict


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
