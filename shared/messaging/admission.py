"""Who may still come in where only so much fits, and how soon to ask again: floods take their own share, no more."""

from typing import Final

from shared.process.bounded import forget_oldest

# Accounts that nothing was ever accepted or answered for have one share together, whatever names a flood makes up.
STRANGERS: Final = ""
MOST_KNOWN: Final = 100_000
# What is large counts for several: so much of a body counts for one more.
BYTES_OF_ONE: Final = 4_096
SOONEST_MS, LATEST_MS = 50, 10_000
# Of the pace of late, so much is that of what was done last.
NEWEST: Final = 0.2


def weight_of(size: int) -> int:
    """How many small ones a body of so many bytes counts for."""
    return 1 + size // BYTES_OF_ONE


class Acquaintances:
    """Accounts that are known to be there."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def meet(self, account: str) -> None:
        self._known[account] = None
        forget_oldest(self._known, MOST_KNOWN)

    def __contains__(self, account: str) -> bool:
        return account in self._known

    def share_of(self, account: str) -> str:
        return account if account in self._known else STRANGERS


class Admission:
    """Counts what is under way, by share, in weights of which `most` fit.

    A share may hold as much as is still free (the dynamic threshold of switches): one flood has half of it, two have a
    third each, and whoever has little under way always finds room.
    """

    def __init__(self, most: int, known: Acquaintances) -> None:
        self._most = most
        self._known = known
        self._held: dict[str, int] = {}
        self.total = 0

    def admits(self, account: str, weight: int) -> bool:
        return self._held.get(self._known.share_of(account), 0) + weight <= self._most - self.total

    def enter(self, account: str, weight: int) -> str | None:
        """The share it counts for, to leave it later; None when there is no room for it."""
        share = self._known.share_of(account)
        held = self._held.get(share, 0) + weight
        if held > self._most - self.total:
            return None
        self._held[share] = held
        self.total += weight
        return share

    def leave(self, share: str, weight: int) -> None:
        self.total -= weight
        held = self._held[share] - weight
        if held:
            self._held[share] = held
        else:
            del self._held[share]


class Pace:
    """How much is done in a second, of late."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second

    def told(self, weight: int, seconds: float) -> None:
        """So much was done in so many seconds."""
        self._per_second += NEWEST * (weight / max(seconds, 1e-4) - self._per_second)

    def retry_after_ms(self, waiting: int) -> int:
        """When all that waits now will have been served."""
        hint = int(1_000 * waiting / self._per_second)
        return LATEST_MS if hint > LATEST_MS else hint if hint > SOONEST_MS else SOONEST_MS  # noqa: FURB136  in haste
