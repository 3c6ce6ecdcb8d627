"""What may go wrong, each as an object that does it, proves that it happened, and waits until all is well again.

`ROSTER` has those for every Switchboard; `PROXIED` those that need its servers behind proxies, `ON_SMALL_DISKS` those
whose servers keep their data on small file systems (`small_disks`). A strike draws only from `Target.chance`.
"""

from collections.abc import Sequence
from typing import Final

from tests.faults.nemeses import clocks, disks, nats, postgres, processes, standing_still, views, whole
from tests.faults.nemeses.disks import small_disks
from tests.faults.nemeses.target import SCHEMAS, Fired, Nemesis, Struck, Target

__all__ = ["ON_SMALL_DISKS", "PROXIED", "ROSTER", "Fired", "Nemesis", "Struck", "Target", "small_disks"]

ROSTER: Final[Sequence[Nemesis]] = (
    *map(processes.Killed, (*processes.SERVICES, "nats")),
    *(processes.KilledAt(point, service) for point, service in processes.POINTS),
    *(processes.KilledWhileSwitching(verb, point, "routing") for verb, point in processes.STEPS),
    *map(standing_still.Stopped, ("connections", "relay", "inbox-views", "routing", "nats")),
    *map(standing_still.Relieved, ("connections", "relay", "inbox-views")),
    postgres.PostgresKilled(),
    postgres.PostgresStoppedAtOnce(),
    postgres.BackendKilled(),
    postgres.SessionsTerminated(),
    postgres.WritersSessionStopped(),
    nats.StreamWiped(),
    nats.OldCopyPutBack(),
    *map(views.RowHeld, SCHEMAS),
    *map(views.ProjectionTerminated, SCHEMAS),
    *map(views.TableRenamed, SCHEMAS),
    views.Poison(),
    views.LogGarbled(),
    clocks.ClockJumps(+1),
    clocks.ClockJumps(-1),
    whole.LauncherKilled(),
    whole.EverythingKilled(),
    whole.StoppedAndStarted(),
)
PROXIED: Final[Sequence[Nemesis]] = (postgres.RepliesCut(), nats.AcksSwallowed(), nats.EventsMixed())
ON_SMALL_DISKS: Final[Sequence[Nemesis]] = (disks.DiskFull("nats", 8.0), disks.DiskFull("postgres", 8.0))
