"""A batch holds what its steps depend on, and every step is asked once, after those."""

import random

import pytest

from services.ops.loading.batches import batches_of
from services.ops.loading.plan import Step

ACTOR = "service:directory"
LARGEST = 1 << 20


def step(*needs: int, command: str = "AddAlias", fields: dict[str, str] | None = None) -> Step:
    return Step("users.csv", 2, "bob", command, fields or {}, frozenset(needs))


def own_numbers(
    steps: list[Step], most: int, left: set[int] | None = None, largest: int = LARGEST
) -> list[tuple[int, ...]]:
    return [tuple(sorted(one.own)) for one in batches_of(steps, left or set(), most, largest, ACTOR)]


def test_steps_that_fit_are_one_batch() -> None:
    assert own_numbers([step(), step(0), step(1)], 3) == [(0, 1, 2)]


def test_a_later_batch_repeats_what_its_steps_depend_on() -> None:
    first, second = batches_of([step(), step(0), step(1)], set(), 2, LARGEST, ACTOR)
    assert (first.own, first.context) == ({0, 1}, set())
    # Three would be too many: the last step has no room with all that it depends on.
    assert (second.own, second.context) == (set(), set())
    first, second = batches_of([step(), step(), step(0)], set(), 2, LARGEST, ACTOR)
    assert (second.own, second.context, second.numbers) == ({2}, {0}, [0, 2])


def test_inboxes_count_towards_the_limit_of_the_plan_in_every_batch() -> None:
    steps = [step(command="CreateInbox"), step(), step(command="CreateInbox")]
    *_, last = batches_of(steps, set(), 2, LARGEST, ACTOR)
    assert (last.own, last.context) == ({2}, {0})


def test_steps_that_are_left_are_neither_asked_nor_repeated() -> None:
    batches = list(batches_of([step(), step(0), step(1)], {1}, 2, LARGEST, ACTOR))
    assert [one.numbers for one in batches] == [[0, 2]]


def test_a_batch_is_no_larger_than_allowed() -> None:
    steps = [step(fields={"address": "x" * 100}) for _ in range(10)]
    assert [len(one) for one in own_numbers(steps, 100, largest=400)] == [2, 2, 2, 2, 2]


@pytest.mark.parametrize("seed", range(20))
def test_every_step_is_asked_once_with_all_that_it_depends_on(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  nothing secret
    steps = [step(*chance.sample(range(number), min(number, chance.randint(0, 2)))) for number in range(60)]
    batches = list(batches_of(steps, set(), 70, LARGEST, ACTOR))
    batches += list(batches_of(steps, set(), 60, LARGEST, ACTOR))
    assert sorted(one for batch in batches for one in batch.own) == sorted([*range(60), *range(60)])
    small = list(batches_of(steps, set(), 12, LARGEST, ACTOR))
    numbers = [one for batch in small for one in batch.own]
    assert len(numbers) == len(set(numbers))
    for batch in small:
        assert len(batch.numbers) <= 12
        for number in batch.numbers:
            assert steps[number].needs <= set(batch.numbers)
