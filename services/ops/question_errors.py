"""The error of a question in words of the command line: options in place of fields of the message.

The answer itself stays as it is; `--json` prints that.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shared.language.reasons import QuestionError

Answer = Mapping[str, Any]


def in_words_of_options(answer: Answer, moments: Sequence[str], typed: Callable[[Answer], Answer]) -> Answer:
    """Return the error for people; another answer as it is.

    Args:
        moments: the options that named moments, such as `--as-of`.
        typed: returns the error of one field, which it names as it is typed.
    """
    details = answer.get("details") or {}
    match answer.get("error"):
        case QuestionError.AS_OF_TOO_EARLY | QuestionError.AS_OF_TOO_LATE if moments and details.get("first"):
            return {**answer, "message": _out_of_log(str(answer.get("message")), details, moments), "details": {}}
        case QuestionError.HISTORY_BEHIND if moments and "position" in details:
            return {**answer, "message": _behind(details, moments), "details": {}}
        case QuestionError.QUERY_INVALID if errors := details.get("errors"):
            return {**answer, **_invalid([typed(one) for one in errors])}
    return answer


def _invalid(errors: Sequence[Answer]) -> Answer:
    """The message with the errors of the whole question, and the fields with theirs."""
    whole = "; ".join(str(one["message"]) for one in errors if not one["field"])
    fields = {one["field"]: one["message"] for one in errors if one["field"]}
    return {"message": f"The question cannot be read{f': {whole}' if whole else ''}.", "details": fields}


def _out_of_log(message: str, details: Mapping[str, Any], moments: Sequence[str]) -> str:
    # The advice behind the first sentence names fields.
    why, stop, _ = message.partition(". ")
    first, last = (_place(details[name]) for name in ("first", "last"))
    return f"{why}{stop}Give {' and '.join(moments)} a moment between {first} and {last}, or a time up to now."


def _place(moment: Mapping[str, Any]) -> str:
    """A position, with its time where that can be read."""
    return f"position {moment['position']:,}" + (f" ({moment['time']})" if moment["time"] else "")


def _behind(details: Mapping[str, Any], moments: Sequence[str]) -> str:
    reached, end = (f"{details[name]:,}" if name in details else "?" for name in ("position", "log_end"))
    return (
        f"The history follows the log on its own, and is at position {reached} of {end}. Run the command again soon, "
        f"or give {' and '.join(moments)} a moment up to position {reached}."
    )
