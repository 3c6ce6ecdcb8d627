"""Defects to plant in the checkpoints and trees of the audit. With those of the other pages `DEFECTS` is complete."""

from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.ops.evidence.findings import Finding, Kind
from shared.transparency.checkpoints import Checkpoint, parse_checkpoint
from shared.transparency.notes import Ed25519Signer, Note, parse_note, render
from tests.faults.evidence import Evidence
from tests.faults.planting import defect
from tests.faults.planting_past import DEFECTS

__all__ = ["DEFECTS"]


def with_signed(found: Evidence, **changes: Any) -> Evidence:
    return replace(found, signed=found.signed._replace(**changes))


def head_of(note: bytes) -> Checkpoint:
    return parse_checkpoint(parse_note(note).text)


@defect("a checkpoint was changed after it was signed", "checkpoints without valid signatures")
def _(found: Evidence) -> Evidence:
    tree, note = found.signed.notes[0]
    size = str(head_of(note).size)
    larger = note.replace(f"\n{size}\n".encode(), f"\n{size}0\n".encode())
    return with_signed(found, notes=[(tree, larger), *found.signed.notes[1:]])


@defect("a killed process has signed another branch", "checkpoints that contradict each other")
def _(found: Evidence) -> Evidence:
    tree, note = found.signed.notes[len(found.signed.notes) // 2]
    head = head_of(note)
    # The planter has no key of the log; to the checker it is one more.
    signer = Ed25519Signer(head.origin, Ed25519PrivateKey.generate())
    text = Checkpoint(head.origin, head.size, bytes(32)).text
    branch = tree, render(Note(text, (signer.sign(text),)))
    return with_signed(found, notes=[branch, *found.signed.notes], keys=[*found.signed.keys, signer.key])


@defect("a leaf is not that of its row", "last checkpoints that are not of the log")
def _(found: Evidence) -> Evidence:
    leaves = list(found.signed.leaves["journal"])
    leaves[3] += b" "
    return with_signed(found, leaves={**found.signed.leaves, "journal": leaves})


@defect("the last event is never signed", "not signed to the end")
def _(found: Evidence) -> Evidence:
    leaves = {**found.signed.leaves, "events": [*found.signed.leaves["events"], b"{}"]}
    return with_signed(found, leaves=leaves)


@defect("an event was changed after it was signed", "found by a verification of the log")
def _(found: Evidence) -> Evidence:
    return with_signed(found, findings=[("events", Finding(Kind.CHANGED, 4, 5))])
