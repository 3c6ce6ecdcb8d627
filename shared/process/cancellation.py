"""A loop that was asked to end ends, also when a library swallowed the asking."""

import asyncio


def asked_to_end() -> bool:
    """Whether the current task was cancelled; every loop that is to run until cancellation asks it in each turn.

    Up to Python 3.11 `asyncio.wait_for` loses a cancellation that arrives together with the result it waits for, and
    nats-py and psycopg wait with it: `while True` would then run for ever, and with it the process that stops.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
