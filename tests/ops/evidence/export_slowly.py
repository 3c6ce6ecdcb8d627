"""An export that records its progress after every few rows, as a process to kill.

`python -m tests.ops.evidence.export_slowly <folder> <evidence> <url>`
"""

import sys
from pathlib import Path

from services.ops.evidence.bundle_entries import ExportQuery
from services.ops.evidence.bundle_folder import BundleFolder
from services.ops.evidence.export import Export, ExportLimits, OnProgress
from services.ops.evidence.export_command import PROCESS
from services.ops.evidence.sources import evidence_at
from shared.process import failpoints
from shared.process.row_scan import row_scan
from shared.process.settings import Settings

SLOWLY = ExportLimits(rows=20, save_seconds=0.0)


def export_slowly(to: Path, evidence: str, url: str, on_progress: OnProgress = lambda *_: None) -> None:
    query, source = ExportQuery(), evidence_at(evidence)
    with BundleFolder.opened(to, query.written()) as folder, row_scan(url) as scan:
        Export(scan, source, source.verifier_keys(), folder, query, on_progress, SLOWLY).run("service:tests", {})


if __name__ == "__main__":
    failpoints.arm(Settings().failpoints, PROCESS)
    export_slowly(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
