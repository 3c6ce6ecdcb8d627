"""Parts of sentences: names, lists and rules in plain words. Texts from the log stay as they are, within quotes."""

from collections.abc import Iterable, Sequence
from typing import Final

from shared.language.rules import ContactOwner, Rule, Unassigned, UsersAndTeams
from shared.language.text import SERVICE

# More names than these are counted.
NAMED: Final = 5
LONGEST_QUOTE: Final = 80
NOBODY: Final = "nobody"


def actor_of(actor: str | None) -> str:
    """Return the actor as the beginning of a sentence."""
    if actor is None:
        return "Somebody"
    return f"The service {actor.removeprefix(SERVICE)}" if actor.startswith(SERVICE) else actor


def own(what: str, user: str, actor: str | None) -> str:
    """Return something of a user, such as `the seat of bob`; of the actor's own, `their own seat`."""
    return f"their own {what}" if user == actor else f"the {what} of {user}"


def whom(user: str, actor: str | None) -> str:
    """Return the user as an object of the sentence, such as `bob`, or `themselves`."""
    return "themselves" if user == actor else user


def quoted(text: str) -> str:
    """Return a text from the log within quotes, cut where it is long; a line break becomes a blank."""
    line = " ".join(text.split())
    return f"“{line if len(line) <= LONGEST_QUOTE else line[: LONGEST_QUOTE - 1] + '…'}”"


def because(cause: str | None) -> str:
    """Return the end of a sentence with a remark, or nothing."""
    return f": {quoted(cause)}" if cause and cause.strip() else ""


def listed(names: Iterable[str], none: str = NOBODY) -> str:
    """Return `a, b and c`; of many names the first ones, and how many more."""
    return _joined(list(names), "and") or none


def people(users: Iterable[str], teams: Iterable[str] = ()) -> str:
    """Return users and teams in words."""
    return listed([*users, *(f"the team {team}" for team in teams)])


def plain(word: str) -> str:
    """Return a word of the wire as plain English."""
    return word.replace("_", " ")


def words(names: Iterable[str], none: str) -> str:
    return listed(map(plain, names), none)


def permissions(names: Sequence[str]) -> str:
    if not names:
        return "no permission"
    return f"the permission{'s' if len(names) > 1 else ''} {listed(map(plain, names))}"


def ways(receive: bool, send: bool) -> str:
    """Return the directions of a connection, with the word that goes before the address."""
    if receive and send:
        return "receiving and sending at"
    return "receiving at" if receive else "sending from"


def holder(owner: str | None, inbox: str | None, actor: str) -> str:
    if owner is not None:
        return whom(owner, actor)
    return "its holder" if inbox is None else f"the inbox {inbox}"


def rule_in_words(rule: Rule) -> str:
    match rule:
        case Unassigned():
            return "new conversations wait unassigned"
        case UsersAndTeams():
            return f"new conversations go to {_either(rule)}"
        case ContactOwner(fallback=UsersAndTeams() as fallback):
            return f"new conversations go to the contact's owner, else to {_either(fallback)}"
        case _:
            return "new conversations go to the contact's owner, else wait unassigned"


def _either(rule: UsersAndTeams) -> str:
    return _joined([*rule.users, *(f"the team {team}" for team in rule.teams)], "or")


def _joined(names: Sequence[str], word: str) -> str:
    parts = names if len(names) <= NAMED else [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"]
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}" if len(parts) > 1 else "".join(parts)


def first_sentence(message: str) -> str:
    """Return the first sentence of a message, without its full stop."""
    head, stop, rest = message.partition(". ")
    return head if stop and rest[:1].isupper() else message.removesuffix(".")
