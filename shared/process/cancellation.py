"""A loop that was cancelled ends, also when a library lost the cancellation."""

import asyncio


def cancellation_requested() -> bool:
    """Whether the current task was cancelled; every loop that runs until its cancellation asks in each turn.

    Up to Python 3.11 `asyncio.wait_for` loses a cancellation that arrives together with the result it waits for, and
    nats-py and psycopg wait with it. A `while True` would then run for ever and keep its process from stopping.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
