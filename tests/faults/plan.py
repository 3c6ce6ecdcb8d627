"""Which campaigns a tier consists of. Names are for ever: with the seed they say what a campaign does."""

from collections.abc import Sequence
from typing import Final

from tests.faults.campaign import Campaign
from tests.faults.nemeses import ON_SMALL_DISKS, PROXIED, ROSTER, Nemesis, disks, nats, postgres, processes, whole

# Every nemesis once.
QUICK: Final[Sequence[Campaign]] = (
    Campaign("everything once", ROSTER, len(ROSTER)),
    Campaign("everything once on the way", PROXIED, len(PROXIED), "behind proxies"),
    Campaign("everything once without space", ON_SMALL_DISKS, len(ON_SMALL_DISKS), "on small disks"),
)


def of(*kinds: type[Nemesis]) -> Sequence[Nemesis]:
    return [nemesis for nemesis in ROSTER if isinstance(nemesis, kinds)]


KILLS: Final = (processes.Killed, processes.KilledAt)
WHOLE: Final = (whole.LauncherKilled, whole.EverythingKilled, whole.StoppedAndStarted)
SERVERS: Final = (
    postgres.PostgresKilled, postgres.PostgresStoppedAtOnce, postgres.BackendKilled, postgres.SessionsTerminated,
    nats.StreamWiped, nats.OldCopyPutBack,
)  # fmt: skip

# Some campaigns more than once: each begins with an empty store, and is judged on its own.
LONG: Final[Sequence[Campaign]] = (
    *QUICK,
    *(Campaign(f"services die, {number}", of(*KILLS), 125) for number in range(1, 5)),
    *(Campaign(f"servers die, {number}", of(*SERVERS), 30) for number in range(1, 3)),
    Campaign("all of it dies", of(*WHOLE), 9),
    Campaign("answers get lost", (postgres.RepliesCut(50),), 12, "behind proxies"),
    Campaign("messages get lost or mixed", PROXIED[1:], 6, "behind proxies"),
    Campaign("no space", (disks.DiskFull("nats", 30.0), disks.DiskFull("postgres", 8.0)), 6, "on small disks"),
)
