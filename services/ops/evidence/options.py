"""Options that the verbs about evidence share."""

from pathlib import Path
from typing import Annotated

import typer

from services.ops.local.evidence import evidence_dir
from services.ops.terminal import settings

Evidence = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|URL",
        help="The evidence: a folder, or the audit's URL. Default: SWITCHBOARD_EVIDENCE_DIR, or `switchboard run`'s.",
    ),
]
Keys = Annotated[
    list[str] | None,
    typer.Option(
        "--key",
        metavar="VKEY|FILE",
        help="A verifier key that you trust, of the log or of a witness; may be repeated. Default: those beside the "
        "evidence; an owner of the evidence can replace these.",
    ),
]
Checkpoints = Annotated[
    list[str] | None,
    typer.Option("--checkpoint", metavar="FILE", help="A checkpoint that you kept elsewhere; may be repeated."),
]
StampRoots = Annotated[
    Path | None,
    typer.Option("--stamp-roots", metavar="FILE", help="Root certificates in PEM of the authorities that you trust."),
]
PostgresUrl = Annotated[
    str | None,
    typer.Option(
        "--postgres",
        metavar="URL",
        help="URL of PostgreSQL. Default: SWITCHBOARD_POSTGRES_URL, or `switchboard run`'s.",
    ),
]


def where(evidence: str | None) -> str:
    """Return the place of the evidence."""
    return evidence or str(evidence_dir(settings()))
