"""The published rules of each question: who may ask it, and its errors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from services.ops.contract.meanings import MissingDescriptionError
from shared.language import audit as a
from shared.language import questions as q
from shared.language.reasons import QuestionError


@dataclass(frozen=True)
class QuestionRules:
    who: str
    errors: Sequence[QuestionError]


EVERY_QUESTION: Final = (
    QuestionError.QUERY_INVALID,
    QuestionError.VIEW_BEHIND,
    QuestionError.BUSY,
    QuestionError.INTERNAL_ERROR,
    QuestionError.ACCOUNT_NOT_FOUND,
    QuestionError.PERMISSION_MISSING,
)

OF_A_MOMENT: Final = (QuestionError.AS_OF_TOO_EARLY, QuestionError.AS_OF_TOO_LATE, QuestionError.HISTORY_BEHIND)

ADMINS: Final = "administrators and services"
AUDITORS: Final = "auditors (`service:audit.<name>`) and `super_admin`"
MEMBERS: Final = f"members of the inbox, {ADMINS}"

QUESTION_RULES: Final[Mapping[type[q.Question], QuestionRules]] = {
    q.Address: QuestionRules(
        "everyone; the holder is visible to administrators, the holder and the members of the inbox",
        (QuestionError.ADDRESS_INVALID,),
    ),
    q.Addresses: QuestionRules(ADMINS, ()),
    q.Inbox: QuestionRules(MEMBERS, (QuestionError.INBOX_NOT_FOUND,)),
    q.Inboxes: QuestionRules("everyone; administrators and services see all inboxes, others their own", ()),
    q.Identities: QuestionRules(f"the users themselves, {ADMINS}", (QuestionError.USER_NOT_FOUND,)),
    q.User: QuestionRules(f"the users themselves, {ADMINS}", (QuestionError.USER_NOT_FOUND,)),
    q.Users: QuestionRules(ADMINS, ()),
    q.Teams: QuestionRules(ADMINS, ()),
    q.Account: QuestionRules(ADMINS, ()),
    q.Orphans: QuestionRules(ADMINS, ()),
    q.Usage: QuestionRules(ADMINS, ()),
    q.RemovalImpact: QuestionRules(ADMINS, (QuestionError.USER_NOT_FOUND,)),
    q.Resolve: QuestionRules("everyone; recipients whose mail the actor may not see are `NOT_VISIBLE`", ()),
    q.Routing: QuestionRules(MEMBERS, (QuestionError.INBOX_NOT_FOUND,)),
    a.Timeline: QuestionRules(
        AUDITORS,
        (
            *OF_A_MOMENT,
            QuestionError.ADDRESS_INVALID,
            QuestionError.INBOX_NOT_FOUND,
            QuestionError.USER_NOT_FOUND,
            QuestionError.TEAM_NOT_FOUND,
        ),
    ),
    a.Trace: QuestionRules(AUDITORS, ()),
    a.Refusals: QuestionRules(AUDITORS, (*OF_A_MOMENT, QuestionError.ADDRESS_INVALID)),
    a.Access: QuestionRules(AUDITORS, (*OF_A_MOMENT, QuestionError.ADDRESS_INVALID, QuestionError.INBOX_NOT_FOUND)),
    a.AccessOf: QuestionRules(AUDITORS, (*OF_A_MOMENT, QuestionError.USER_NOT_FOUND)),
    a.Changes: QuestionRules(AUDITORS, (*OF_A_MOMENT, QuestionError.ADDRESS_INVALID)),
    a.Bisect: QuestionRules(AUDITORS, (*OF_A_MOMENT, QuestionError.ADDRESS_INVALID)),
    a.Leavers: QuestionRules(AUDITORS, OF_A_MOMENT),
    a.About: QuestionRules(AUDITORS, (QuestionError.USER_NOT_FOUND,)),
    a.Coverage: QuestionRules(AUDITORS, ()),
}


def rules_of_question(question: type[q.Question]) -> QuestionRules:
    """Raise `MissingDescriptionError` for a new message."""
    if question not in QUESTION_RULES:
        raise MissingDescriptionError(f"{question.__name__} has no entry yet: services/ops/contract/question_rules.py")
    return QUESTION_RULES[question]


def errors(question: type[q.Question]) -> list[QuestionError]:
    """Every error of this question."""
    of_moment = OF_A_MOMENT if issubclass(question, q.StateQuestion) else ()
    return [*EVERY_QUESTION, *of_moment, *rules_of_question(question).errors]
