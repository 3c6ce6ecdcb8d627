"""The bytes of a question become a question, or an error that names every problem."""

import re
from collections.abc import Mapping

from pydantic import ValidationError

from shared.language.catalog import QUESTIONS
from shared.language.questions import Question
from shared.language.reasons import QuestionError
from shared.messaging.json_body import ACCOUNT, parse_body, printable, problem, problems_of
from shared.projections.answers import QuestionRefusedError, invalid

# A pair of surrogates, any other escape, or one surrogate alone.
SURROGATES = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u]|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def parse_question(questions: Mapping[str, type[Question]], account: str, name: str, data: bytes) -> Question:
    """Parse and validate the body of one question.

    Raises:
        QuestionRefusedError: there is no such question, or the body is invalid.
    """
    message = questions.get(name)
    if message is None:
        raise QuestionRefusedError(
            QuestionError.QUERY_UNKNOWN, f"There is no question {printable(name)}.", {"known": sorted(QUESTIONS)}
        )
    if not ACCOUNT.match(account):
        raise invalid([problem("", "the account in the subject is not 1 to 32 of A-Z a-z 0-9 _ -")])
    fields, problems = parse_body(data)
    if problems and message.any_text and (repaired := replace_lone_surrogates(data)) is not None:
        fields, problems = parse_body(repaired)
    if problems and not fields:
        raise invalid(problems)
    try:
        question = message.model_validate(fields)
    except ValidationError as error:
        raise invalid(problems_of(error, problems)) from None
    if problems:
        raise invalid(problems)
    return question


def replace_lone_surrogates(data: bytes) -> bytes | None:
    """Replace each escaped surrogate without its other half by U+FFFD; None when there is none."""
    repaired = SURROGATES.sub(lambda found: found[0] if found[1] is None else rb"\ufffd", data)
    return repaired if repaired != data else None
