"""What NATS does not allow a connection, as its server says it: beside the replies, and only if one listens.

Each connection keeps its own refusals, for whoever waits in vain. The process logs each subject once and counts all.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import structlog
from nats.aio.client import Client

# Written by `frames.FrameParser` so that the subject is as it was given; nats-py alone gives it in small letters.
_VIOLATION: Final = re.compile(
    r'permissions violation for (publish|subscription)(?: to| with reply of) "(.+?)"', re.IGNORECASE
)
KEPT: Final = 32
# Callers choose where answers go: the subjects that may be refused have no end.
MOST_SAID: Final = 100
SEED: Final = "SWITCHBOARD_NATS_NKEY_SEED"
PREFIX: Final = "SWITCHBOARD_NATS_INBOX_PREFIX"
URL: Final = "SWITCHBOARD_NATS_URL"
ACKNOWLEDGEMENTS: Final = "$js.ack."
# `$JS.ACK.<stream>.<consumer>` and five numbers; with the account before the stream it has two words more, or three.
_WORDS_OF_AN_ACKNOWLEDGEMENT: Final = 9

log = structlog.get_logger(__name__)


class NotAllowed(Exception):
    """NATS keeps this user from it, and will until somebody changes its permissions; nothing was done.

    `verb` is what was wanted, `publish` or `subscription`; `subject` is as it was given.
    """

    def __init__(self, verb: str, subject: str, user: str = "", inbox_prefix: str = "_INBOX") -> None:
        self.kind = kind_of(subject, inbox_prefix)
        of_answers = self.kind.startswith((f"{inbox_prefix}.", "_INBOX.")) and verb == "subscription"
        advice = f": set {PREFIX} (inbox_prefix) to the one that it may hear" if of_answers else ""
        does = "hear" if verb == "subscription" else "publish to"
        super().__init__(f"NATS does not let this user {does} {self.kind}{f' ({user})' if user else ''}{advice}")
        self.verb = verb
        self.subject = subject

    def keeps_from(self, subject: str) -> bool:
        """Whether it is about a message to the subject; NATS may know it with the number of a partition behind it."""
        ours, theirs = subject.lower(), self.subject.lower()
        return theirs == ours or theirs.startswith(f"{ours}.")


class Permissions:
    """Listens to the errors of one connection: `trouble` is the last, and `count` how many were refusals.

    `user` is who the connection is to NATS, and by which setting. `quiet` ones are raised where they happen, and not
    logged or counted.
    """

    def __init__(self, user: str = "", inbox_prefix: str = "_INBOX", *, quiet: bool = False) -> None:
        self.count = 0
        self.trouble = ""
        self.not_let_in = False
        self.told: list[Callable[[NotAllowed], None]] = []
        self._user = user
        self._quiet = quiet
        self._inbox_prefix = inbox_prefix
        self._kept: deque[NotAllowed] = deque(maxlen=KEPT)
        self._unheard: dict[str, NotAllowed] = {}

    def hear(self, error: Exception) -> bool:
        """Whether it was a refusal, which is told here and nowhere else."""
        self.trouble = str(error)
        # Afterwards the connection may break off, too.
        self.not_let_in |= "authorization violation" in str(error).lower()
        found = _VIOLATION.search(str(error))
        if found is None:
            return False
        refused = NotAllowed(found[1].lower(), found[2], self._user, self._inbox_prefix)
        self.count += 1
        self._kept.append(refused)
        if refused.verb == "subscription":
            self._unheard[refused.kind] = refused
        if not self._quiet:
            PROCESS.say(refused)
        for one in self.told:
            one(refused)
        return True

    def since(self, count: int, *prefixes: str) -> NotAllowed | None:
        """The first refusal of a subject that begins so, after there had been `count`; prefixes in small letters."""
        later = list(self._kept)[max(len(self._kept) - (self.count - count), 0) :]
        return next((one for one in later if one.subject.lower().startswith(prefixes)), None)

    def cause(self, count: int, *prefixes: str) -> NotAllowed | None:
        """Why an answer did not come: what was asked for since was refused, or answers cannot be heard at all."""
        inbox = self._unheard.get(f"{self._inbox_prefix}.>")
        return self.since(count, *prefixes) or inbox

    @property
    def unheard(self) -> NotAllowed | None:
        """A subscription that the server refused: nothing comes, and nobody asks again on this connection.

        That of discovery does not count: without it the rest works.
        """
        return next((one for kind, one in self._unheard.items() if not kind.startswith("$SRV.")), None)

    def disconnected(self) -> None:
        """The next connection asks for all subscriptions again."""
        self._unheard.clear()


class Refusals:
    """What NATS refused this process: each kind of subject is logged once, all are counted by what was wanted."""

    def __init__(self) -> None:
        self.counts = Counter({("publish",): 0, ("subscription",): 0})
        self._said: set[tuple[str, str]] = set()

    def say(self, refused: NotAllowed) -> None:
        self.counts[refused.verb,] += 1
        what = refused.verb, refused.kind
        if what in self._said or len(self._said) > MOST_SAID:
            return
        self._said.add(what)
        if len(self._said) > MOST_SAID:
            log.warning("nats.not_allowed", error=f"more than {MOST_SAID} subjects; the others are only counted")
            return
        where = "publish" if refused.verb == "publish" else "subscribe"
        log.warning(
            "nats.not_allowed",
            error=str(refused),
            advice=f"allow it under permissions, {where}, of this user in NATS's configuration (nats/users.conf)",
        )


PROCESS: Final = Refusals()
_of_clients: Final[WeakKeyDictionary[Client, Permissions]] = WeakKeyDictionary()


def keep(client: Client, permissions: Permissions) -> None:
    """From now on `of` finds them."""
    _of_clients[client] = permissions


def of(client: Client) -> Permissions:
    """Those of the connection; of one that nobody listens to they stay empty."""
    return _of_clients.setdefault(client, Permissions())


def user_of(options: Mapping[str, Any], url: str) -> str:
    """Who connects with these options of `nats.connect`, and which setting says so; secrets are not in it."""
    if seed := options.get("nkeys_seed_str"):
        import nkeys

        return f"NKey {nkeys.from_seed(bytearray(str(seed).encode())).public_key.decode()}, {SEED}"
    if name := options.get("user") or urlsplit(url.split(",", maxsplit=1)[0]).username:
        return f"user {name}, {URL}"
    return f"no NKey and no name: neither {SEED} nor {URL} says who this is"


def kind_of(subject: str, inbox_prefix: str = "_INBOX") -> str:
    """The subject as permissions would name it: without what is another one in each message."""
    words = subject.split(".")
    if subject.lower().startswith(ACKNOWLEDGEMENTS):
        if len(words) > _WORDS_OF_AN_ACKNOWLEDGEMENT:
            return ".".join(("$JS", "ACK", "*", "*", *words[4:6], ">"))
        return ".".join((*words[:4], ">"))
    if subject.startswith(f"{inbox_prefix}."):
        return f"{inbox_prefix}.>"
    return "_INBOX.>" if words[0] == "_INBOX" else subject
