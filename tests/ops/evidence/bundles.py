"""A log with its evidence, bundles of it, and what can be done to a bundle."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.ops.evidence import verify_bundle
from tests import command_line
from tests.ops.evidence.signed_log import SignedLog

EVENTS, JOURNAL, MANIFEST = "events.jsonl", "journal.jsonl", "manifest.json"


class LogToExport(SignedLog):
    """A log with its evidence, and the exports of it."""

    async def export(self, name: str, *words: str) -> Path:
        """A bundle of it, made by the command line."""
        ended = await self.try_export(name, *words)
        assert ended.code == 0, ended.output
        return self.folder / name

    async def try_export(self, name: str, *words: str, **settings: str) -> command_line.Ended:
        options = ("--evidence", str(self.evidence.folder), "--postgres", self.url, "--actor", "service:audit.zoe")
        environment = {"COLUMNS": "80", **settings}
        return await command_line.run(
            "audit", "export", "--to", str(self.folder / name), *options, *words, environment=environment, merged=True
        )


def verify_elsewhere(bundle: Path, *words: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of the bundle's own program: no packages, an empty environment, in another folder."""
    ended = subprocess.run(
        (sys.executable, "-I", "-S", str(bundle / "verify.py"), *words),
        cwd="/", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return ended.returncode, ended.stdout.decode("ascii")


def findings(bundle: Path) -> str:
    """What this code, not that in the bundle, finds in it."""
    return "\n".join(verify_bundle.check(bundle).lines())


def lines_of(bundle: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bundle / name).read_bytes().splitlines()]


def content(bundle: Path) -> dict[str, bytes]:
    """The files of a bundle, without what says when and by whom it was made."""
    files = {path.name: path.read_bytes() for path in bundle.iterdir()}
    manifest = json.loads(files.pop(MANIFEST))
    del manifest["made"], files["manifest.sha256"]
    return {**files, MANIFEST: json.dumps(manifest).encode()}


@contextmanager
def changed(path: Path, new: bytes) -> Iterator[None]:
    """Another content of a file, while the block lasts."""
    before = path.read_bytes()
    path.write_bytes(new)
    try:
        yield
    finally:
        path.write_bytes(before)


def write_lines(bundle: Path, name: str, lines: Sequence[bytes]) -> None:
    """Replace the lines of a file as somebody does who hides it: the manifest has the new hashes."""
    (bundle / name).write_bytes(b"".join(lines))
    forge_manifest(bundle)


def forge_manifest(bundle: Path) -> None:
    """Make the manifest fit the files as they are."""
    manifest = json.loads((bundle / MANIFEST).read_bytes())
    for name, recorded in manifest["files"].items():
        found = (bundle / name).read_bytes()
        recorded.update(sha256=hashlib.sha256(found).hexdigest(), bytes=len(found))
    for tree, recorded in manifest["trees"].items():
        recorded["entries"] = (bundle / f"{tree}.jsonl").read_bytes().count(b"\n")
    new = json.dumps(manifest, indent=1).encode() + b"\n"
    (bundle / MANIFEST).write_bytes(new)
    (bundle / "manifest.sha256").write_text(f"{hashlib.sha256(new).hexdigest()}  {MANIFEST}\n")
