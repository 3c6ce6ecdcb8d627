"""The quick tier of `make faults`: every nemesis once on the way to the servers."""

from pathlib import Path

from tests.faults.plan import QUICK
from tests.test_tools.faults.quick_tier import nothing_is_lost


async def test_nothing_is_lost_doubled_or_seen_otherwise(tmp_path: Path) -> None:
    await nothing_is_lost(QUICK[1], tmp_path)
