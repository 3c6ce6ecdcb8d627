"""Records the picture of the README: `python -m tests.ops.audit.picture` plays a small story and asks the audit."""

import asyncio
import shlex
from pathlib import Path
from typing import Final

from rich.terminal_theme import MONOKAI
from rich.text import Text
from typer.main import get_command

from services.ops import demo, terminal
from services.ops.cli import app
from shared.client import connect
from tests.ops.audit.story import SUPPORT, play
from tests.ops.picture import without_fonts
from tests.real_servers import running_switchboard

FILE: Final = Path(demo.__file__).with_name("audit.svg")
COLUMNS: Final = 106
LINES: Final = (
    f"audit timeline acme --address {SUPPORT}",
    f"audit access acme --address {SUPPORT} --from 1",
)


async def played(url: str) -> None:
    async with connect(url) as switchboard:
        await play(switchboard.account("acme", demo.CRM))


def asked(url: str) -> str:
    """The lines as typed, with what they print, as SVG."""
    console = terminal.out
    console.width, console.record = COLUMNS, True
    for line in LINES:
        console.print(Text(f"$ switchboard {line}", style="cyan"))
        get_command(app).main([*shlex.split(line), "--url", url], standalone_mode=False)
        console.print()
    return without_fonts(console.export_svg(title="switchboard audit", theme=MONOKAI))


def main() -> None:
    with running_switchboard() as running:
        asyncio.run(played(running.nats_url))
        FILE.write_text(asked(running.nats_url))


if __name__ == "__main__":
    main()
