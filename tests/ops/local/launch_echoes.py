"""`switchboard run`, with two small services instead of Switchboard's own."""

import sys
from pathlib import Path

from services.ops.local.launcher import launch
from shared.process.settings import Settings

ECHO = str(Path(__file__).parents[2] / "messaging" / "echo_service.py")

if __name__ == "__main__":
    sys.exit(launch(Settings(), {name: (sys.executable, ECHO, name) for name in ("connections", "relay")}))
