"""URLs of PostgreSQL and NATS without passwords, for logs and messages."""

import re
from typing import Final

from shared.wire.urls import hide_credentials, without_credentials

# How URLs of PostgreSQL begin, and their secret parameters.
POSTGRES: Final = ("postgres://", "postgresql://")
SECRET: Final = ("password", "sslpassword")


def without_password(text: str) -> str:
    """A URL of PostgreSQL or NATS, several of NATS with commas between, or a libpq string, without passwords."""
    if text.startswith(POSTGRES) or ("://" not in text and "=" in text):
        return _of_postgres(text)
    return without_credentials(text)


def _of_postgres(text: str) -> str:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        read = conninfo_to_dict(text)
    except ProgrammingError:
        # Nothing connects with it, so it is not known which part is secret.
        return f"{text.partition('://')[0]}://***" if "://" in text else "***"
    secret = {name: str(read[name]) for name in SECRET if read.get(name)}
    if "://" in text:
        hidden = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", text)
        # Also where libpq finds none: a slash in a password makes another address of it.
        hidden = hide_credentials(hidden) if ":" in hidden.partition("://")[2].rpartition("@")[0] else hidden
        if not any(value in hidden for value in secret.values()):
            return hidden
    return make_conninfo("", **{**read, **dict.fromkeys(secret, "***")}) if secret else text
