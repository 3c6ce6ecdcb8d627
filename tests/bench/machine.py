"""What a figure was measured on, without saying whose machine it is."""

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
import psycopg

LIBRARIES = ("eventsourcing", "faststream", "nats-py", "psycopg", "pydantic", "uvloop", "umadb")


def machine(postgres_url: str) -> dict[str, object]:
    """Cores, memory, and the versions of Python, the servers and the libraries."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "postgresql": _postgres(postgres_url),
        "nats_server": _nats(),
        "libraries": {name: found for name in LIBRARIES if (found := _installed(name))},
    }


def _postgres(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return str(row[0]) if row else ""


def _nats() -> str:
    server = Path(sys.executable).with_name("nats-server")
    said = subprocess.run([server, "--version"], check=True, capture_output=True, text=True).stdout
    return said.strip().rpartition(" ")[2]


def _installed(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
