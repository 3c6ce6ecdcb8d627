"""Every question by its name, and the type of its result."""

from collections.abc import Mapping
from typing import Any, Final

from shared.language.answers import VIEW_RESULTS
from shared.language.audit import AUDIT_QUESTIONS
from shared.language.audit_answers import AUDIT_RESULTS
from shared.language.questions import ROUTING_QUESTIONS, VIEW_QUESTIONS, Question

QUESTIONS: Final[dict[str, type[Question]]] = VIEW_QUESTIONS | ROUTING_QUESTIONS | AUDIT_QUESTIONS
# Of a list question, the type of each item.
RESULTS: Final[Mapping[type[Question], Any]] = {**VIEW_RESULTS, **AUDIT_RESULTS}
