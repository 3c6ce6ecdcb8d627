"""`switchboard audit prove`, `check-proof` and `consistency`: proofs that others check without the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.ops.evidence.options import Evidence, Keys, PostgresUrl, where
from services.ops.postgres_url import postgres_url
from services.ops.printable import printable
from services.ops.terminal import NO_ANSWER, REFUSED, USAGE, Json, fail, out, print_json

if TYPE_CHECKING:
    from shared.transparency.checkpoints import Checkpoint

EXIT_CODES: Final = "Exit code 0: proven; 1: not proven; 2: wrong usage; 3: something could not be read."
SUFFIX: Final = ".tlog-proof"

To = Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write the proof.")]


def prove(
    row: Annotated[str, typer.Argument(metavar="POSITION|COMMAND_ID", help="An event, or a command with its outcome.")],
    to: To = None,
    evidence: Evidence = None,
    key: Keys = None,
    postgres: PostgresUrl = None,
    as_json: Json = False,
) -> None:
    """Write a proof that an event, or a command with its outcome, is in the log of the newest checkpoint.

    The file has the format of C2SP's tlog-proof, with the leaf as its extra data. It is checked offline.

    Example: switchboard audit prove 1234 --to event-1234.tlog-proof
    """
    from services.ops.evidence.heads import trusted_keys
    from services.ops.evidence.proofs import prove_row, row_of
    from services.ops.evidence.sources import evidence_at
    from shared.transparency.proofs import render

    with _errors():
        wanted = row_of(row, postgres_url(postgres))
        source = evidence_at(where(evidence))
        made = prove_row(source, wanted, trusted_keys(key or (), source))
        name = f"{'event' if wanted.tree == 'events' else 'entry'}-{wanted.number}{SUFFIX}"
        path = to or Path(name)
        _write(path, render(made.proof))
    if as_json:
        print_json(
            {
                "file": str(path),
                "tree": wanted.tree,
                "number": wanted.number,
                "leaf": made.leaf.decode(),
                "origin": made.checkpoint.origin,
                "size": made.checkpoint.size,
            }
        )
        return
    counted = "event at position" if wanted.tree == "events" else "journal entry with ordinal"
    out.print(f"Proven: the {counted} {wanted.number:,} is in the log. The proof:", markup=False)
    typer.echo(f"  {path}")
    _print_leaf(_fields(made.leaf), made.checkpoint)
    out.print("Check it without the log, with a copy of the verifier keys:")
    out.print(f"  switchboard audit check-proof {path} --key verifier-keys", markup=False)
    out.print("Others' tools for C2SP's tlog-proof check it, too: the leaf is its extra data.")


def check_proof(
    proof: Annotated[Path, typer.Argument(metavar="FILE", help="A proof as `prove` writes it.", dir_okay=False)],
    key: Keys = None,
    leaf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The leaf that is to be proven. Default: the one in the proof.")
    ] = None,
    event: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The stored bytes of the event: their hash has to be that of the leaf."),
    ] = None,
    evidence: Evidence = None,
    as_json: Json = False,
) -> None:
    """Check a proof offline: without the log, and without this deployment where --key is given.

    Example: switchboard audit check-proof event-1234.tlog-proof --key verifier-keys
    """
    import hashlib

    from services.ops.evidence.heads import trusted_keys
    from services.ops.evidence.proofs import NotProvenError
    from services.ops.evidence.proofs import check_proof as checked
    from services.ops.evidence.sources import EvidenceSource, evidence_at

    with _errors():
        source = EvidenceSource("", _nothing) if key else evidence_at(where(evidence))
        given = None if leaf is None else _read(leaf)
        entry, verified = checked(_read(proof), given, trusted_keys(key or (), source))
        fields = _fields(entry)
        if event is not None and hashlib.sha256(_read(event)).hexdigest() != fields.get("sha256"):
            raise NotProvenError(f"Not proven: {event} does not have the hash of the leaf.")
    signers = [{"name": one.key.name, "time": one.time} for one in verified.signatures]
    if as_json:
        found = {"proven": True, "origin": verified.checkpoint.origin, "size": verified.checkpoint.size}
        print_json({**found, "leaf": fields, "signatures": signers})
        return
    out.print(f"Proven: this leaf is in the log, as {len(signers)} trusted keys have signed.")
    _print_leaf(fields, verified.checkpoint)


def consistency(
    old: Annotated[str, typer.Argument(metavar="OLD", help="An older checkpoint.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="A newer checkpoint.")],
    to: To = None,
    evidence: Evidence = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Prove that the log of a newer checkpoint begins with that of an older one: nothing was changed in between.

    The proof is that of RFC 6962, as C2SP's tlog-witness sends it.

    Example: switchboard audit consistency monday/events tuesday/events --to proof
    """
    from services.ops.evidence.heads import trusted_keys
    from services.ops.evidence.proofs import prove_consistency
    from services.ops.evidence.sources import evidence_at

    with _errors():
        source = evidence_at(where(evidence))
        made = prove_consistency(source, old, new, trusted_keys(key or (), source))
        if to is not None:
            _write(to, made.text)
    if as_json:
        print_json(
            {
                "consistent": True,
                "origin": made.new.origin,
                "old": made.old.size,
                "new": made.new.size,
                "proof": made.text.partition(b"\n\n")[0].decode().split("\n")[1:],
            }
        )
        return
    out.print("Proven: nothing between the two checkpoints changed what the older one has.")
    out.print(f"  {old}: {made.old.size:,}", markup=False)
    out.print(f"  {new}: {made.new.size:,}", markup=False)
    if to is None:
        out.print("The hashes of the proof (--to writes it as tlog-witness sends it):")
        typer.echo(made.text.partition(b"\n\n")[0].decode())
    else:
        out.print(f"The proof is in {to}.", markup=False)


@contextmanager
def _errors() -> Iterator[None]:
    """End with a message and the exit code of an error."""
    from services.ops.evidence.heads import WrongInputError
    from services.ops.evidence.proofs import NotProvenError
    from services.ops.evidence.sources import EvidenceUnavailableError
    from services.ops.evidence.tree_process import NotReadError

    try:
        yield
    except WrongInputError as error:
        fail(str(error), USAGE)
    except NotProvenError as error:
        fail(str(error), REFUSED)
    except (NotReadError, EvidenceUnavailableError) as error:
        fail(str(error), NO_ANSWER)


def _nothing(path: str) -> bytes:
    raise FileNotFoundError(path)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{path} cannot be read: {error.strerror}.", USAGE)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}.", USAGE)


def _fields(leaf: bytes) -> dict[str, Any]:
    """
    Raises:
        NotProvenError: it is not a leaf of Switchboard.
    """
    import orjson

    from services.ops.evidence.proofs import NotProvenError

    try:
        fields = orjson.loads(leaf)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise NotProvenError("Not proven: the leaf is neither an event nor a command of Switchboard.")
    return fields


def _print_leaf(fields: dict[str, Any], checkpoint: "Checkpoint") -> None:
    import orjson

    out.print("Log:")
    # A line as long as an origin is copied whole.
    typer.echo(f"  {printable(checkpoint.origin)}")
    out.print(f"  the checkpoint has its first {checkpoint.size:,} rows")
    out.print("Leaf:")
    for name, value in fields.items():
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        typer.echo(f"  {printable(name):12}  {printable(text)}")
