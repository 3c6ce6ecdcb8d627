"""A fair queue: accounts take turns, so a flood waits behind itself and not in front of other accounts."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from shared.messaging.admission import UNKNOWN_TENANT, KnownTenants

NONE_SERVED: Final[Mapping[str, int]] = {}


class Queued(Protocol):
    """`weight` is how many small messages it counts for in a group."""

    account: str
    weight: int


T = TypeVar("T", bound=Queued)


class FairQueue(Generic[T]):
    """A line for each account, first come first served, and the lines in turn; unknown tenants share one line.

    One thread may put while another takes.

    Args:
        tenants: the accounts that have lines of their own.
        contended_seconds: how long after there were several lines one alone leaves capacity for others to return.
    """

    def __init__(self, tenants: KnownTenants, contended_seconds: float = 1.0) -> None:
        self._tenants = tenants
        self._contended_seconds = contended_seconds
        self._lock = threading.Lock()
        # Sorted into lines when something is taken, so that putting needs no lock.
        self._arrived: deque[T] = deque()
        # In the order of turns; none is empty.
        self._lines: dict[str, deque[T]] = {}
        self._contended_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._arrived or self._lines)

    def put(self, item: T) -> None:
        self._arrived.append(item)

    def take(self, capacity: int, of_one: int, served: Mapping[str, int] = NONE_SERVED, workers: int = 1) -> list[T]:
        """Take the next items, until their weight fills the capacity; at least one if a line has its turn.

        While there are several lines, and for a moment afterwards, a line gives at most `of_one` items: the next
        arrival then waits for a short group only. Several `workers` may serve groups side by side; `served` is in how
        many of those groups each line is. No line has more than half of the workers then, and lines are put together
        only when there are fewer workers than lines.
        """
        taken: list[T] = []
        with self._lock:
            self._line_up()
            if len(self._lines.keys() | served.keys()) > 1:
                self._contended_until = time.monotonic() + self._contended_seconds
            contended = self.contended()
            rounds, at_once = (of_one, (workers + 1) // 2) if contended else (capacity, workers)
            apart = contended and len(self._lines) <= workers
            while capacity > 0 and rounds > 0:
                turns = [share for share in self._lines if served.get(share, 0) < at_once]
                if apart or len(turns) < 2:  # noqa: PLR2004
                    self._take_alone(taken, turns[:1], min(capacity, rounds))
                    break
                capacity = self._take_round(taken, turns, capacity)
                rounds -= 1
        return taken

    def contended(self) -> bool:
        """Return whether there were several lines within the last `contended_seconds`."""
        return time.monotonic() < self._contended_until

    def put_back(self, items: Sequence[T]) -> None:
        """Put the items that were taken last in front of all others, in their order."""
        with self._lock:
            front: dict[str, deque[T]] = {}
            for item in items:
                front.setdefault(self.share_of(item), deque()).append(item)
            for share, line in front.items():
                line.extend(self._lines.pop(share, ()))
            self._lines = front | self._lines

    def remove_expired(self, expired: Callable[[T], bool]) -> list[T]:
        """Remove the expired items at the head of each line, and return them."""
        removed: list[T] = []
        with self._lock:
            self._line_up()
            for share, line in list(self._lines.items()):
                while line and expired(line[0]):
                    removed.append(line.popleft())
                if not line:
                    del self._lines[share]
        return removed

    def add_tenants(self, accounts: set[str]) -> None:
        """Give these accounts lines of their own, with their items from the line of unknown tenants."""
        with self._lock:
            self._line_up()
            for account in accounts:
                self._tenants.add(account)
            for item in self._lines.pop(UNKNOWN_TENANT, ()):
                self._line_of(item).append(item)

    def _line_up(self) -> None:
        arrived, lines = self._arrived, self._lines
        while arrived:
            item = arrived.popleft()
            line = lines.get(item.account)
            (self._line_of(item) if line is None else line).append(item)

    def _line_of(self, item: T) -> deque[T]:
        return self._lines.setdefault(self.share_of(item), deque())

    def share_of(self, item: T) -> str:
        # A line stays while it has items, though its account was forgotten: none may overtake those before it.
        return item.account if item.account in self._lines else self._tenants.share_of(item.account)

    def _take_alone(self, taken: list[T], turns: Sequence[str], capacity: int) -> None:
        for share in turns:
            line = self._lines[share]
            while line and capacity > 0:
                item = line.popleft()
                taken.append(item)
                capacity -= item.weight
            if not line:
                del self._lines[share]

    def _take_round(self, taken: list[T], turns: Sequence[str], capacity: int) -> int:
        for share in turns:
            if capacity <= 0:
                break
            line = self._lines.pop(share)
            item = line.popleft()
            taken.append(item)
            capacity -= item.weight
            if line:
                self._lines[share] = line
        return capacity
