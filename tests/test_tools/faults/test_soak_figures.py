"""A soak is judged by what grew and who was not answered; each is planted here in the figures of an even hour."""

from collections.abc import Callable

import pytest

from tests.faults.campaign import Fought
from tests.faults.soak import Sample, Soak
from tests.faults.soak_figures import compared, failures

STORMS = [(180.0 + 240 * number, 240.0 + 240 * number) for number in range(15)]
STORM = STORMS[0]
# Of the even hour, and with a sixth more in its last half.
TAKEN = {"relay": 60.0}
MORE = {"relay": 70.0}


def even() -> Soak:
    fought = Fought("soak", "on its own", 1, seconds=3_600.0, differences={"stored twice": 0})
    every_ten = [10.0 * number for number in range(360)]
    samples = [Sample(at, dict(TAKEN), dict(TAKEN), {"writer": 30}) for at in every_ten]
    return Soak(0, fought, 120.0, STORMS, samples, [(at, 0.002) for at in every_ten], [(at, 0.003) for at in every_ten])


def told(run: Soak) -> list[str]:
    return failures(run, compared(run))


def later(run: Soak) -> list[Sample]:
    return [sample for sample in run.samples if sample.at > 1_800]


def memory(run: Soak) -> None:
    for sample in later(run):
        sample.megabytes = dict(MORE)


def files(run: Soak) -> None:
    for sample in later(run):
        sample.open_files = dict(MORE)


def sessions(run: Soak) -> None:
    for sample in later(run):
        sample.sessions = {"writer": 35}


def latency(run: Soak) -> None:
    run.commands = [(at, 0.004 if at > 1_800 else took) for at, took in run.commands]


def silence(run: Soak) -> None:
    run.unanswered = [(2_000.0, 5.0)]


def difference(run: Soak) -> None:
    run.fought.differences["stored twice"] = 1


def miss(run: Soak) -> None:
    run.fought.missed.append("a nemesis: it did not fire")


@pytest.mark.parametrize(
    ("plant", "wrong"),
    [
        (memory, "grew: relay, MB"),
        (files, "grew: relay, open files"),
        (sessions, "grew: writer, sessions"),
        (latency, "latency, unless others used the machine: command p50, ms"),
        (silence, "questions that were not answered in calm minutes: 1"),
        (difference, "stored twice: 1"),
        (miss, "a nemesis: it did not fire"),
    ],
)
def test_it_fails_by_name_for(plant: Callable[[Soak], None], wrong: str) -> None:
    run = even()
    plant(run)
    assert any(one.startswith(wrong) for one in told(run)), told(run)


def test_an_even_hour_passes() -> None:
    assert told(even()) == []


def test_the_trace_of_one_storm_is_no_growth() -> None:
    run = even()
    for sample in run.samples:
        if STORMS[-2][1] < sample.at < STORMS[-1][0]:
            sample.megabytes = {"relay": 600.0}
    assert told(run) == []


def test_what_was_before_the_warm_up_was_over_is_not_compared() -> None:
    run = even()
    run.warm = 360.0
    for sample in run.samples:
        sample.megabytes = {"relay": 30.0 if sample.at < run.warm else 60.0}
    assert told(run) == []
    assert {(figure.first, figure.last) for figure in compared(run) if figure.unit == "MB"} == {(60.0, 60.0)}


def test_what_is_there_in_one_window_only_is_not_compared() -> None:
    run = even()
    for sample in later(run):
        sample.sessions["autovacuum"] = 1
    assert "autovacuum" not in {figure.name for figure in compared(run)}


def test_a_rise_of_less_than_one_is_no_growth() -> None:
    run = even()
    for sample in run.samples:
        sample.megabytes = {"relay": 1.9 if sample.at > 1_800 else 1.0}
    assert told(run) == []


def test_a_question_that_a_storm_held_up_may_have_no_answer() -> None:
    run = even()
    run.unanswered = [(STORM[0] - 1, 5.0), (STORM[0] + 1, 5.0)]
    assert told(run) == []
