"""What NATS does not allow whoever asks, as its server says it: beside the replies, and only if one listens."""

import re
from collections import deque
from collections.abc import Callable
from typing import Final

# nats-py gives the server's words in small letters, subjects too.
_VIOLATION: Final = re.compile(r'permissions violation for (publish|subscription) to "([^"]+)"')
KEPT: Final = 32


class NotAllowed(Exception):
    """NATS keeps this user from it, and will until somebody changes its permissions; nothing was done.

    `subject` in small letters.
    """

    def __init__(self, verb: str, subject: str) -> None:
        advice = ""
        if verb == "subscription":
            advice = ": set SWITCHBOARD_NATS_INBOX_PREFIX (inbox_prefix) to the one that it may hear"
        does = "hear" if verb == "subscription" else "publish to"
        super().__init__(f"NATS does not let this user {does} {subject}{advice}")
        self.subject = subject

    def keeps_from(self, subject: str) -> bool:
        """Whether it is about a message to the subject; NATS may know it with the number of a partition behind it."""
        return self.subject == subject.lower() or self.subject.startswith(f"{subject.lower()}.")


class Permissions:
    """Listens to the errors of a connection: `trouble` is the last, and `count` how many were refusals."""

    def __init__(self) -> None:
        self.count = 0
        self.trouble = ""
        self.not_let_in = False
        self.told: list[Callable[[NotAllowed], None]] = []
        self._kept: deque[NotAllowed] = deque(maxlen=KEPT)

    def hear(self, error: Exception) -> None:
        self.trouble = str(error)
        # Afterwards the connection may break off, too.
        self.not_let_in |= "authorization violation" in str(error).lower()
        if (found := _VIOLATION.search(str(error))) is not None:
            refused = NotAllowed(found[1], found[2])
            self.count += 1
            self._kept.append(refused)
            for one in self.told:
                one(refused)

    def since(self, count: int, *prefixes: str) -> NotAllowed | None:
        """The first refusal of a subject that begins so, after there had been `count`."""
        later = list(self._kept)[max(len(self._kept) - (self.count - count), 0) :]
        return next((one for one in later if one.subject.startswith(prefixes)), None)
