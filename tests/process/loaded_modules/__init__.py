"""List the modules that each kind of process loads before it does any work.

Repository modules are listed one by one, third-party packages only where they cost noticeable time or memory.
After a wanted change write the lists again: `python -m tests.process.loaded_modules`.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
# The statements that load what the process loads.
PROCESSES: Final = {
    "client": "import shared.client",
    "connections": "import services.connections.app",
    "inbox-views": "import services.inbox_views.app",
    "relay": "import services.relay.app",
    "version": "import sys; sys.argv[1:] = ['--version']; from services.ops.__main__ import main; main()",
}
REPOSITORY: Final = frozenset({"services", "shared"})
HEAVY: Final = frozenset(
    {
        "cryptography", "eventsourcing", "faststream", "nats", "orjson", "prometheus_client", "psycopg", "psycopg_pool",
        "pydantic", "pydantic_settings", "rich", "structlog", "typer", "uvloop",
    }
)  # fmt: skip
_LIST: Final = "\nimport sys\nprint('loaded:', *sys.modules)"


def loaded_modules(process: str) -> list[str]:
    """Return the repository modules and heavy third-party packages that an interpreter of its own loads, sorted."""
    output = subprocess.run(
        [sys.executable, "-c", PROCESSES[process] + _LIST], capture_output=True, text=True, check=True
    ).stdout
    modules = output.rpartition("loaded: ")[2].split()
    return sorted({name for name in modules if name in HEAVY or name.partition(".")[0] in REPOSITORY})


def file_of(process: str) -> Path:
    """Return the file that has the expected list of a process, one module in a line."""
    return FOLDER / f"{process}.txt"


def expected_modules(process: str) -> list[str]:
    """Read the expected list of a process."""
    return file_of(process).read_text().split()
