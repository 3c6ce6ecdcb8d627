"""The fault suite: `make faults`, some minutes, or `make faults ARGS=--long`, about an hour.

Attacks of the database's owner come first, each on a copy of one log. Then clients in processes of their own work on a
Switchboard and have on record what they asked and heard, nemeses strike it, and a checker compares what was
acknowledged, stored, told and seen as sets. A run is replayed by its seed.
"""

import argparse
import asyncio
import logging
import signal
import sys
import tempfile
import time
from pathlib import Path

import structlog

from tests.faults import ledger
from tests.faults.campaign import Fought, fight
from tests.faults.owner import COUNT, attacked
from tests.faults.plan import LONG, QUICK
from tests.faults.scene import circumstances

RESULTS = Path(__file__).parent / "results"


def options() -> argparse.Namespace:
    parse = argparse.ArgumentParser(
        prog="python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parse.add_argument("--long", action="store_true", help="the long tier; writes the ledger")
    parse.add_argument("--seed", type=int, default=1)
    parse.add_argument("--only", nargs="+", metavar="CAMPAIGN", help="some campaigns instead of all")
    parse.add_argument("--attacks", type=int, default=COUNT, help="of the database's owner; without --only")
    parse.add_argument("--results", type=Path, help="folder for the ledger; only the whole long tier has one by itself")
    given = parse.parse_args()
    given.plan = LONG if given.long else QUICK
    names = [campaign.name for campaign in given.plan]
    if unknown := set(given.only or ()) - set(names):
        parse.error(f"no such campaign: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    given.results = given.results or (RESULTS if given.long and not given.only else None)
    return given


def fights(given: argparse.Namespace, folder: Path) -> list[Fought]:
    fought = []
    for campaign in given.plan:
        if given.only and campaign.name not in given.only:
            continue
        print(f"\n{campaign.name}, seed {given.seed}", flush=True)
        histories = folder / campaign.name.replace(" ", "-")
        histories.mkdir()
        fought.append(asyncio.run(fight(campaign, given.seed, histories)))
    return fought


def attack(given: argparse.Namespace) -> list[str]:
    """Why the attacks of the database's owner have not passed."""
    tried = asyncio.run(attacked(given.attacks, given.seed))
    print(tried.page(), flush=True)
    return tried.failures()


def main() -> None:
    # So that nothing of it runs on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    given, began = options(), time.monotonic()
    about = circumstances(given.seed)
    folder = Path(tempfile.mkdtemp(prefix="switchboard-faults-"))
    print(f"The histories are kept in {folder}.", flush=True)
    failures = [] if given.only else attack(given)
    fought = fights(given, folder)
    about["minutes"] = (time.monotonic() - began) / 60
    about["command"] = "make faults" + (" ARGS=--long" if given.long else "")
    print("\n" + ledger.page(fought, about))
    if given.results:
        ledger.write(fought, about, given.results)
        print(f"The ledger is in {given.results}.")
    failures += ledger.failures(fought, goals=given.long and not given.only)
    if failures:
        sys.exit("FAILED\n  " + "\n  ".join(failures))


if __name__ == "__main__":
    main()
