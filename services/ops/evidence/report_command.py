"""`switchboard audit report`: documents about a period, for people outside."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from rich.text import Text

from services.ops.audit.options import SECONDS, Account, Actor, From, Seconds, To
from services.ops.audit.request import NOT_RUNNING, Asker, default_actor
from services.ops.evidence.options import Evidence, Keys, where
from services.ops.moments import moment
from services.ops.printable import printable
from services.ops.terminal import REFUSED, USAGE, Json, Url, done, fail, out, print_json, switchboard_at

if TYPE_CHECKING:
    from services.ops.evidence.report_note import ReportEvidence

EXIT_CODES: Final = "Exit code 0: written; 1: refused, or not written; 2: wrong usage; 3: no answer."
HTML: Final = "report.html"
JSON: Final = "report.json"

app = typer.Typer(help="Write reports about a period, for people outside.", no_args_is_help=True, epilog=EXIT_CODES)

Folder = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The folder to make for the report.")]
SignKey = Annotated[
    Path | None,
    typer.Option(
        "--sign",
        metavar="FILE",
        help="Your Ed25519 private key in PEM, which signs the report: openssl genpkey -algorithm ed25519 -out FILE",
    ),
]


@app.callback()
def report() -> None:
    """Write reports about a period, for people outside."""


@app.command(epilog=EXIT_CODES)
def access(
    account: Account,
    folder: Folder,
    from_: From = None,
    to: To = None,
    sign: SignKey = None,
    evidence: Evidence = None,
    key: Keys = None,
    actor: Actor = None,
    url: Url = None,
    seconds: Seconds = SECONDS,
    as_json: Json = False,
) -> None:
    """Write who had access in a period, what was granted, what ended, who left, what was refused; as HTML and as JSON.

    The report names the checkpoint of the log and proves its last event. --sign signs it with your key.

    Example: switchboard audit report access acme --from 2026-01-01T00:00:00Z --out q1 --sign key.pem
    """
    from services.ops.evidence.report_note import NOTE, SigningKeyError, signed_note, signer_of

    made_by = actor or default_actor()
    if folder.exists():
        fail(f"{folder} is there already: give another folder.", REFUSED)
    try:
        signer = None if sign is None else signer_of(sign, made_by)
    except SigningKeyError as error:
        fail(f"{error}.", USAGE)
    asker = Asker(account, made_by, url, seconds, as_json)
    found = _answers(asker, None if from_ is None else moment(from_), None if to is None else moment(to))
    of_evidence = _evidence(found, evidence, key or ())
    found = {**found, "evidence": of_evidence.fields}
    files = _files(found, of_evidence)
    if signer is not None:
        files[NOTE] = signed_note(found, files, signer)
    _write(folder, files)
    if as_json:
        print_json({"folder": str(folder), "signed_by": signer and str(signer.key), "evidence": of_evidence.fields})
        return
    out.print(Text(f"Written to {printable(str(folder))}: {', '.join(sorted(files))}"))
    out.print(Text(_proven(of_evidence.fields)))
    out.print(Text(f"Signed by {signer.key}" if signer else "Not signed: --sign FILE signs it with your key."))


def _answers(asker: Asker, from_: int | str | None, to: int | str | None) -> Mapping[str, Any]:
    from services.ops.evidence.access_report import Period, access_report

    async def answered() -> Mapping[str, Any]:
        async with switchboard_at(asker.url, asker.seconds, NOT_RUNNING) as switchboard:
            return await access_report(switchboard, asker, Period(from_, to))

    return done(answered())


def _evidence(found: Mapping[str, Any], place: str | None, keys: "list[str] | tuple[()]") -> "ReportEvidence":
    from services.ops.evidence.heads import WrongInputError, trusted_keys
    from services.ops.evidence.report_note import evidence_of, without_evidence
    from services.ops.evidence.sources import EvidenceUnavailableError, evidence_at

    try:
        source = evidence_at(where(place))
        return evidence_of(found, source, trusted_keys(keys, source))
    except WrongInputError as error:
        fail(str(error), USAGE)
    except EvidenceUnavailableError as error:
        return without_evidence(str(error))


def _files(found: Mapping[str, Any], evidence: "ReportEvidence") -> dict[str, bytes]:
    from services.ops.evidence.report_page import page

    as_json = json.dumps(found, indent=1, ensure_ascii=True).encode() + b"\n"
    return {HTML: page(found).encode(), JSON: as_json, **evidence.files}


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files beside their place, and then move the folder there."""
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (unfinished / name).write_bytes(content)
        unfinished.rename(folder)
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror or error}.", REFUSED)


def _proven(evidence: Mapping[str, Any]) -> str:
    if evidence["checkpoint"] is None:
        return printable(f"Nothing in it is proven: {evidence['problem']} --evidence says where checkpoints are.")
    if evidence["problem"]:
        return printable(evidence["problem"])
    last = f"{evidence['last_event']:,}"
    return f"The checkpoint at position {evidence['size']:,} has its last event, at position {last}."
