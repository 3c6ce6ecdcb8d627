"""The dry run of a plan: the write side is asked about each command that depends on no earlier one.

A command with an earlier one before it cannot be asked, since a dry run writes nothing: it is refused when that one is,
and otherwise decided by the plan. A command that would be refused is not given, nor any that needs it: else an alias
could become one of the address's former holder.
"""

from collections import Counter
from dataclasses import dataclass, field

from services.ops.loading.account_state import dry_runs
from services.ops.loading.plan import Clash, Plan, RowNote, Step
from shared.client import Accepted, Account, Reason, Refused, RequestTimeout, Unchanged


@dataclass
class DryRunResult:
    """The commands to give, of which `accepted` change something; the rows that match already; and the refusals."""

    steps: list[Step] = field(default_factory=list)
    accepted: int = 0
    unchanged: int = 0
    refused: list[Clash] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)

    @property
    def clashes(self) -> list[RowNote]:
        return [clash.note for clash in self.refused]


async def dry_run_plan(account: Account, plan: Plan) -> DryRunResult:
    """Ask the write side for the outcome of the plan.

    Raises:
        RequestTimeout: no answer in time.
    """
    independent = {number: (step.command, step.fields) for number, step in enumerate(plan.steps) if not step.needs}
    replies = await dry_runs(account, independent)
    result = DryRunResult(unchanged=plan.unchanged, refused=list(plan.clashes))
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
            result.steps.append(step)
            result.unchanged += isinstance(reply, Unchanged)
            result.accepted += not isinstance(reply, Unchanged)
            if isinstance(reply, Accepted):
                result.warnings.update(warning.code for warning in reply.warnings)
            continue
        refused.add(number)
        result.refused.append(Clash(RowNote(step.file, step.line, step.what, why), step.command, step.fields))
    return result
