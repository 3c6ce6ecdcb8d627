"""Attacks of the owner of the database on one log, each on a copy: `python -m tests.faults.owner`, a minute or two.

Each attack must be named by exactly the findings that it has, and an untouched copy must have none. Some are found only
with what an auditor has kept elsewhere: a checkpoint, or the verifier keys. Without it they must look sound, or the
table would promise less than there is.
"""

import argparse
import asyncio
import logging
import random
import shutil
import sys
import textwrap
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import psycopg
import structlog

from services.ops.evidence.tree_process import OnStep, TreeJob, TreeOutcome, check_rows
from services.ops.evidence.verify import LogToVerify, TreeReport, verify_log
from shared.process.postgres import Direct
from shared.process.row_scan import RowScan
from shared.process.tree_files import TREES, VERIFIER_KEYS
from shared.transparency.checkpoints import Checkpoint
from tests.faults.tampering import ATTACKS, UNPROTECTED, Attack, Copy, Found, Original
from tests.ops.evidence.signed_log import signed_log
from tests.real_servers import RunningPostgres, new_folder

COUNT: Final = 1_000
COMMANDS: Final = 400
# Rows of transactions that were rolled back stay until then.
VACUUM_AFTER: Final = 50
FEW: Final = 20
WIDTH: Final = 80

Verify = Callable[[Copy], set[Found]]


@dataclass
class Tried:
    """What became of the attacks, by what they are.

    `missed` are findings that an attack has and that were not there, `false` those that it does not have; each with
    the seed of the attack. `incremental` counts those that came after an early checkpoint, and were also looked for
    from there on.
    """

    tries: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    incremental: int = 0
    unseen: dict[str, str] = field(default_factory=dict)
    untouched: int = 0
    missed: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)

    def failures(self) -> list[str]:
        return [f"missed: {one}" for one in self.missed] + [f"found falsely: {one}" for one in self.false]

    def page(self) -> str:
        """A line for each kind of attack."""
        lines = [_line(self.found[what], self.tries[what], what, self.unseen.get(what)) for what in ATTACKS]
        named = f"{self.found.total()} of {self.tries.total()} attacks were named by exactly their findings"
        more = f"{self.incremental} of them from a checkpoint on too; untouched copies: {self.untouched};"
        wrong = f"findings missed: {len(self.missed)}, false ones: {len(self.false)}."
        return "\n".join([*lines, f"{named},", more, wrong])


def _line(found: int, tries: int, what: str, note: str | None) -> str:
    more = f" ({note})" if note else ""
    return textwrap.fill(f"{found:4} of {tries:4}  {what}{more}", WIDTH, subsequent_indent=" " * 14)


@asynccontextmanager
async def original(url: str) -> AsyncIterator[Original]:
    """A log with a past, whose checkpoints somebody has kept on the way and at the end."""
    async with signed_log(url) as log:
        early, early_heads = log.keep("early"), log.evidence.heads()
        backup = log.folder / "backup"
        shutil.copytree(log.evidence.folder, backup)
        log.past.live(16, COMMANDS)
        await log.sign()
        vkeys = shutil.copy(log.evidence.folder / VERIFIER_KEYS, log.folder / "kept-keys")
        late, heads = log.keep("late"), log.evidence.heads()
        yield Original(
            log.url, log.evidence.folder, backup, log.evidence.keys, early, late, heads, early_heads, str(vkeys)
        )  # fmt: skip


def attack_all(log: Original, count: int, seed: int, verify: Verify | None = None) -> Tried:
    """Try so many attacks, each kind as often as the others, and every kind's turn on an untouched copy too."""
    tried, chance = Tried(), random.Random(seed)  # noqa: S311  seeded
    with Direct.connect(log.url, autocommit=True) as connection:
        for number, what in enumerate(_turns(chance, count)):
            if number % len(ATTACKS) == 0:
                _try_untouched(log, connection, tried, verify or verified)
            if number % VACUUM_AFTER == VACUUM_AFTER - 1:
                connection.execute("VACUUM connections.events, connections.journal")
            name = f"{what}, {seed}/{number}"
            _try(log, connection, tried, what, name, ATTACKS[what], verify or verified)
    return tried


def _turns(chance: random.Random, count: int) -> Iterator[str]:
    left = count
    while left > 0:
        turn = list(ATTACKS)
        chance.shuffle(turn)
        yield from turn[:left]
        left -= len(turn)


def _try_untouched(log: Original, connection: psycopg.Connection[Any], tried: Tried, verify: Verify) -> None:
    with a_copy(log, connection, "untouched") as copy:
        tried.false += [f"an untouched copy: {one}" for one in sorted(verify(copy), key=str)]
        copy.checkpoints, copy.vkeys = [*log.early, *log.late], [log.vkeys]
        tried.false += [f"an untouched copy and what was kept: {one}" for one in sorted(verify(copy), key=str)]
        copy.starts = log.early
        tried.false += [f"an untouched copy from a checkpoint on: {one}" for one in sorted(verify(copy), key=str)]
    tried.untouched += 1


def _try(
    log: Original, connection: psycopg.Connection[Any], tried: Tried, what: str, name: str, attack: Attack,
    verify: Verify,
) -> None:  # fmt: skip
    with a_copy(log, connection, name) as copy:
        expected = set(attack(copy))
        looks = [(name, expected, verify(copy))]
        if _is_after(expected, log.early_heads):
            tried.incremental += 1
            copy.starts = log.early
            looks.append((f"{name}, from a checkpoint on", expected, verify(copy)))
            copy.starts = ()
        if copy.checkpoints or copy.vkeys:
            copy.checkpoints, copy.vkeys = (), ()
            looks.append((f"{name}, without a copy from elsewhere", set(), verify(copy)))
    false = [f"{look}: {one}" for look, should, found in looks for one in found - should]
    missed = [f"{look}: {one}" for look, should, found in looks for one in should - found]
    if copy.unseen is not None:
        tried.unseen[what] = copy.unseen
    tried.tries[what] += 1
    tried.found[what] += not false and not missed
    tried.missed += missed
    tried.false += false


def _is_after(findings: Iterable[Found], heads: Mapping[str, Checkpoint]) -> bool:
    """Whether an attack changed nothing before these checkpoints."""
    return all(min(one.first or 0, one.to or one.first or 0) > heads[one.tree].size for one in findings)


@contextmanager
def a_copy(log: Original, connection: psycopg.Connection[Any], name: str) -> Iterator[Copy]:
    """A copy of the log and its evidence; nothing of it stays."""
    with new_folder() as folder, connection.transaction(force_rollback=True):
        # The name alone says what an attack does.
        yield Copy(log, connection, random.Random(name), folder, log.evidence)  # noqa: S311  seeded


def verified(copy: Copy) -> set[Found]:
    """The findings of a verification of the copy, and rows that no checkpoint protects where nothing is found."""
    log = LogToVerify("", str(copy.evidence), tuple(copy.vkeys), tuple(copy.checkpoints), tuple(copy.starts))
    reports = verify_log(log, lambda *_: None, partial(_checked, copy.scan))
    return {one for report in reports for one in _said(report)}


def _said(report: TreeReport) -> list[Found]:
    tree, last = report.outcome.tree, report.outcome.last
    if not report.findings and report.protected < last:
        return [Found(tree, UNPROTECTED, report.protected + 1, last)]
    return [Found(tree, one.kind, one.first, one.last, one.to) for one in report.findings]


def _checked(scan: RowScan, jobs: Sequence[TreeJob], _: OnStep) -> list[TreeOutcome]:
    """Check what the transaction of the copy has."""
    return [check_rows(job, scan, lambda *_: None) for job in jobs]


async def attacked(count: int, seed: int) -> Tried:
    """All attacks on a log on a PostgreSQL of its own."""
    with new_folder() as folder:
        postgres = RunningPostgres(folder)
        try:
            async with original(postgres.new_database()) as log:
                rows = ", ".join(f"{log.heads[tree].size:,} rows of {tree}" for tree in TREES)
                print(f"\nattacks of the database's owner, seed {seed}: {count} on {rows}", flush=True)
                return await asyncio.to_thread(attack_all, log, count, seed)
        finally:
            postgres.stop()


def main() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    parse = argparse.ArgumentParser(
        prog="python -m tests.faults.owner", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--attacks", type=int, default=COUNT)
    parse.add_argument("--seed", type=int, default=1)
    given, began = parse.parse_args(), time.monotonic()
    tried = asyncio.run(attacked(given.attacks, given.seed))
    print(tried.page(), f"{time.monotonic() - began:.0f} seconds.", sep="\n")
    if failures := tried.failures():
        sys.exit("FAILED\n  " + "\n  ".join(failures[:FEW]))


if __name__ == "__main__":
    main()
