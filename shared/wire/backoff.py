"""Pauses between attempts that never end: they double up to a limit, and begin short again after a success."""


class Backoff:
    """The pauses of one caller: `first` seconds, then twice as long each time, at most `longest` seconds.

    The caller does the waiting itself, since many waits end early: by a stop, by a turn, by a deadline.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._pause = first

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        pause = self._pause
        self._pause = min(2 * pause, self._longest)
        return pause

    def reset(self) -> None:
        """Begin with the shortest pause again; call it after a success."""
        self._pause = self._first
