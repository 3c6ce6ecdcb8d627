"""A rated attack that makes the others wait is named; so is one whose attacker did not attack."""

import json
from collections import Counter
from pathlib import Path

from tests.faults.hostile import RATED, UNRATED, least_sent
from tests.faults.hostile_figures import Row, failures, page, together, write

ABOUT = {
    "command": "python -m tests.faults.hostile",
    "day": "2026-11-25",
    "minutes": 6.0,
    "machine": {"cores": 2, "python": "3.13.1", "postgresql": "18.4", "nats_server": "v2.15.1"},
}


def row(attack: str, p99: float = 0.01, *, judged: bool = True, sent: int = 100, **outcomes: int) -> Row:
    """98 waits of a millisecond, and two of `p99` seconds, for commands and questions alike."""
    waits = [0.001] * 98 + [p99] * 2
    told = {"sent": sent}
    return Row(attack, waits, waits, Counter({"as wished": 200} | outcomes), told, least=50, judged=judged)


USUAL = together([row("usual"), row("usual")])


def test_all_is_well_within_twice_the_usual() -> None:
    assert failures([row("lists 30/s", 0.02), row("bodies 20/s", 0.005)], USUAL) == []


def test_a_rated_attack_beyond_twice_the_usual_is_named() -> None:
    found = failures([row("bodies 20/s", 0.01), row("lists 30/s", 0.021)], USUAL)
    assert [why.split(":")[0] for why in found] == ["lists 30/s", "lists 30/s"]
    assert "the p99 of questions is 2.1 times the usual (21.0 ms, usually 10.0)" in found[1]


def test_an_unlimited_attack_is_not_judged() -> None:
    assert failures([row("lists unlimited", 5.0, judged=False, BUSY=3)], USUAL) == []


def test_an_attacker_that_hardly_sent_anything_is_named_rated_or_not() -> None:
    for judged in (True, False):
        (why,) = failures([row("lists", sent=49, judged=judged)], USUAL)
        assert why == "lists: its attacker sent 49, at least 50 were to be"


def test_what_is_not_answered_as_wished_is_named() -> None:
    (why,) = failures([row("lists 30/s", BUSY=2)], USUAL)
    assert why == "lists 30/s: not all answered as wished: {'BUSY': 2}"


def test_who_was_never_answered_waited_for_ever() -> None:
    silent = row("waits 1000/s")._replace(questions=[])
    assert any("questions is inf times" in why for why in failures([silent], USUAL))
    assert "inf" in page([silent], USUAL, ABOUT)


def test_an_attacker_has_to_send_half_of_its_rate() -> None:
    assert least_sent("commands", 10.0) == RATED * 10 / 2
    assert least_sent("lists", 10.0) == 150
    assert least_sent("half_open", 1.0) == UNRATED["half_open"]


def test_the_figures_are_kept_as_a_page_and_as_data(tmp_path: Path) -> None:
    write([row("lists 30/s", 0.03), row("lists unlimited", 5.0, judged=False)], USUAL, ABOUT, tmp_path)
    kept = json.loads((tmp_path / "hostile.json").read_text())
    assert [one["beside"] for one in kept["rows"]] == ["usual", "lists 30/s", "lists unlimited"]
    assert kept["rows"][1]["questions"] == {"measured": 100, "p50_ms": 1.0, "p99_ms": 30.0, "times_usual": 3.0}
    assert len(kept["failures"]) == 2
    read = (tmp_path / "HOSTILE.md").read_text()
    assert "| lists 30/s | 1.0 | 30.0 | 3.0 |" in read
    assert "Failed:" in read
