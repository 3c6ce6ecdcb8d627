"""The ledger of a run of the fault suite: what was done, found and asked for, as figures and as a page to read."""

import json
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.faults.campaign import Fought
from tests.faults.nemeses import Struck


class Goal(NamedTuple):
    """Of the long tier: so many at least of what `done` counts."""

    done: str
    title: str
    least: int


GOALS: Final = (
    Goal("kill -9", "processes killed with -9", 500),
    Goal("races", "races on one address", 10_000),
    Goal("replies cut", "replies to COMMIT cut", 500),
    Goal("wipes", "wipes of the bus under load", 3),
    Goal("PostgreSQL restarts", "restarts of PostgreSQL", 30),
)
RECOVERY_P99_SECONDS: Final = 5.0


def done(fights: Iterable[Fought]) -> Counter[str]:
    """What was done in all, faults and commands."""
    everything: Counter[str] = Counter()
    for fought in fights:
        everything.update(fought.faults)
        everything.update(fought.counts)
    return everything


def differences(fights: Iterable[Fought]) -> Counter[str]:
    """Members of each set of the verdicts: each should be empty."""
    found: Counter[str] = Counter()
    for fought in fights:
        found.update(fought.differences)
    return found


class Recovery(NamedTuple):
    """Seconds from the end of a fault's cause until commands were answered, all was ready and the stream kept up."""

    strikes: int
    p50: float
    p99: float
    longest: float


def recovery(struck: Sequence[Struck]) -> Recovery:
    """Of the latest of these."""
    seconds = sorted(max(one.answered_seconds, one.ready_seconds, one.told_seconds) for one in struck)
    if not seconds:
        return Recovery(0, 0.0, 0.0, 0.0)
    return Recovery(len(seconds), statistics.median(seconds), seconds[round(0.99 * (len(seconds) - 1))], seconds[-1])


def failures(fights: Sequence[Fought], *, goals: bool) -> list[str]:
    """Why the run has not passed; with `goals`, what it fell short of too."""
    told = [f"{fought.campaign}: {why}" for fought in fights for why in fought.missed]
    told += [f"{name}: {count}" for name, count in differences(fights).items() if count]
    if goals:
        counted = done(fights)
        told += [
            f"{goal.title}: {counted[goal.done]} of {goal.least}" for goal in GOALS if counted[goal.done] < goal.least
        ]
        p99 = recovery([one for fought in fights for one in fought.struck]).p99
        told += [f"recovery p99: {p99:.1f} s"] if p99 > RECOVERY_P99_SECONDS else []
    return told


def write(fights: Sequence[Fought], about: Mapping[str, Any], folder: Path) -> None:
    """`ledger.json` with every strike and `LEDGER.md` to read."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {**about, "campaigns": [asdict(fought) for fought in fights]}
    (folder / "ledger.json").write_text(json.dumps(told, indent=1) + "\n")
    (folder / "LEDGER.md").write_text(page(fights, about))


def page(fights: Sequence[Fought], about: Mapping[str, Any]) -> str:
    """The ledger as Markdown."""
    counted, struck = done(fights), [one for fought in fights for one in fought.struck]
    whole = recovery(struck)
    machine = about["machine"]
    made = (
        f"Made by `{about['command']}` on {about['day']}, in {about['minutes']:.0f} minutes, on"
        f" {machine['cores']} cores; Python {machine['python']}, PostgreSQL {machine['postgresql']},"
        f" NATS {machine['nats_server'].lstrip('v')}."
        f" Any campaign runs again by its seed: `make faults ARGS='--long --seed {about['seed']} --only NAME'`."
    )
    recovered = (
        f"{whole.strikes} strikes. From when the cause of a fault was over until commands were answered, every part was"
        f" ready and the stream kept up again, for good: {whole.p50:.2f} s at the median, {whole.p99:.2f} s at the 99th"
        f" percentile (asked for: ≤ {RECOVERY_P99_SECONDS:g} s), {whole.longest:.2f} s at the longest."
    )
    goals = [(goal.title, f"≥ {goal.least:,}", f"{counted[goal.done]:,}") for goal in GOALS]
    found = [(name, "0", f"{count:,}") for name, count in sorted(differences(fights).items())]
    nemeses = [
        (name, f"{of.strikes}", f"{of.p50:.2f}", f"{of.longest:.2f}")
        for name, of in ((name, recovery(strikes)) for name, strikes in _by_nemesis(struck).items())
    ]
    campaigns = ("campaign", "setting", "minutes", "strikes", "commands", "accepted", "unknown", "races", "result")
    parts = [
        ["# The fault suite's ledger"],
        [made],
        _table(("done", "asked for", "done in all"), goals),
        _table(("found", "asked for", "members"), found),
        [recovered],
        _table(campaigns, map(_campaign, fights)),
        _table(("nemesis", "strikes", "recovery p50, s", "longest, s"), nemeses),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _campaign(fought: Fought) -> tuple[str, ...]:
    counts = (f"{fought.counts.get(name, 0):,}" for name in ("commands", "accepted", "unknown", "races"))
    result = "passed" if fought.passed else "**failed**"
    return (fought.campaign, fought.setting, f"{fought.seconds / 60:.1f}", f"{len(fought.struck)}", *counts, result)


def _by_nemesis(struck: Iterable[Struck]) -> Mapping[str, list[Struck]]:
    found: dict[str, list[Struck]] = {}
    for one in struck:
        found.setdefault(one.nemesis, []).append(one)
    return dict(sorted(found.items()))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]
