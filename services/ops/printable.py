"""Text from the log or from another person, safe to show: a terminal acts on no character of it, and hides none."""

import json
from typing import Final

LINE_BREAK: Final = "\n"


def printable(text: str, keep: str = "") -> str:
    r"""Replace characters that a terminal acts on or hides by escapes such as `\x1b`; those in `keep` stay.

    They are control and format characters (colours, cursor, right to left), separators other than a blank, and
    unassigned ones.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in text)


def printable_json(text: str) -> str:
    """Replace the same characters in JSON by its own escapes; the value stays the same."""
    return LINE_BREAK.join(
        line if line.isprintable() else "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in line)
        for line in text.split(LINE_BREAK)
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()
