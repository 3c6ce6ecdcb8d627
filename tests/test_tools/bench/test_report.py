"""What is told of a run follows from its figures."""

from xml.etree import ElementTree

import pytest

from tests.bench import chart, report
from tests.bench.__main__ import medians, rounded
from tests.bench.meter import ENDED, Reading, Spent, between, microseconds
from tests.bench.open_loop import middle

SVG = "{http://www.w3.org/2000/svg}"
MACHINE = {"cores": 2, "python": "3.11.7", "postgresql": "18.4", "nats_server": "v2.15.1"}
ROWS = {
    "rival 256 rival's load": {"per_second": 400.0, "p50_ms": 600.0, "p99_ms": 700.0, "client_cpu_us": 80.0},
    "switchboard 256 rival's load": {"per_second": 8_000.0, "p50_ms": 30.0, "p99_ms": 60.0, "client_cpu_us": 50.0},
    "switchboard 1024": {"per_second": 9_000.0, "p50_ms": 100.0, "p99_ms": 160.0, "client_cpu_us": 6.0},
    "echo 1024": {"per_second": 12_000.0, "p50_ms": 80.0, "p99_ms": 90.0, "client_cpu_us": 6.0},
    "postgres": {"per_second": 90_000.0},
}


def run(rate: float, p99: float) -> dict[str, object]:
    percentiles = [(0.0, 1.0), (50.0, 2.0), (90.0, 4.0), (99.0, p99), (100.0, 2 * p99)]
    return {"rate": rate, "commands": 1_000, "p99_ms": p99, "percentiles": percentiles}


def test_switchboard_is_compared_with_each_row_under_the_same_load() -> None:
    ratios = report.ratios(ROWS)
    assert ratios["rival 256 rival's load"] == {"times_rival": 1.0, "switchboard_share": 20.0}
    assert ratios["echo 1024"] == {"times_rival": 30.0, "switchboard_share": 0.75}
    assert ratios["postgres"]["switchboard_share"] == pytest.approx(0.1)
    assert ratios["switchboard 1024"] == {"times_rival": 22.5}


def test_the_table_does_without_the_rival() -> None:
    rows = {name: figures for name, figures in ROWS.items() if "rival" not in name}
    told = report.table(rows, 3)
    assert "FastStream echo, no store, 1,024 in flight" in told
    assert "¹" not in told


def test_a_bar_is_as_long_as_its_figure() -> None:
    picture = ElementTree.fromstring(chart.throughput(ROWS, MACHINE))  # noqa: S314  our own
    lengths = [float(bar.attrib["width"]) for bar in picture.iter(f"{SVG}rect")]
    assert [round(length / lengths[-1], 2) for length in lengths] == [0.03, 0.67, 0.75, 1.0]


def test_a_curve_rises_and_ends_at_the_largest_time() -> None:
    picture = ElementTree.fromstring(chart.latency([run(500, 10.0), run(2_000, 45.0)], MACHINE))  # noqa: S314  our own
    curves = [curve.attrib["points"].split() for curve in picture.iter(f"{SVG}polyline")]
    assert len(curves) == 2
    for curve in curves:
        xs, ys = zip(*(map(float, point.split(",")) for point in curve), strict=True)
        assert list(xs) == sorted(xs)
        assert list(ys) == sorted(ys, reverse=True)


def test_of_several_rounds_the_middle_one_is_told_as_it_was() -> None:
    chosen = middle([run(500, 30.0), run(500, 10.0), run(500, 20.0)])
    assert chosen == {**run(500, 20.0), "p99_ms_of_rounds": [30.0, 10.0, 20.0]}


def test_a_figure_that_only_some_rounds_have_counts_in_those() -> None:
    assert medians([{"a": 1.0}, {"a": 3.0, "b": 5.0}, {"a": 2.0}]) == {"a": 2.0, "b": 5.0}


def test_figures_are_written_with_four_digits() -> None:
    assert rounded({"a": [1234.567, 0.00123456], "b": 7, "c": "x"}) == {"a": [1235.0, 0.001235], "b": 7, "c": "x"}


def test_processor_time_is_counted_by_role_from_one_reading_to_the_next() -> None:
    before = Reading({1: ("relay", Spent(1.0, 1.0)), 2: ("gone", Spent(9.0, 0.0)), 3: ("bench", Spent(0.0, 0.0))})
    after = Reading({1: ("relay", Spent(1.5, 1.1)), 4: ("relay", Spent(0.2, 0.0)), 3: ("bench", Spent(5.0, 0.0))})
    assert microseconds(between(before, after), 1_000) == {"relay": pytest.approx(800.0)}


def test_of_a_session_that_ended_only_what_was_not_read_before_counts() -> None:
    before = Reading({1: ("postgres: writer", Spent(4.0, 1.0))}, ended=Spent(10.0, 2.0))
    after = Reading({2: ("postgres: writer", Spent(0.5, 0.0))}, ended=Spent(14.1, 3.0))
    spent = microseconds(between(before, after), 1_000)
    assert spent == {"postgres: writer": pytest.approx(500.0), ENDED: pytest.approx(100.0)}
