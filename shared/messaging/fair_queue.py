"""Who waits is served in turn, account by account: a crowd stands behind itself, not in front of the others."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Generic, Protocol, TypeVar

from shared.messaging.admission import STRANGERS, Acquaintances

# For so long after several accounts were there, one alone leaves room for the others to come back.
SEVERAL_SECONDS = 1.0
NOBODY: Final[Mapping[str, int]] = {}


class Waits(Protocol):
    """`weight` says how many small ones it counts for in a group."""

    account: str
    weight: int


T = TypeVar("T", bound=Waits)


class FairQueue(Generic[T]):
    """A line for each account, first come first served, and the lines in turn; strangers share one line.

    One thread may put while another takes.
    """

    def __init__(self, known: Acquaintances) -> None:
        self._known = known
        self._lock = threading.Lock()
        # Shared out when something is taken, so that putting needs no lock.
        self._came: deque[T] = deque()
        # In the order of turns; none is empty.
        self._lines: dict[str, deque[T]] = {}
        self._several_until = 0.0

    def __bool__(self) -> bool:
        return bool(self._came or self._lines)

    def put(self, item: T) -> None:
        self._came.append(item)

    def take(self, room: int, of_one: int, served: Mapping[str, int] = NOBODY, takers: int = 1) -> list[T]:
        """The next ones, until their weight fills the room; at least one if anybody's turn has come.

        While there are several lines, and for a moment afterwards, a line gives at most `of_one`: whoever comes next
        waits for a short group only. Where `takers` serve groups side by side, and a line is being `served` in so many
        of them, none has more than half of the takers, and lines are not put together while there are takers for each.
        """
        taken: list[T] = []
        with self._lock:
            self._line_up()
            if len(self._lines.keys() | served.keys()) > 1:
                self._several_until = time.monotonic() + SEVERAL_SECONDS
            several = self.several()
            rounds, at_once = (of_one, (takers + 1) // 2) if several else (room, takers)
            apart = several and len(self._lines) <= takers
            while room > 0 and rounds > 0:
                turns = [share for share in self._lines if served.get(share, 0) < at_once]
                if apart or len(turns) < 2:  # noqa: PLR2004
                    self._take_alone(taken, turns[:1], min(room, rounds))
                    break
                room = self._take_round(taken, turns, room)
                rounds -= 1
        return taken

    def several(self) -> bool:
        """Whether several accounts were there of late."""
        return time.monotonic() < self._several_until

    def give_back(self, items: Sequence[T]) -> None:
        """Those taken last go in front of everything, in their order."""
        with self._lock:
            front: dict[str, deque[T]] = {}
            for item in items:
                front.setdefault(self.share_of(item), deque()).append(item)
            for share, line in front.items():
                line.extend(self._lines.pop(share, ()))
            self._lines = front | self._lines

    def withdraw(self, late: Callable[[T], bool]) -> list[T]:
        """Takes out whoever is late, looking at those who came first."""
        found: list[T] = []
        with self._lock:
            self._line_up()
            for share, line in list(self._lines.items()):
                while line and late(line[0]):
                    found.append(line.popleft())
                if not line:
                    del self._lines[share]
        return found

    def meet(self, accounts: set[str]) -> None:
        """From now on these accounts have lines of their own, with what they have waiting in the strangers' line."""
        with self._lock:
            self._line_up()
            for account in accounts:
                self._known.meet(account)
            for item in self._lines.pop(STRANGERS, ()):
                self._line_of(item).append(item)

    def _line_up(self) -> None:
        came, lines = self._came, self._lines
        while came:
            item = came.popleft()
            line = lines.get(item.account)
            (self._line_of(item) if line is None else line).append(item)

    def _line_of(self, item: T) -> deque[T]:
        return self._lines.setdefault(self.share_of(item), deque())

    def share_of(self, item: T) -> str:
        # Its own line even if it was forgotten meanwhile: none may overtake those before it.
        return item.account if item.account in self._lines else self._known.share_of(item.account)

    def _take_alone(self, taken: list[T], turns: Sequence[str], room: int) -> None:
        for share in turns:
            line = self._lines[share]
            while line and room > 0:
                item = line.popleft()
                taken.append(item)
                room -= item.weight
            if not line:
                del self._lines[share]

    def _take_round(self, taken: list[T], turns: Sequence[str], room: int) -> int:
        for share in turns:
            if room <= 0:
                break
            line = self._lines.pop(share)
            item = line.popleft()
            taken.append(item)
            room -= item.weight
            if line:
                self._lines[share] = line
        return room
