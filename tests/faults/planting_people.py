"""Defects to plant in what became of the addresses of who left."""

from tests.faults.evidence import Evidence
from tests.faults.planting import contest, defect, place_of, with_log
from tests.faults.planting_answers import DEFECTS
from tests.faults.verdict import Stored
from tests.faults.workload import LEAVER

__all__ = ["DEFECTS"]


@defect("who is removed leaves an address behind", "left behind by who left or came back")
def _(found: Evidence) -> Evidence:
    """As when he connects it after it was read which addresses are his, and before he is gone."""
    connected = found.log[place_of(found, contest(found)[0])]

    def leave(log: list[Stored]) -> None:
        end = len(log)
        his = {"address": "late@acme.example", "owner": LEAVER}
        gone = {"user": LEAVER, "policy": "orphan"}
        log.append(connected._replace(position=end + 1, stream="p", version=1, id="x", command_id="x", data=his))
        log.append(
            connected._replace(
                position=end + 2, stream="p", version=2, id="y", command_id="y", name="UserRemoved", data=gone
            )
        )

    return with_log(found, leave)
