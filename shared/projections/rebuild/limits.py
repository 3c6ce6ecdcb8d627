"""How large the steps of a rebuild are, and how long they wait."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class RebuildLimits:
    """
    Args:
        batch: events in a commit of the replay.
        cached_documents: the most documents in memory, about 1 kB each.
        max_remaining: the most events that a cutover or a comparison applies while others wait for the live rows.
        lock_timeout_ms: how long a cutover waits for readers and writers of the live rows at a time.
        pause_seconds: the time between two attempts of a cutover.
        max_wait_seconds: how long a cutover tries.
        catch_up_seconds: how long a comparison waits until the live rows reach the position of the staged ones.
        in_use_timeout_ms: how long to wait for other work on the schemas; a session ends a moment after its process.
    """

    batch: int = 5_000
    cached_documents: int = 100_000
    max_remaining: int = 500
    lock_timeout_ms: int = 40
    pause_seconds: float = 0.1
    max_wait_seconds: float = 60.0
    catch_up_seconds: float = 10.0
    in_use_timeout_ms: int = 3_000


LIMITS: Final = RebuildLimits()
