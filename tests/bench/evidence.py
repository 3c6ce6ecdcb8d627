"""Verification of a large log beside only reading its rows, and the price of making tiles.

`python -m tests.bench.evidence --events 100000`. Both figures of a ratio are measured in the same run, in turns.
"""

import argparse
import gc
import json
import logging
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import structlog

from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.growth import GrowingTree
from services.audit.evidence.keys import KeyFolder, sign, verifier_keys
from services.ops.evidence.tree_process import check_trees
from services.ops.evidence.verify import LogToVerify, verify_log
from shared.process.row_scan import row_scan
from shared.process.tree_files import TREES
from shared.transparency.checkpoints import Checkpoint, log_origin
from shared.transparency.leaves import event_leaves, journal_leaves
from tests.audit.evidence.making import NAME, Evidence
from tests.bench.past import fill, say
from tests.bench.stage import Figures, Stage, new_stage

# As the signer takes them.
BATCH = 2_048


class NotSoundError(Exception):
    """The verification found something in a log that nobody changed."""


def read(url: str) -> tuple[int, float]:
    """Read every row of both tables, one after the other, and do nothing with it; return rows and seconds."""
    began, rows = time.perf_counter(), 0
    with row_scan(url) as scan:
        for some in scan.events():
            rows += len(some)
        for others in scan.journal():
            rows += len(others)
    return rows, time.perf_counter() - began


def verified(url: str, evidence: Evidence, starts: tuple[str, ...] = ()) -> tuple[int, float]:
    """Verify the log; return rows and seconds."""
    began = time.perf_counter()
    log = LogToVerify(url, str(evidence.folder), starts=starts)
    reports = verify_log(log, lambda *_: None, check_trees)
    if any(one.findings for one in reports):
        raise NotSoundError(str(reports)[:2_000])
    return sum(one.outcome.rows for one in reports), time.perf_counter() - began


def make_evidence(url: str, evidence: Evidence) -> Figures:
    """Make both trees and sign them; return the price of a tile's event without the reading."""
    pairs, made = KeyFolder(evidence.keys, evidence.folder / "verifier-keys").pairs_or_first(), Figures()
    with row_scan(url) as scan:
        for tree in TREES:
            folder = TreeFolder(evidence.folder, tree)
            growing, processor, seconds = GrowingTree(folder), 0.0, 0.0
            write: Callable[[Any], list[bytes]] = event_leaves if tree == "events" else journal_leaves
            for rows in scan.events() if tree == "events" else scan.journal():
                for start in range(0, len(rows), BATCH):
                    at, at_processor = time.perf_counter(), time.process_time()
                    growing.append(write(rows[start : start + BATCH]))
                    seconds += time.perf_counter() - at
                    processor += time.process_time() - at_processor
            growing.write_edge()
            head = Checkpoint(log_origin(NAME, str(scan.log_id()), tree), growing.size, growing.root())
            folder.write_verifier_keys(head.origin, verifier_keys(head.origin, pairs))
            folder.write_checkpoint(sign(head, pairs, 1_000_000))
            made[f"{tree}_us_each"] = processor / growing.size * 1e6
            made[f"{tree}_us_each_with_disk"] = seconds / growing.size * 1e6
    return made


def evidence_figures(stage: Stage, events: int, accounts: int = 100, rounds: int = 3) -> dict[str, Any]:
    """All figures of this module, on a log of its own with so many events."""
    database = stage.postgres.new_database()
    say("filling")
    found: dict[str, Any] = {"filled": fill(database, events, accounts)}
    say("signing")
    evidence = Evidence(stage.folder)
    found["tiles"] = make_evidence(database, evidence)
    starts = tuple(str(evidence.folder / tree / "checkpoint") for tree in ("events", "journal"))
    ratios = []
    for number in range(rounds):
        say(f"verifying, {number + 1} of {rounds}")
        rows, read_seconds = read(database)
        _, verify_seconds = verified(database, evidence)
        ratios.append(read_seconds / verify_seconds)
        found[f"round {number + 1}"] = {
            "rows": rows,
            "read_per_second": rows / read_seconds,
            "verify_per_second": rows / verify_seconds,
            "ratio": ratios[-1],
        }
    found["ratio"] = statistics.median(ratios)
    found["incremental_seconds"] = verified(database, evidence, starts)[1]
    found["peak_mb_of_a_process"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1_024
    return found


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--events", type=int, default=100_000)
    parse.add_argument("--accounts", type=int, default=100)
    parse.add_argument("--rounds", type=int, default=3, help="each reads and verifies once")
    options = parse.parse_args()
    # As in the processes that verify.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with new_stage() as stage:
        print(json.dumps(evidence_figures(stage, options.events, options.accounts, options.rounds), indent=1))


if __name__ == "__main__":
    main()
