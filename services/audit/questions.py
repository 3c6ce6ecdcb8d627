"""The table: each question of the audit and its query. Auditors and super admins may ask, nobody else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from services.audit.about import about
from services.audit.access.leavers import leavers
from services.audit.access.of_user import access_of
from services.audit.access.queries import access
from services.audit.bisect.query import bisect_with
from services.audit.changes.query import changes
from services.audit.coverage import coverage
from services.audit.peers import Peers
from services.audit.refusals import refusals
from services.audit.timeline import timeline
from services.audit.trace import trace
from shared.core.policies import may_audit
from shared.language import audit as a
from shared.language.questions import Question
from shared.projections.answers import Result, not_allowed
from shared.projections.snapshot import Snapshot

Handler = Callable[[Snapshot, Any], Awaitable[Result]]

HandlerWithPeers = Callable[[Snapshot, Any, Peers], Awaitable[Result]]

ANSWERS: Final[Mapping[type[Question], Handler]] = {
    a.Timeline: timeline,
    a.Access: access,
    a.AccessOf: access_of,
    a.Changes: changes,
    a.Leavers: leavers,
    a.About: about,
    a.Coverage: coverage,
}
# Those that ask other services, too.
ANSWERS_WITH_PEERS: Final[Mapping[type[Question], HandlerWithPeers]] = {
    a.Trace: trace,
    a.Refusals: refusals,
    a.Bisect: bisect_with,
}
NO_PEERS: Final = Peers()


async def answer(snapshot: Snapshot, question: Question, peers: Peers = NO_PEERS) -> Result:
    """Return the result of any question of this service.

    Raises:
        QuestionRefusedError: the actor may not ask it, or it names something that does not exist.
    """
    require_auditor(snapshot, question.actor)
    if with_peers := ANSWERS_WITH_PEERS.get(type(question)):
        return await with_peers(snapshot, question, peers)
    return await ANSWERS[type(question)](snapshot, question)


def require_auditor(snapshot: Snapshot, actor: str) -> None:
    """Require that the actor is an auditor, or a super admin of the account."""
    permissions = snapshot.actor_doc["permissions"] if snapshot.actor_doc else ()
    if not may_audit(actor, permissions):
        raise not_allowed("super_admin", "Only auditors and super admins may ask this.")
