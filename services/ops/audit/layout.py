"""Blocks, grids, and tables that become blocks where the terminal is narrow."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from services.ops.render import plain_table

# The tables with two times in a row need this many columns.
WIDE: Final = 100
# Of `2026-03-03 09:15:02Z`, which stays in one line.
WIDTH_OF_TIME: Final = 20


class ByWidth:
    """A table where it has room, else blocks with the same content; an empty line at the end of both."""

    def __init__(self, wide: Table, blocks: Iterable[RenderableType]) -> None:
        self._table = block(wide)
        self._blocks = list(blocks)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width >= WIDE:
            yield self._table
        else:
            yield from self._blocks


class WithoutPadding:
    """The same lines without blanks at their ends, so that copies and files have none."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in console.render_lines(self._renderable, options, pad=False):
            yield from _without_trailing_blanks(line)
            yield Segment.line()


def _without_trailing_blanks(line: Sequence[Segment]) -> Iterator[Segment]:
    last = len(line)
    while last and not line[last - 1].text.strip(" "):
        last -= 1
    yield from line[: last - 1] if last else ()
    if last:
        yield Segment(line[last - 1].text.rstrip(" "), line[last - 1].style)


def table(titles: Sequence[str], times: Sequence[int] = ()) -> Table:
    """A table whose cells wrap and are never cut; the columns `times` are wide enough for a time."""
    made = plain_table(*titles)
    for place, column in enumerate(made.columns):
        column.overflow = "fold"
        if place in times:
            column.min_width = WIDTH_OF_TIME
    return made


def grid(rows: Iterable[tuple[str, str]], width: int = 0) -> Table:
    """Texts with their labels before them; a text wraps in its own column."""
    made = Table.grid(padding=(0, 2))
    made.add_column(no_wrap=True, min_width=width)
    made.add_column(overflow="fold")
    for label, text in rows:
        made.add_row(Text(label, style="dim"), Text(text))
    return made


def indented(renderable: RenderableType, columns: int = 2) -> Padding:
    return Padding(renderable, (0, 0, 0, columns), expand=False)


def block(*parts: RenderableType) -> Padding:
    """Parts below one another, and an empty line."""
    return Padding(Group(*parts), (0, 0, 1, 0), expand=False)
