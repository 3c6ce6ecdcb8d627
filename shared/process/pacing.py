"""Pauses that leave a part of the processor to commands, which come before the followers of the log.

A batch costs a follower some milliseconds however few events it has. It pauses after each batch for as long as that
one took, or several times as long. On a busy machine batches take longer, so they become fewer and larger, and cost
less for each event. A backlog is worked off without pauses.
"""


def pause_after(seconds: float, times: float, shortest: float, longest: float = 0.1) -> float:
    """Return the pause after a batch that took so many seconds: that many times as long, within the limits."""
    return min(max(times * seconds, shortest), longest)
