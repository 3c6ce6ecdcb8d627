"""URLs of NATS: several servers in one setting, and a form without credentials for logs and messages."""

import re


def servers_of(url: str) -> list[str]:
    """The servers of a NATS cluster, which one setting names: URLs with commas between.

    Raises:
        ValueError: no server is named.
    """
    found = [one for part in url.split(",") if (one := part.strip())]
    if not found:
        raise ValueError("no server is named")
    return found


def without_credentials(url: str) -> str:
    """The URL, or several with commas between, with *** in place of passwords and tokens."""
    # A comma within a password does not begin another URL.
    hidden = ",".join(map(hide_credentials, re.split(r",(?=[^,]*://)", url)))
    return re.sub(r"(?i)\b(password|token)=[^&\s]*", r"\1=***", hidden)


def hide_credentials(url: str) -> str:
    """One URL with *** in place of what follows the user's name."""
    scheme, slashes, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    if not at:
        return url
    name, colon, password = credentials.partition(":")
    if colon and not password:
        return url
    return f"{scheme}{slashes}{name if colon else ''}{colon}***@{place}"
