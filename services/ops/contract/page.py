"""The contract as one self-contained HTML page: every message with fields, reasons and an example."""

from collections.abc import Iterator, Mapping
from typing import Final

from services.ops.contract import decisions, examples, headers, question_rules
from services.ops.contract import markup as m
from services.ops.contract.asyncapi import VERSION
from services.ops.contract.meanings import REASONS
from services.ops.contract.schemas import Message, event_name, messages
from services.ops.contract.style import CSS
from shared.language import subjects
from shared.language.catalog import QUESTIONS
from shared.language.commands import COMMANDS
from shared.language.events import EVENTS, Event, TeamConnected
from shared.language.reasons import CODES
from shared.language.replays import REPLAY_MESSAGES

Groups = Mapping[str, Mapping[str, Message]]

# Fields of every message in the group are shown once.
OF_ALL_COMMANDS: Final = ("actor", "command_id", "correlation_id", "dry_run")
OF_ALL_QUESTIONS: Final = ("actor", "at_least", "wait_ms", "limit", "after")
OF_ALL_ANSWERS: Final = ("position", "next", "incomplete_since")
# Messages with these fields.
A_COMMAND, A_LIST = "AssignSeat", "Users"

TITLES: Final = {
    "commands": "Commands",
    "dry_runs": "Many dry runs at once",
    "replies": "Replies to commands",
    "questions": "Questions and answers",
    "events": "Events",
    "replays": "Replays",
    "reasons": "Reasons and errors",
}
# Further similar examples are not shown.
MOST_EXAMPLES: Final = 3


def page() -> str:
    """The whole page."""
    groups: dict[str, dict[str, Message]] = {}
    for message in messages():
        groups.setdefault(message.group, {})[message.name] = message
    parts = {
        "commands": commands(groups),
        "dry_runs": dry_runs(groups),
        "replies": replies(groups),
        "questions": questions(groups),
        "events": events(groups),
        "replays": replays(groups),
        "reasons": reasons(),
    }
    sections = "".join(
        f'<section id="{group}">\n<h2>{TITLES[group]}</h2>\n{"".join(found)}</section>\n'
        for group, found in parts.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Switchboard: the contract</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{CSS}</style>\n</head>\n<body>\n'
        f"{contents(groups)}<main>\n{beginning()}{sections}</main>\n</body>\n</html>\n"
    )


def contents(groups: Groups) -> str:
    parts = []
    for group, title in TITLES.items():
        listed = "".join(
            f"<li>{m.link(group, name, title_of(one))}</li>" for name, one in groups.get(group, {}).items()
        )
        parts.append(f'<h2><a href="#{group}">{title}</a></h2>\n<ul>{listed}</ul>\n')
    return f'<nav aria-label="Contents"><p class="name">Switchboard</p>\n{"".join(parts)}</nav>\n'


def title_of(message: Message) -> str:
    return str(message.schema["title"])


def article(message: Message, *parts: str) -> str:
    description = m.prose(message.schema.get("description", ""))
    name = m.anchor(message.group, message.name)
    return f'<article id="{name}">\n<h3>{title_of(message)}</h3>\n{description}{"".join(parts)}</article>\n'


def beginning() -> str:
    rows = (
        ("command", m.code(subjects.command("<account>", "<Command>"))),
        ("question", m.code(subjects.query("<account>", "<Question>"))),
        ("event", m.code(subjects.event("<account>", "<aggregate>", "<Event>"))),
        ("discovery", m.code("$SRV.PING, $SRV.INFO, $SRV.STATS")),
    )
    description = m.prose(
        "Everything is JSON in UTF-8 over NATS. Callers choose the ids of accounts, users, teams and inboxes, which "
        f"match `{m.ID}`. Readers of replies, answers and events must ignore unknown fields. "
        "In commands and questions, `null` equals absent, and an unknown field is refused.\n\n"
        "The examples come from one recorded story; their ids count up in the order of its events."
    )
    return (
        "<header><h1>The contract of Switchboard</h1>\n<p>Which e-mail address is connected to whom, as what, and "
        f"where does its mail go? Version {VERSION}, as in the subjects; within it, messages only gain fields.</p>\n"
        f"{m.table(rows)}{description}</header>\n"
    )


# ---- groups


def commands(groups: Groups) -> Iterator[str]:
    yield m.prose(
        "Give each command its own id. You may then send it again at any time and get the first reply. "
        "Every command takes these fields besides its own:"
    )
    yield m.field_table(groups["commands"][A_COMMAND].schema, OF_ALL_COMMANDS)
    for message in groups["commands"].values():
        yield command(message)


def command(message: Message) -> str:
    named = COMMANDS[message.name]
    rules = decisions.rules_of_command(named)
    rows = [
        ("subject", m.code(subjects.command("<account>", message.name))),
        ("who may", m.inline(decisions.who_may(named))),
        ("events", " ".join(m.link("events", event_name(one), one.__name__) for one in rules.events)),
        ("refused", m.links("reasons", map(str, decisions.refusals(named)))),
        *([("unchanged", f"when {m.inline(rules.unchanged)}")] if rules.unchanged else []),
    ]
    subject = subjects.command(examples.ACCOUNT, message.name)
    shown = [m.exchange(subject, one) for one in examples.of_command(message.name)[:MOST_EXAMPLES]]
    return article(message, m.facts(rows), m.fields(message.schema, OF_ALL_COMMANDS), *shown)


def dry_runs(groups: Groups) -> Iterator[str]:
    for message in groups["dry_runs"].values():
        subject = subjects.command("<account>", message.name)
        rows = [
            ("subject", m.code(subject)),
            ("who may", decisions.ROLES["service"]),
            ("refused", m.links("reasons", map(str, decisions.OF_DRY_RUNS))),
        ]
        example = m.exchange(subjects.command(examples.ACCOUNT, message.name), examples.of_dry_runs())
        yield article(message, m.facts(rows), m.fields(message.schema), example)


def replies(groups: Groups) -> Iterator[str]:
    yield m.prose(
        "A command has one of three replies. Accepted means durable: the events are on disk before the reply leaves."
    )
    for message in groups["replies"].values():
        outcome = message.schema["properties"]["outcome"]["enum"][0]
        example = examples.of_dry_runs() if outcome == "decided" else next(examples.of_outcome(outcome))
        yield article(message, m.fields(message.schema), m.reply(example.reply))


def questions(groups: Groups) -> Iterator[str]:
    yield m.prose(
        "An answer shows what its actor may see, as of its position. Every question takes these fields besides its "
        "own (`limit` and `after` only if the answer is a list):"
    )
    yield m.field_table(groups["questions"][A_LIST].schema, OF_ALL_QUESTIONS)
    yield m.prose("Every answer has these fields besides its `result` (`next` only if it is a page):")
    yield m.field_table(groups["answers"][A_LIST].schema, OF_ALL_ANSWERS)
    for name in QUESTIONS:
        yield question(groups["questions"][name], groups["answers"][name])
    failed = groups["answers"]["NotAnswered"]
    yield article(failed, m.fields(failed.schema), m.reply(examples.not_answered().reply))


def question(message: Message, answer: Message) -> str:
    kind = QUESTIONS[message.name]
    rows = (
        ("subject", m.code(subjects.query("<account>", message.name))),
        ("who may", m.inline(question_rules.rules_of_question(kind).who)),
        ("errors", m.links("reasons", map(str, question_rules.errors(kind)))),
    )
    subject = subjects.query(examples.ACCOUNT, message.name)
    return article(
        message,
        m.facts(rows),
        m.fields(message.schema, OF_ALL_QUESTIONS),
        f'<h4 id="{m.anchor("answers", answer.name)}">Its answer</h4>\n',
        m.fields(answer.schema, OF_ALL_ANSWERS),
        *(m.exchange(subject, one) for one in examples.of_question(message.name)[:MOST_EXAMPLES]),
    )


def events(groups: Groups) -> Iterator[str]:
    yield m.prose(
        f"CloudEvents 1.0 in binary mode, in the JetStream stream `{subjects.EVENT_STREAM}`, kept without limit. "
        "Delivery is at least once; drop duplicates by `ce-id` or `ce-position`. Every event has these headers, shown "
        "for `TeamConnected`:"
    )
    heads = headers.cloud_event(TeamConnected)
    yield m.field_table(heads, heads["properties"])
    for kind in EVENTS.values():
        yield event(groups["events"][event_name(kind)], kind)


def event(message: Message, kind: type[Event]) -> str:
    published_by = [command.__name__ for command, rules in decisions.COMMAND_RULES.items() if kind in rules.events]
    rows = (
        ("subject", m.code(subjects.event("<account>", kind.aggregate, kind.__name__))),
        ("stored as", m.code(kind.stored_name())),
        ("published by", m.links("commands", published_by)),
    )
    example = examples.of_event(kind)
    return article(message, m.facts(rows), m.fields(message.schema), m.message(example.headers, example.body))


def replays(groups: Groups) -> Iterator[str]:
    yield m.prose(
        f"A replay publishes a range of the log again, in the JetStream stream `{subjects.REPLAY_STREAM}`, between two "
        "messages that frame it. An event has its own body and headers, on the subject "
        f"`{subjects.replayed('<replay>', '<account>', '<aggregate>', '<Event>')}`, and these headers besides:"
    )
    heads = headers.replayed()
    yield m.field_table(heads, heads["properties"])
    for kind in REPLAY_MESSAGES.values():
        message, example = groups["replays"][event_name(kind)], examples.of_replay(kind)
        rows = [("subject", m.code(subjects.replayed("<replay>", "<account>", "replay", kind.__name__)))]
        yield article(message, m.facts(rows), m.fields(message.schema), m.message(example.headers, example.body))


def reasons() -> Iterator[str]:
    yield m.prose(
        f"The names are stable; the number is the `{subjects.ERROR_CODE}`. New ones may be added: treat an unknown "
        "one as a refusal. After `BUSY`, `VIEW_BEHIND` and `HISTORY_BEHIND`, send the same request again."
    )
    rows = ((f'<span id="{m.anchor("reasons", name)}">{m.code(name)}</span>', str(CODES[name]), m.inline(meaning))
            for name, meaning in REASONS.items())  # fmt: skip
    yield m.table(rows)
