"""Measure the processor time that one awaitable takes on the event loop, among many.

Time that another process takes of the processor in between does not count.
"""

import time
from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class CpuTimed(Awaitable[T], Generic[T]):
    """Awaits the awaitable; `seconds` adds up its own steps, without those of other tasks in between."""

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._awaitable = awaitable
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, None, T]:
        steps = self._awaitable.__await__()
        thrown: BaseException | None = None
        while True:
            began = time.thread_time()
            try:
                # `await` yields futures, and gets None or an error back.
                step = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                self.seconds += time.thread_time() - began
            try:
                thrown = None
                yield step
            except BaseException as error:  # noqa: BLE001  the awaitable handles it
                thrown = error
