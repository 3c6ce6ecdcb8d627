"""The permissions that NATS denies a connection: its server reports them apart from replies, to a listener only.

Each connection keeps its own denials, for requests that wait in vain. The process logs each subject once and counts
all of them.
"""

import logging
import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from nats.aio.client import Client

from shared.wire.errors import SwitchboardError

# Written by `frames.FrameParser` with the subject as it was sent; nats-py alone writes it in lower case.
_VIOLATION: Final = re.compile(
    r'permissions violation for (publish|subscription)(?: to| with reply of) "(.+?)"', re.IGNORECASE
)
RECENT: Final = 32
# Callers choose the subjects of replies: the subjects that may be denied have no end.
MOST_LOGGED: Final = 100
SEED: Final = "SWITCHBOARD_NATS_NKEY_SEED"
PREFIX: Final = "SWITCHBOARD_NATS_INBOX_PREFIX"
URL: Final = "SWITCHBOARD_NATS_URL"
ACKNOWLEDGEMENTS: Final = "$js.ack."
# `$JS.ACK.<stream>.<consumer>` and five numbers; with the account before the stream it has two words more, or three.
_WORDS_OF_AN_ACKNOWLEDGEMENT: Final = 9

log = logging.getLogger(__name__)


class PermissionDenied(SwitchboardError):
    """NATS does not let this user publish or subscribe to a subject; nothing was done.

    It stays so until an operator changes the permissions of the user.

    Attributes:
        verb: `publish` or `subscription`.
        subject: the subject as it was sent.
        pattern: the subject as permissions would name it.
    """

    def __init__(self, verb: str, subject: str, user: str = "", inbox_prefix: str = "_INBOX") -> None:
        self.pattern = pattern_of(subject, inbox_prefix)
        of_replies = self.pattern.startswith((f"{inbox_prefix}.", "_INBOX.")) and verb == "subscription"
        advice = f": set {PREFIX} (inbox_prefix) to the one that it may subscribe to" if of_replies else ""
        action = "subscribe to" if verb == "subscription" else "publish to"
        super().__init__(f"NATS does not let this user {action} {self.pattern}{f' ({user})' if user else ''}{advice}")
        self.verb = verb
        self.subject = subject

    def concerns(self, subject: str) -> bool:
        """Whether it denies a message to the subject; NATS may add the number of a partition to it."""
        ours, theirs = subject.lower(), self.subject.lower()
        return theirs == ours or theirs.startswith(f"{ours}.")


class ProcessDenials:
    """The denials of all connections of a process: each pattern is logged once, all are counted by verb."""

    def __init__(self, most_logged: int = MOST_LOGGED) -> None:
        self.counts = Counter({("publish",): 0, ("subscription",): 0})
        self._most_logged = most_logged
        self._logged: set[tuple[str, str]] = set()

    def add(self, denied: PermissionDenied) -> None:
        self.counts[denied.verb,] += 1
        pattern = denied.verb, denied.pattern
        if pattern in self._logged or len(self._logged) > self._most_logged:
            return
        self._logged.add(pattern)
        if len(self._logged) > self._most_logged:
            text = f"more than {self._most_logged} subjects; the others are only counted"
            log.warning("nats.not_allowed", extra={"error": text})
            return
        section = "publish" if denied.verb == "publish" else "subscribe"
        advice = f"allow it under permissions, {section}, of this user in NATS's configuration (nats/users.conf)"
        log.warning("nats.not_allowed", extra={"error": str(denied), "advice": advice})


PROCESS: Final = ProcessDenials()


class Permissions:
    """Listens to the errors of one connection.

    Args:
        user: the user that the connection is to NATS, and the setting that says so.
        inbox_prefix: the prefix of the subjects of replies.
        process: counts and logs the denials; None where each is raised as an error.

    Attributes:
        count: how many errors were denied permissions.
        last_error: the text of the last error.
        rejected: whether NATS rejected the credentials.
        listeners: called with each denial.
    """

    def __init__(self, user: str = "", inbox_prefix: str = "_INBOX", process: ProcessDenials | None = PROCESS) -> None:
        self.count = 0
        self.last_error = ""
        self.rejected = False
        self.listeners: list[Callable[[PermissionDenied], None]] = []
        self._user = user
        self._process = process
        self._inbox_prefix = inbox_prefix
        self._recent: deque[PermissionDenied] = deque(maxlen=RECENT)
        self._subscriptions: dict[str, PermissionDenied] = {}

    def on_error(self, error: Exception) -> bool:
        """Return whether the error is a denied permission, which is handled here and nowhere else."""
        self.last_error = str(error)
        # The connection may break afterwards, with another error.
        self.rejected |= "authorization violation" in str(error).lower()
        found = _VIOLATION.search(str(error))
        if found is None:
            return False
        denied = PermissionDenied(found[1].lower(), found[2], self._user, self._inbox_prefix)
        self.count += 1
        self._recent.append(denied)
        if denied.verb == "subscription":
            self._subscriptions[denied.pattern] = denied
        if self._process is not None:
            self._process.add(denied)
        for listener in self.listeners:
            listener(denied)
        return True

    def since(self, count: int, *prefixes: str) -> PermissionDenied | None:
        """The first denial, after there had been `count`, of a subject with one of these prefixes in lower case."""
        later = list(self._recent)[max(len(self._recent) - (self.count - count), 0) :]
        return next((one for one in later if one.subject.lower().startswith(prefixes)), None)

    def cause(self, count: int, *prefixes: str) -> PermissionDenied | None:
        """Why a reply did not come: the request was denied since, or the subscription to replies is denied."""
        inbox = self._subscriptions.get(f"{self._inbox_prefix}.>")
        return self.since(count, *prefixes) or inbox

    @property
    def denied_subscription(self) -> PermissionDenied | None:
        """A subscription that NATS denied: nothing arrives, and nothing subscribes again on this connection.

        That of discovery does not count: without it the rest works.
        """
        return next((one for pattern, one in self._subscriptions.items() if not pattern.startswith("$SRV.")), None)

    def on_disconnect(self) -> None:
        """The next connection subscribes to everything again."""
        self._subscriptions.clear()


_of_clients: Final[WeakKeyDictionary[Client, Permissions]] = WeakKeyDictionary()


def register(client: Client, permissions: Permissions) -> None:
    """From now on `of` returns these permissions for the client."""
    _of_clients[client] = permissions


def of(client: Client) -> Permissions:
    """The permissions of the client's connection; empty for a client that is not registered."""
    return _of_clients.setdefault(client, Permissions())


def user_of(options: Mapping[str, Any], url: str) -> str:
    """The user that connects with these options of `nats.connect`, and the setting that says so; without secrets."""
    if seed := options.get("nkeys_seed_str"):
        import nkeys

        return f"NKey {nkeys.from_seed(bytearray(str(seed).encode())).public_key.decode()}, {SEED}"
    if name := options.get("user") or urlsplit(url.split(",", maxsplit=1)[0]).username:
        return f"user {name}, {URL}"
    return f"no NKey and no name: neither {SEED} nor {URL} says who this is"


def pattern_of(subject: str, inbox_prefix: str = "_INBOX") -> str:
    """The subject as permissions would name it: with wildcards for the parts that differ in each message."""
    words = subject.split(".")
    if subject.lower().startswith(ACKNOWLEDGEMENTS):
        if len(words) > _WORDS_OF_AN_ACKNOWLEDGEMENT:
            return ".".join(("$JS", "ACK", "*", "*", *words[4:6], ">"))
        return ".".join((*words[:4], ">"))
    if subject.startswith(f"{inbox_prefix}."):
        return f"{inbox_prefix}.>"
    return "_INBOX.>" if words[0] == "_INBOX" else subject
