"""The limits of the writer: the size of queue and groups, and its times."""

from typing import Final, NamedTuple


class WriterLimits(NamedTuple):
    """Sizes are in weights: one for a command, and one more for every 4 KiB of its body.

    `group_of_one` bounds one account while there are others. `patience_seconds`: a command waits so long for a store
    that does not answer, and is refused with BUSY then. `give_way_seconds` is the pause of the thread after each group
    while commands are refused: a flood that is not read as it comes fills the server's buffer, and the server cuts the
    connection. `throughput` is assumed before the first group is measured.
    """

    waiting: int = 8_192
    group: int = 512
    group_of_one: int = 64
    patience_seconds: float = 2.5
    probe_seconds: float = 1.0
    first_pause_seconds: float = 0.05
    longest_pause_seconds: float = 1.0
    give_way_seconds: float = 0.01
    retry_when_unavailable_ms: int = 500
    throughput: float = 1_000.0


LIMITS: Final = WriterLimits()
