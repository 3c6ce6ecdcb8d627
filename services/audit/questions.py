"""The table: each question of the audit and its query. Auditors and super admins may ask, nobody else."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from services.audit.access.leavers import leavers
from services.audit.access.of_user import access_of
from services.audit.access.queries import access
from services.audit.changes.query import changes
from shared.core.policies import may_audit
from shared.language import audit as a
from shared.language.questions import Question
from shared.projections.answers import Result, not_allowed
from shared.projections.snapshot import Snapshot

Handler = Callable[[Snapshot, Any], Awaitable[Result]]

ANSWERS: Final[Mapping[type[Question], Handler]] = {
    a.Access: access,
    a.AccessOf: access_of,
    a.Changes: changes,
    a.Leavers: leavers,
}


async def answer(snapshot: Snapshot, question: Question) -> Result:
    """Return the result of any question of this service.

    Raises:
        QuestionRefusedError: the actor may not ask it, or it names something that does not exist.
    """
    require_auditor(snapshot, question.actor)
    return await ANSWERS[type(question)](snapshot, question)


def require_auditor(snapshot: Snapshot, actor: str) -> None:
    """Require that the actor is an auditor, or a super admin of the account."""
    permissions = snapshot.actor_doc["permissions"] if snapshot.actor_doc else ()
    if not may_audit(actor, permissions):
        raise not_allowed("super_admin", "Only auditors and super admins may ask this.")
