"""Answers every question about addresses, inboxes, users and accounts from its own rows."""

from typing import Final

from services.inbox_views.projection import DESIGN
from services.inbox_views.queries import answer
from shared.language import subjects
from shared.language.questions import ROUTING_QUESTIONS, VIEW_QUESTIONS
from shared.projections.projection_service import Room, main

ROOM: Final = Room(
    name="inbox-views",
    description="Answers questions about addresses, inboxes, users and accounts.",
    design=DESIGN,
    questions=VIEW_QUESTIONS,
    answer=answer,
    subjects=(subjects.QUERIES,),
    foreign=frozenset(ROUTING_QUESTIONS),
)

if __name__ == "__main__":
    main(ROOM)
