"""How long the event loop was busy with one thing among many that take turns on it.

In time of the processor: what another process takes of it in between is nobody's doing here.
"""

import time
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CpuTimed(Awaitable[T], Generic[T]):
    """Awaits as it is; `seconds` of its own steps add up, those of others in between do not."""

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._awaitable = awaitable
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, None, T]:
        steps = self._awaitable.__await__()
        thrown: BaseException | None = None
        while True:
            began = time.thread_time()
            try:
                # What `await` yields are futures, and what comes back is None or an error.
                step = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self.seconds += time.thread_time() - began
            try:
                thrown = None
                yield step
            except BaseException as error:  # noqa: BLE001  it is for what is awaited
                thrown = error
