"""Who follows the log takes a share of a processor, never all of it: commands come first.

A batch costs a follower some milliseconds however few events it has. It rests after each for as long as that one took,
or several times as long; where processors are short, and all takes longer, it comes more seldom, with larger batches
that cost less for each event. A backlog is worked off without a rest.
"""

from typing import Final

LONGEST_SECONDS: Final = 0.1


def rest(worked: float, times: float, shortest: float) -> float:
    """How many seconds to rest after a batch that took so many: that many times as long, and never very long."""
    return min(max(times * worked, shortest), LONGEST_SECONDS)
