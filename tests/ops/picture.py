"""Records the picture of the README: `python -m tests.ops.picture` plays a part of the demo and writes it as SVG."""

import asyncio
import re
from pathlib import Path
from typing import Final

from rich.terminal_theme import MONOKAI

from services.ops import demo, terminal
from shared.client import connect
from tests.real_servers import running_switchboard

FILE: Final = Path(demo.__file__).with_name("demo.svg")
COLUMNS: Final = 106
SHOWN: Final = (demo.clash, demo.routing, demo.leaving)


async def played(url: str) -> str:
    """The chapters that are shown, as SVG; the one before is played unseen."""
    console = terminal.out
    console.width, console.soft_wrap = COLUMNS, False
    async with connect(url) as switchboard:
        stage = demo.Stage(switchboard.account("acme", demo.CRM), 0.0)
        console.quiet = True
        await demo.opening(stage)
        console.quiet, console.record = False, True
        for chapter in SHOWN:
            await chapter(stage)
    return without_fonts(console.export_svg(title="switchboard demo", theme=MONOKAI))


def without_fonts(svg: str) -> str:
    """Rich would have the reader's browser fetch a font from elsewhere."""
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")


def main() -> None:
    with running_switchboard() as running:
        FILE.write_text(asyncio.run(played(running.nats_url)))


if __name__ == "__main__":
    main()
