"""Answers every question about addresses, inboxes, users and accounts from its own rows."""

from typing import Final

from services.inbox_views.projection import DEFINITION
from services.inbox_views.queries import answer
from shared.language import subjects
from shared.language.audit import AUDIT_QUESTIONS
from shared.language.questions import ROUTING_QUESTIONS, VIEW_QUESTIONS
from shared.projections.projection_service import ProjectionService, main

INBOX_VIEWS: Final = ProjectionService(
    name="inbox-views",
    description="QueryEndpoint questions about addresses, inboxes, users and accounts.",
    definition=DEFINITION,
    questions=VIEW_QUESTIONS,
    answer=answer,
    subjects=(subjects.QUERIES,),
    ignored=frozenset((*ROUTING_QUESTIONS, *AUDIT_QUESTIONS)),
)

if __name__ == "__main__":
    main(INBOX_VIEWS)
