"""The dry run of a plan: the write side decides its commands in batches, each after those before it.

A refused step is not given, and neither is a later step for its address: else an alias could be added to an address
that another user still holds.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from services.ops.loading.batches import batches_of, body_of
from services.ops.loading.plan import Clash, Plan, RowNote, Step, by_row
from shared.client import Accepted, CommandRefused, Reason, Refused, Reply, RequestTimeout, Switchboard, Unchanged
from shared.language import subjects
from shared.language.answers import DryRunOutcomes
from shared.language.dry_runs import DryRunBatch

COMMAND: Final = DryRunBatch.__name__
# A batch occupies the write side for some hundredths of a second; its replies fit one message.
MOST_STEPS: Final = 500
LARGEST_BATCH: Final = 256 * 1024
# Reasons why an owner cannot hold an address, which an export may not know.
OWNER_REASONS: Final = frozenset((Reason.USER_NOT_FOUND, Reason.OWNER_NOT_ACTIVE, Reason.PERMISSION_MISSING))


class ReplyTooLargeError(Exception):
    """The replies to a batch exceed a message; a smaller batch may fit."""


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


class DryRun:
    """Asks the write side as one account and actor; `most` is the largest number of steps in a batch."""

    def __init__(self, switchboard: Switchboard, account: str, actor: str, most: int = MOST_STEPS) -> None:
        self._switchboard = switchboard
        self._subject = subjects.command(account, COMMAND)
        self._actor = actor
        self._most = most

    async def run(self, plan: Plan) -> DryRunResult:
        """Decide the plan. A lenient row whose owner cannot hold the address becomes one of `plan.left`, unchanged.

        Raises:
            RequestTimeout: no answer in time.
            CommandRefused: the write side refuses batches, such as an older release.
        """
        left: set[int] = set()
        replies: dict[int, Reply] = {}
        while True:
            try:
                replies |= await self._replies(plan.steps, left)
            except ReplyTooLargeError:
                self._most //= 2
                continue
            dropped = dropped_by(plan.steps, replies)
            new, left = dropped - left, dropped
            # A dropped step that was accepted had an effect on later ones, which are decided again without it.
            if not any(isinstance(replies.get(number), Accepted) for number in new):
                return result_of(plan, replies, dropped)

    async def _replies(self, steps: Sequence[Step], left: set[int]) -> dict[int, Reply]:
        replies: dict[int, Reply] = {}
        for batch in batches_of(steps, left, self._most, LARGEST_BATCH, self._actor):
            numbers = batch.numbers
            outcomes = await self._decide([steps[number] for number in numbers])
            decided = zip(numbers, outcomes, strict=True)
            replies |= {number: reply for number, reply in decided if number in batch.own}
        return replies

    async def _decide(self, steps: Sequence[Step]) -> Sequence[Reply]:
        if not steps:
            return ()
        body = {"actor": self._actor, "commands": [body_of(step, self._actor) for step in steps]}
        reply: Mapping[str, Any] = await self._switchboard.request(self._subject, body)
        if reply.get("outcome") == "decided":
            outcomes = DryRunOutcomes.model_validate(reply).outcomes
        else:
            raise self._error(Refused.model_validate(reply), len(steps))
        if busy := next((one for one in outcomes if isinstance(one, Refused) and one.reason == Reason.BUSY), None):
            raise self._error(busy, len(steps))
        return outcomes

    def _error(self, refusal: Refused, count: int) -> Exception:
        if refusal.reason == Reason.BUSY:
            return RequestTimeout(COMMAND, 0.0, None, "it is too busy")
        if refusal.details.get("what") == "reply" and count > 1:
            return ReplyTooLargeError()
        return CommandRefused(refusal)


def dropped_by(steps: Sequence[Step], replies: Mapping[int, Reply]) -> set[int]:
    """The refused steps, and those that must not be given without one of them."""
    dropped: set[int] = set()
    for number, step in enumerate(steps):
        # Without a reply of its own, a step is given only with all that it needs.
        required = step.requires if number in replies else step.needs
        if isinstance(replies.get(number), Refused) or required & dropped:
            dropped.add(number)
    return dropped


def result_of(plan: Plan, replies: Mapping[int, Reply], dropped: set[int]) -> DryRunResult:
    result = DryRunResult(unchanged=plan.unchanged, refused=list(plan.clashes))
    lenient: set[int] = set()
    for number, step in enumerate(plan.steps):
        reply = replies.get(number)
        note = RowNote(step.file, step.line, step.what, why_dropped(plan.steps, number, reply, dropped))
        if number not in dropped:
            result.steps.append(step)
            result.unchanged += isinstance(reply, Unchanged)
            result.accepted += not isinstance(reply, Unchanged)
            if isinstance(reply, Accepted):
                result.warnings.update(warning.code for warning in reply.warnings)
        elif step.needs & lenient:
            lenient.add(number)
        elif step.lenient and isinstance(reply, Refused) and reply.reason in OWNER_REASONS:
            lenient.add(number)
            plan.left.append(note._replace(why=reply.message))
            plan.unchanged += 1
            result.unchanged += 1
        else:
            result.refused.append(Clash(note, step.command, step.fields))
    result.refused.sort(key=by_row)
    return result


def why_dropped(steps: Sequence[Step], number: int, reply: Reply | None, dropped: set[int]) -> str:
    if lost := steps[number].needs & dropped:
        before = steps[min(lost)]
        return f"needs line {before.line} of {before.file}, which would be refused"
    return f"would be refused, {reply.reason}: {reply.message}" if isinstance(reply, Refused) else ""
