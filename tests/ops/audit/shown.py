"""The golden text of the verbs at 80 and 120 columns: `python -m tests.ops.audit.shown` writes it; look at it then."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from rich.console import Console, RenderableType

from services.ops.audit import access, coverage, difference, story, trace
from services.ops.audit.layout import WithoutPadding
from tests.ops.audit import answers

WIDTHS: Final = (80, 120)
PARTS: Final[dict[str, tuple[Callable[[Any], Iterable[RenderableType]], Any]]] = {
    "timeline": (story.timeline, answers.TIMELINE),
    "trace": (trace.trace, answers.TRACE),
    "refusals": (story.refusals, answers.REFUSALS),
    "access": (access.of_place, answers.ACCESS),
    "access-of": (access.of_user, answers.ACCESS_OF),
    "changes": (difference.changes, answers.CHANGES),
    "bisect": (difference.bisected, answers.BISECT),
    "bisect, never": (difference.bisected, answers.NEVER),
    "leavers": (access.leavers, answers.LEAVERS),
    "about": (story.about, answers.ABOUT),
    "coverage": (coverage.coverage, answers.COVERAGE),
    "coverage, complete": (coverage.coverage, answers.COMPLETE),
}


def golden(width: int) -> Path:
    return Path(__file__).with_name(f"shown_{width}.txt")


def text_of(parts: Iterable[RenderableType], width: int, *, colours: bool = False) -> str:
    """What a terminal of this width gets."""
    file = io.StringIO()
    system: Any = "standard" if colours else None
    console = Console(file=file, width=width, highlight=False, force_terminal=colours, color_system=system)
    for part in parts:
        console.print(WithoutPadding(part), end="")
    return file.getvalue()


def whole(width: int) -> str:
    return "\n".join(f"$ audit {verb}\n\n{text_of(make(items), width)}" for verb, (make, items) in PARTS.items())


def main() -> None:
    for width in WIDTHS:
        golden(width).write_text(whole(width))


if __name__ == "__main__":
    main()
