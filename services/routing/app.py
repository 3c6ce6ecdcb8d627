"""Answers where mail goes and why, from its own rows."""

from typing import Final

from services.routing.projection import DEFINITION
from services.routing.queries import answer
from shared.language import subjects
from shared.language.questions import ROUTING_QUESTIONS
from shared.projections.projection_service import ProjectionService, main

ROUTING: Final = ProjectionService(
    name="routing",
    description="QueryEndpoint where mail goes and why.",
    definition=DEFINITION,
    questions=ROUTING_QUESTIONS,
    answer=answer,
    subjects=tuple(subjects.query("*", name) for name in ROUTING_QUESTIONS),
)

if __name__ == "__main__":
    main(ROUTING)
