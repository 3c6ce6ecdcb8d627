"""`switchboard audit witness`: the witnesses to which the audit offers each checkpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from services.ops.evidence.options import where
from services.ops.printable import printable
from services.ops.terminal import NO_ANSWER, REFUSED, USAGE, Json, fail, out, print_json

EXIT_CODES: Final = "Exit code 0: done; 1: a witness did not cosign; 2: wrong usage; 3: something could not be read."

app = typer.Typer(
    help="Name the witnesses to which the audit offers each checkpoint. Run it where the audit runs.",
    no_args_is_help=True,
    epilog=EXIT_CODES,
)

Name = Annotated[str, typer.Argument(help="The name for the witness.")]
Folder = Annotated[
    Path | None,
    typer.Option("--evidence", help="The folder. Default: SWITCHBOARD_EVIDENCE_DIR, or `switchboard run`'s."),
]


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="The submission prefix, such as https://witness.example/w1.")],
    vkey: Annotated[str, typer.Argument(help="Its verifier key, which cosigns (0x04 or 0x06).")],
    evidence: Folder = None,
) -> None:
    """Add a witness, or give one another URL and key. The audit asks it within seconds.

    Its operator needs the origins and verifier keys of this log first: switchboard audit evidence keys

    Example: switchboard audit witness add one https://witness.example/w1 witness.example/w1+…
    """
    from shared.evidence.witnesses import Witness, read_witnesses, write_witnesses
    from shared.transparency.notes import InvalidKeyError, VerifierKey

    with _errors():
        try:
            witness = Witness(name, url, VerifierKey.parse(vkey))
        except InvalidKeyError as error:
            fail(f"{error}.", USAGE)
        folder = _folder(evidence)
        write_witnesses(folder, [*(one for one in read_witnesses(folder) if one.name != name), witness])
    out.print(f"{name} is asked for its cosignature of each checkpoint from now on.", markup=False)


@app.command()
def remove(name: Name, evidence: Folder = None) -> None:
    """Remove a witness; the cosignatures that it gave stay.

    Example: switchboard audit witness remove one
    """
    from shared.evidence.witnesses import read_witnesses, write_witnesses

    with _errors():
        folder = _folder(evidence)
        before = read_witnesses(folder)
        if name not in [one.name for one in before]:
            fail(f"There is no witness {name}. Witnesses: {', '.join(one.name for one in before) or 'none'}.", USAGE)
        write_witnesses(folder, [one for one in before if one.name != name])
    out.print(f"{name} is asked no more.", markup=False)


@app.command("list")
def list_(evidence: Folder = None, as_json: Json = False) -> None:
    """Show the witnesses, and which of them have cosigned the present checkpoints.

    Example: switchboard audit witness list
    """
    with _errors():
        found = [_status(one, _folder(evidence)) for one in _witnesses(evidence)]
    if as_json:
        print_json(found)
        return
    if not found:
        out.print("No witnesses. Others cannot tell that the log did not show them another history.")
    for one in found:
        out.print(f"{printable(one['name'])}  {printable(one['url'])}", markup=False)
        for tree, cosigned in one["cosigned"].items():
            text = "not cosigned yet" if cosigned is None else f"cosigned {cosigned['size']:,} at {cosigned['time']}"
            out.print(f"  {tree:8}  {text}", markup=False)


@app.command()
def offer(evidence: Folder = None, as_json: Json = False) -> None:
    """Ask each witness now whether it cosigns the present checkpoints, and show its answer; nothing is kept.

    The audit asks them itself after each checkpoint, and keeps their cosignatures in it.

    Example: switchboard audit witness offer
    """
    with _errors():
        folder = _folder(evidence)
        answers = [_offered(one, tree, folder) for one in _witnesses(evidence) for tree in ("events", "journal")]
    if as_json:
        print_json(answers)
    else:
        for one in answers:
            text = one["error"] or f"{one['name']} cosigns"
            out.print(f"{one['tree']}: {printable(text)}", markup=False)
    if any(one["error"] for one in answers):
        raise typer.Exit(REFUSED)


def _witnesses(evidence: Path | None) -> "list[Any]":
    from shared.evidence.witnesses import read_witnesses

    return read_witnesses(_folder(evidence))


def _status(witness: Any, folder: Path) -> dict[str, Any]:
    from services.ops.evidence.heads import TREES
    from shared.evidence.witnesses import cosignatures
    from shared.transparency.checkpoints import parse_checkpoint
    from shared.transparency.notes import parse_note

    found: dict[str, Any] = {}
    for tree in TREES:
        path = folder / tree / "checkpoint"
        note = parse_note(path.read_bytes()) if path.exists() else None
        signatures = cosignatures(note, [witness]) if note else []
        found[tree] = None
        for one in signatures:
            assert note is not None, "it has a signature"
            time = datetime.fromtimestamp(one.time or 0, UTC).isoformat()
            found[tree] = {"size": parse_checkpoint(note.text).size, "time": time.replace("+00:00", "Z")}
    return {"name": witness.name, "url": witness.url, "key": str(witness.key), "cosigned": found}


def _offered(witness: Any, tree: Any, folder: Path) -> dict[str, Any]:
    from services.ops.evidence.sources import evidence_at
    from shared.evidence.witnesses import WitnessError, cosign
    from shared.transparency.checkpoints import parse_checkpoint
    from shared.transparency.notes import parse_note

    source = evidence_at(str(folder)).tree(tree)
    answer = {"name": witness.name, "tree": tree, "error": None}
    try:
        note = source.checkpoint()
        cosign(witness, note, source.tiles(parse_checkpoint(parse_note(note).text).size))
    except FileNotFoundError:
        answer["error"] = "there is no checkpoint yet"
    except WitnessError as error:
        answer["error"] = str(error)
    return answer


def _folder(evidence: Path | None) -> Path:
    folder = evidence or Path(where(None))
    if not folder.is_dir():
        fail(f"There is no folder {folder}: run this where the audit runs, with its settings.", USAGE)
    return folder


@contextmanager
def _errors() -> Iterator[None]:
    from shared.evidence.witnesses import WitnessListError
    from shared.transparency.errors import TransparencyError

    try:
        yield
    except WitnessListError as error:
        fail(f"{error}.", USAGE)
    except (OSError, TransparencyError) as error:
        fail(f"The evidence cannot be read or written: {error}.", NO_ANSWER)
