"""One audit question over NATS: who asks, its pages, and what to do when there is no answer."""

import getpass
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from services.ops import render
from services.ops.audit.layout import WithoutPadding, indented
from services.ops.audit.options import option, typed
from services.ops.question_errors import in_words_of_options
from services.ops.send import token
from services.ops.terminal import NO_ANSWER, REFUSED, done, err, fail, out, print_json, switchboard_at
from shared.language import subjects
from shared.language.questions import LARGEST_LIMIT, ListQuestion, Question
from shared.language.reasons import QuestionError
from shared.language.text import AUDITOR

if TYPE_CHECKING:
    from shared.client import Switchboard

Answer = Mapping[str, Any]
Items = Sequence[Mapping[str, Any]]

NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9._-]")
LONGEST_NAME: Final = 50
MOMENTS: Final = ("at", "from", "to")
NOT_RUNNING: Final = "Is the audit service running (`switchboard run audit`)?"
ADVICE: Final[Mapping[str, str]] = {
    QuestionError.PERMISSION_MISSING: (
        "Ask as an auditor (--actor service:audit.NAME), or as a super admin of the account (--actor USER)."
    ),
    QuestionError.QUERY_UNKNOWN: "The services that run are of a release without this question.",
}


@dataclass(frozen=True)
class Asker:
    """The account, the actor who asks, the URL of NATS, and whether the answer is printed as JSON."""

    account: str
    actor: str | None
    url: str | None
    seconds: float
    as_json: bool


def entries(items: Items) -> int:
    """How many items there are; the groups of refusals come on top of them."""
    return sum(item.get("group") is None for item in items)


def ask(
    asker: Asker,
    question: type[Question],
    fields: Mapping[str, Any],
    show: Callable[[Answer], Iterable[RenderableType]],
    go_on: Callable[[Answer], Answer | None] = lambda _: None,
) -> None:
    """Ask a question that has one result, and print the answer.

    Args:
        show: makes the parts of the result, for people.
        go_on: returns the fields with which to ask again, where the result is not complete.
    """

    async def answered() -> Answer:
        async with switchboard_at(asker.url, asker.seconds, NOT_RUNNING) as switchboard:
            answer = await _page(switchboard, asker, question, fields, 0)
            while (further := go_on(answer["result"])) is not None:
                answer = await _page(switchboard, asker, question, {**fields, **further}, further["from"])
            return answer

    answer = done(answered())
    if asker.as_json:
        print_json(answer)
        return
    _print(show(answer["result"]))
    _print([Text(as_of(answer), style="dim")])


def ask_all(
    asker: Asker,
    question: type[Question],
    fields: Mapping[str, Any],
    limit: int | None,
    show: Callable[[Items], Iterable[RenderableType]],
    count: Callable[[Items], int] = entries,
) -> None:
    """Ask for a list and print it page by page; as JSON each item is a line.

    Args:
        limit: the most items; None for all.
        show: makes the parts of one page, for people.
        count: how many things a page shows to people.
    """

    async def printed() -> None:
        total = 0
        async for answer in _pages(asker, question, fields, limit):
            total += count(answer["result"])
            if asker.as_json:
                _print_lines(answer["result"])
            else:
                _print(show(answer["result"]))
        if not asker.as_json:
            _print([Text(_end(answer, total), style="dim")])

    done(printed())


async def fetch(
    switchboard: "Switchboard", asker: Asker, question: type[Question], fields: Mapping[str, Any]
) -> Answer:
    """Return the answer to a question; of a list, with the items of all its pages.

    Raises:
        typer.Exit: the question was refused, or there is no answer; the reason is printed.
    """
    if not issubclass(question, ListQuestion):
        return await _page(switchboard, asker, question, fields, 0)
    items: list[Mapping[str, Any]] = []
    after = None
    while True:
        answer = await _page(
            switchboard, asker, question, {**fields, "limit": LARGEST_LIMIT, "after": after}, len(items)
        )
        items += answer["result"]
        after = answer["next"]
        if after is None:
            return {**answer, "result": items}


def default_actor() -> str:
    """An auditor who is called like the user of this machine."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = f"uid-{os.getuid()}"
    return AUDITOR + NOT_IN_A_NAME.sub("_", login)[:LONGEST_NAME]


async def _pages(
    asker: Asker, question: type[Question], fields: Mapping[str, Any], limit: int | None
) -> AsyncIterator[Answer]:
    count, after = 0, None
    async with switchboard_at(asker.url, asker.seconds, NOT_RUNNING) as switchboard:
        while True:
            size = LARGEST_LIMIT if limit is None else min(limit - count, LARGEST_LIMIT)
            answer = await _page(switchboard, asker, question, {**fields, "limit": size, "after": after}, count)
            yield answer
            count, after = count + entries(answer["result"]), answer["next"]
            if after is None or (limit is not None and count >= limit):
                return


async def _page(
    switchboard: "Switchboard", asker: Asker, question: type[Question], fields: Mapping[str, Any], before: int
) -> Answer:
    """
    Raises:
        typer.Exit: the question was refused, or there is no answer; the reason is printed.
    """
    from shared.client import RequestTimeout

    name = question.__name__
    body = {key: value for key, value in fields.items() if value is not None}
    so_far = f"; {before:,} so far" if before else ""
    try:
        with err.status(Text(f"Waiting for the answer to {name}{so_far} …")):
            answer = await switchboard.request(
                subjects.query(token(asker.account), name), {"actor": asker.actor or default_actor(), **body}
            )
    except RequestTimeout as error:
        fail(f"{str(error)[:1].upper()}{str(error)[1:]}. {NOT_RUNNING}", NO_ANSWER)
    if "error" in answer:
        _refused(asker, answer, [option(name) for name in MOMENTS if name in body])
    return answer


def _refused(asker: Asker, answer: Answer, moments: Sequence[str]) -> NoReturn:
    if asker.as_json:
        print_json(answer)
    else:
        _print([_refusal(in_words_of_options(answer, moments, typed))])
        if advice := ADVICE.get(answer["error"]):
            err.print(Text(advice))
    raise typer.Exit(REFUSED)


def _refusal(answer: Answer) -> RenderableType:
    head = Text.assemble(("✗ Refused", "bold red"), "  ", (render.plain(answer["error"]), "bold"))
    details = {name: one for name, one in (answer.get("details") or {}).items() if name != "known"}
    parts: list[RenderableType] = [head, indented(Text(render.plain(answer.get("message"))))]
    return Group(*parts, *([indented(render.value_of(details))] if details else []))


def _print(parts: Iterable[RenderableType]) -> None:
    """Wrapped at the width of the terminal, or at 80 columns."""
    for part in parts:
        out.print(WithoutPadding(part), soft_wrap=False, end="")


def _print_lines(items: Items) -> None:
    for item in items:
        print_json(item, indent=None)


def _end(answer: Answer, count: int) -> str:
    if answer["next"]:
        return f"the first {count:,} (more with a larger --limit), {as_of(answer)}"
    return f"{f'{count:,} in all' if count else 'nothing found'}, {as_of(answer)}"


def as_of(answer: Answer) -> str:
    """The position that an answer reflects, and what it lacks."""
    since = answer.get("incomplete_since")
    lacks = f"; incomplete since position {since:,}: `switchboard audit coverage` says why" if since else ""
    return f"as of position {answer['position']:,}{lacks}"
