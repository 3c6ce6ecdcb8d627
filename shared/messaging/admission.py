"""Admission control: each account gets a share of the capacity, and a refused caller learns when to retry."""

from typing import Final

from shared.process.bounded import evict_oldest

# One share for all accounts without an accepted command or an answer: a flood may make up any names.
UNKNOWN_TENANT: Final = ""
# A large message counts for several: each of these many bytes counts for one more.
BYTES_OF_ONE: Final = 4_096


def weight_of(size: int) -> int:
    """Return how many small messages a body of this many bytes counts for."""
    return 1 + size // BYTES_OF_ONE


class KnownTenants:
    """The accounts that exist, as far as this process knows; at most `limit`, the latest ones."""

    def __init__(self, limit: int = 100_000) -> None:
        self._accounts: dict[str, None] = {}
        self._limit = limit

    def add(self, account: str) -> None:
        self._accounts[account] = None
        evict_oldest(self._accounts, self._limit)

    def __contains__(self, account: str) -> bool:
        return account in self._accounts

    def share_of(self, account: str) -> str:
        return account if account in self._accounts else UNKNOWN_TENANT


class Admission:
    """Counts the messages in progress by share, in weights; their sum is at most `capacity`.

    A share may hold as much as is still free, which is the dynamic threshold of network switches. One flood gets half
    of the capacity, two get a third each, and an account with little in progress is always admitted.
    """

    def __init__(self, capacity: int, tenants: KnownTenants) -> None:
        self._capacity = capacity
        self._tenants = tenants
        self._in_progress: dict[str, int] = {}
        self.total = 0

    def admits(self, account: str, weight: int) -> bool:
        return self._in_progress.get(self._tenants.share_of(account), 0) + weight <= self._capacity - self.total

    def enter(self, account: str, weight: int) -> str | None:
        """Count the message; return its share, which `leave` needs, or None when it is refused."""
        share = self._tenants.share_of(account)
        weights = self._in_progress.get(share, 0) + weight
        if weights > self._capacity - self.total:
            return None
        self._in_progress[share] = weights
        self.total += weight
        return share

    def leave(self, share: str, weight: int) -> None:
        self.total -= weight
        weights = self._in_progress[share] - weight
        if weights:
            self._in_progress[share] = weights
        else:
            del self._in_progress[share]


class Throughput:
    """Moving average of the weight served in a second.

    Args:
        per_second: the first estimate.
        newest: the part of the newest measurement in the average.
        shortest_ms: the shortest wait that callers are advised.
        longest_ms: the longest one.
    """

    def __init__(self, per_second: float, newest: float = 0.2, shortest_ms: int = 50, longest_ms: int = 10_000) -> None:
        self._per_second = per_second
        self._newest = newest
        self._shortest_ms = shortest_ms
        self._longest_ms = longest_ms

    def observe(self, weight: int, seconds: float) -> None:
        """Take a measurement into the average: this weight was served in so many seconds."""
        self._per_second += self._newest * (weight / max(seconds, 1e-4) - self._per_second)

    def retry_after_ms(self, waiting: int) -> int:
        """Return when everything that waits now will have been served."""
        wait, longest, shortest = int(1_000 * waiting / self._per_second), self._longest_ms, self._shortest_ms
        # Each refusal calls this, and `max` and `min` take twice as long.
        return longest if wait > longest else wait if wait > shortest else shortest  # noqa: FURB136
