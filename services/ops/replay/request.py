"""A request to start a replay."""

from dataclasses import dataclass

from services.ops.replay.speed import Speed


@dataclass(frozen=True)
class StartRequest:
    """The command line; `from_` and `to` are moments of the log, None for its ends."""

    name: str
    from_: int | str | None
    to: int | str | None
    account: str | None
    types: tuple[str, ...]
    speed: Speed
    reason: str | None
    forced: bool
    started_by: str
