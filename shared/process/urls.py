"""Where servers are, as one writes it: several in one setting, and shown without what is secret in it."""

import re
from typing import Final

# How URLs of PostgreSQL begin, and what is secret in them.
POSTGRES: Final = ("postgres://", "postgresql://")
SECRET: Final = ("password", "sslpassword")


def without_password(text: str) -> str:
    """A URL of PostgreSQL or NATS, several of NATS with commas between, or a libpq string, without what is secret."""
    if text.startswith(POSTGRES) or ("://" not in text and "=" in text):
        return _of_postgres(text)
    # A comma within a password does not begin another URL.
    hidden = ",".join(map(_without_credentials, re.split(r",(?=[^,]*://)", text)))
    return re.sub(r"(?i)\b(password|token)=[^&\s]*", r"\1=***", hidden)


def _of_postgres(text: str) -> str:
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    try:
        read = conninfo_to_dict(text)
    except ProgrammingError:
        # Nothing connects with it; what of it is secret nobody can say.
        return f"{text.partition('://')[0]}://***" if "://" in text else "***"
    secret = {name: str(read[name]) for name in SECRET if read.get(name)}
    if "://" in text:
        hidden = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", text)
        # Also where libpq sees none: a slash in a password makes another address of it.
        hidden = _without_credentials(hidden) if ":" in hidden.partition("://")[2].rpartition("@")[0] else hidden
        if not any(value in hidden for value in secret.values()):
            return hidden
    return make_conninfo("", **{**read, **dict.fromkeys(secret, "***")}) if secret else text


def _without_credentials(url: str) -> str:
    scheme, slashes, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not at:
        return url
    name, colon, password = credentials.partition(":")
    if colon and not password:
        return url
    return f"{scheme}{slashes}{name if colon else ''}{colon}***@{place}"


def servers_of(url: str) -> list[str]:
    """The servers of a NATS cluster, which one setting names: URLs with commas between.

    Raises:
        ValueError: none is named.
    """
    found = [one for part in url.split(",") if (one := part.strip())]
    if not found:
        raise ValueError("no server is named")
    return found
