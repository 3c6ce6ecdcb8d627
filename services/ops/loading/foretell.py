"""What a plan will come to: each command that can be asked now is asked at the write side, as a dry run.

A command that needs one before it cannot be asked, since a dry run writes nothing: it is refused when that one is, and
decided by the plan otherwise. What would be refused is not given, and neither is what needs it: else somebody's alias
would become one of whoever has the address still.
"""

from collections import Counter
from dataclasses import dataclass, field

from services.ops.loading.plan import Clash, Plan, Step, Told
from services.ops.loading.present import dry_runs
from shared.client import Accepted, Account, Reason, Refused, RequestTimeout, Unchanged


@dataclass
class Foretold:
    """The commands to give, of which `accepted` change something, the rows that are so already, and what is refused."""

    steps: list[Step] = field(default_factory=list)
    accepted: int = 0
    unchanged: int = 0
    refused: list[Clash] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)

    @property
    def clashes(self) -> list[Told]:
        return [clash.told for clash in self.refused]


async def foretell(account: Account, plan: Plan) -> Foretold:
    """Ask the write side what becomes of the plan.

    Raises:
        RequestTimeout: nobody answered in time.
    """
    asked = {number: (step.command, step.fields) for number, step in enumerate(plan.steps) if not step.needs}
    replies = await dry_runs(account, asked)
    foretold = Foretold(unchanged=plan.unchanged, refused=list(plan.clashes))
    refused: set[int] = set()
    for number, step in enumerate(plan.steps):
        reply = replies.get(number)
        if lost := refused & step.needs:
            before = plan.steps[min(lost)]
            why = f"needs line {before.line} of {before.file}, which would be refused"
        elif isinstance(reply, Refused):
            if reply.reason == Reason.BUSY:
                raise RequestTimeout(step.command, 0.0, None, "it is too busy")
            why = f"would be refused, {reply.reason}: {reply.message}"
        else:
            foretold.steps.append(step)
            foretold.unchanged += isinstance(reply, Unchanged)
            foretold.accepted += not isinstance(reply, Unchanged)
            if isinstance(reply, Accepted):
                foretold.warnings.update(warning.code for warning in reply.warnings)
            continue
        refused.add(number)
        foretold.refused.append(Clash(Told(step.file, step.line, step.what, why), step.command, step.fields))
    return foretold
