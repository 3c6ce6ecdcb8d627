"""The steps of a plan in batches for the write side, which decides each batch on its own.

A step sees only earlier steps of its own batch. A batch therefore begins with the earlier steps that its steps depend
on; these were decided before, and their replies are not used again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from services.ops.loading.plan import Step


@dataclass
class Batch:
    """Numbers of steps. The replies to `own` count; `context` comes before them, or among them by its number."""

    own: set[int] = field(default_factory=set)
    context: set[int] = field(default_factory=set)
    size: int = 0

    @property
    def numbers(self) -> list[int]:
        return sorted(self.own | self.context)

    def __len__(self) -> int:
        return len(self.own) + len(self.context)

    def missing(self, numbers: set[int]) -> set[int]:
        return numbers - self.own - self.context


def batches_of(steps: Sequence[Step], left: set[int], most: int, largest: int, actor: str) -> Iterator[Batch]:
    """Batches of at most `most` steps and `largest` bytes, without the steps in `left`.

    A step whose dependencies alone exceed a batch is in none.
    """
    dependencies: dict[int, set[int]] = {}
    inboxes: set[int] = set()
    batch = Batch()
    sizes = [len(orjson.dumps(body_of(step, actor))) + 1 for step in steps]
    for number, step in enumerate(steps):
        if number in left:
            continue
        needed = {one for before in step.needs for one in (before, *dependencies.get(before, ()))} - left
        dependencies[number] = needed
        if step.command == "CreateInbox":
            # The plan of the account limits their number.
            needed = needed | inboxes
            inboxes |= {number, *needed}
        more = batch.missing({number, *needed})
        if len(batch) + len(more) > most or batch.size + sum(sizes[one] for one in more) > largest:
            yield batch
            batch, more = Batch(), {number, *needed}
            if len(more) > most or sum(sizes[one] for one in more) > largest:
                continue
        batch.own.add(number)
        batch.context |= more - {number}
        batch.size += sum(sizes[one] for one in more)
    yield batch


def body_of(step: Step, actor: str) -> dict[str, Any]:
    """The step as a command of `DryRunBatch`."""
    return {"command": step.command, "body": {"actor": actor, **step.fields}}
