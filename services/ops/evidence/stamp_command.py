"""`switchboard audit stamp`: an authority outside signs that it has seen the checkpoints, and when."""

from pathlib import Path
from typing import Annotated, Final

import typer

from services.ops.evidence.options import Evidence, Keys, StampRoots, where
from services.ops.terminal import NO_ANSWER, USAGE, Json, fail, out, print_json

EXIT_CODES: Final = "Exit code 0: stamped; 2: wrong usage; 3: no stamp, or no evidence."


def stamp(
    authority: Annotated[
        str, typer.Option(metavar="URL", envvar="SWITCHBOARD_STAMP_AUTHORITY", help="Of an authority of RFC 3161.")
    ],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to keep checkpoints and stamps.")] = Path(),
    roots: StampRoots = None,
    evidence: Evidence = None,
    key: Keys = None,
    as_json: Json = False,
) -> None:
    """Keep a copy of both checkpoints, and have an authority stamp them by RFC 3161.

    `verify --checkpoint FILE --stamp-roots FILE` then shows since when the log has been so. Openssl verifies it, too.

    Example: switchboard audit stamp --authority https://tsa.example/ --to kept --stamp-roots roots.pem
    """
    from services.ops.evidence.heads import TREES, WrongInputError, opened_head, stamp_of, trusted_keys, trusted_roots
    from services.ops.evidence.sources import EvidenceUnavailableError, evidence_at
    from shared.evidence.stamps import StampError, request_stamp, verify_stamp
    from shared.transparency.errors import TransparencyError

    made = []
    try:
        source = evidence_at(where(evidence))
        keys, trusted = trusted_keys(key or (), source), trusted_roots(roots)
        for tree in TREES:
            note = source.tree(tree).checkpoint()
            size = opened_head("", note, keys, outside=False).checkpoint.size
            answer = request_stamp(authority, note)
            time = verify_stamp(answer, note, trusted).isoformat().replace("+00:00", "Z") if trusted else None
            path = to / f"{tree}-{size}.checkpoint"
            to.mkdir(parents=True, exist_ok=True)
            path.write_bytes(note)
            stamp_of(path).write_bytes(answer)
            made.append({"checkpoint": str(path), "stamp": str(stamp_of(path)), "size": size, "time": time})
    except WrongInputError as error:
        fail(str(error), USAGE)
    except FileNotFoundError as error:
        fail(f"There is no checkpoint yet: {error}.", NO_ANSWER)
    except (StampError, TransparencyError) as error:
        fail(f"Not stamped: {error}.", NO_ANSWER)
    except EvidenceUnavailableError as error:
        fail(str(error), NO_ANSWER)
    except OSError as error:
        fail(f"{to} cannot be written: {error.strerror}.", USAGE)
    if as_json:
        print_json(made)
        return
    for one in made:
        out.print(f"{one['stamp']} stamps {one['checkpoint']}", markup=False)
        out.print(f"  {one['time'] or 'not verified: give the roots that you trust with --stamp-roots'}", markup=False)
