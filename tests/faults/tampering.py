"""Attacks of somebody who owns the database, the folder of the evidence, or the signing key; each on a copy.

An attack changes the copy, and returns the findings that name it. The rows of a copy are those of a transaction that
is rolled back; what is verified is read through the same connection.
"""

import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg

from services.audit.evidence.folder import TreeFolder
from services.audit.evidence.growth import GrowingTree
from services.audit.evidence.keys import KeyFolder, KeyPair, sign, verifier_keys
from services.ops.evidence.findings import Kind
from services.ops.evidence.tree_process import leaves_of
from shared.process import clock
from shared.process.row_scan import RowScan
from shared.process.tree_files import TREES, VERIFIER_KEYS
from shared.transparency.checkpoints import Checkpoint, Tree
from shared.transparency.tiles import TILE_WIDTH, bundle, entries_of, entries_path, tile_path
from tests.ops.evidence import attacks

LONGEST_RUN: Final = 20
# What a sound tree says about rows after its last checkpoint; not a finding.
UNPROTECTED: Final = "unprotected"


class Found(NamedTuple):
    """A finding without its text."""

    tree: str
    kind: str
    first: int | None = None
    last: int | None = None
    to: int | None = None


@dataclass(frozen=True)
class Original:
    """A log of which nobody changed anything, signed up to its end, and what an auditor has kept elsewhere.

    Args:
        backup: the folder of the evidence as it was at the early checkpoints.
        early, late: files of the checkpoints of both trees, on the way and at the end.
        heads, early_heads: the same checkpoints by tree.
        vkeys: the file of the verifier keys that the auditor has kept.
    """

    url: str
    evidence: Path
    backup: Path
    keys: Path
    early: Sequence[str]
    late: Sequence[str]
    heads: Mapping[str, Checkpoint]
    early_heads: Mapping[str, Checkpoint]
    vkeys: str


@dataclass
class Copy:
    """A copy of the log and its evidence, and what is given to a verification of it.

    Args:
        connection: in a transaction that is rolled back.
        folder: an empty one, for evidence that the attack makes.
        evidence: where the evidence of the copy is; that of the original until an attack has one of its own.
        unseen: what keeps a verification from naming it without `checkpoints` and `vkeys`, or at all.
    """

    original: Original
    connection: psycopg.Connection[Any]
    chance: random.Random
    folder: Path
    evidence: Path
    checkpoints: Sequence[str] = ()
    vkeys: Sequence[str] = ()
    starts: Sequence[str] = ()
    unseen: str | None = None
    scan: RowScan = field(init=False)

    def __post_init__(self) -> None:
        self.scan = RowScan(self.connection)

    def tree(self) -> Tree:
        return self.chance.choice(TREES)

    def size(self, tree: Tree) -> int:
        return self.original.heads[tree].size

    def number(self, tree: Tree, last: int = 0) -> int:
        """A number of a row, not one of the `last` ones."""
        return self.chance.randint(1, self.size(tree) - last)

    def two(self, tree: Tree) -> tuple[int, int]:
        """Two numbers, the smaller one first."""
        one, other = sorted(self.chance.sample(range(1, self.size(tree) + 1), 2))
        return one, other

    def with_files(self, evidence: Path | None = None) -> Path:
        """Copy the evidence, and return the folder of the copy."""
        shutil.copytree(evidence or self.original.evidence, self.folder / "evidence")
        self.evidence = self.folder / "evidence"
        return self.evidence


Attack = Callable[[Copy], Sequence[Found]]
ATTACKS: Final[dict[str, Attack]] = {}


def attack(what: str) -> Callable[[Attack], Attack]:
    def add(one: Attack) -> Attack:
        assert what not in ATTACKS
        ATTACKS[what] = one
        return one

    return add


def changed(tree: Tree, first: int, last: int | None = None) -> Found:
    return Found(tree, Kind.CHANGED, first, last or first)


def missing(tree: Tree, first: int, last: int | None = None) -> Found:
    return Found(tree, Kind.MISSING, first, last or first)


def moved(tree: Tree, first: int, last: int, to: int) -> list[Found]:
    """None where there are no such rows."""
    return [Found(tree, Kind.MOVED, first, last, to)] if first <= last else []


def ended(tree: Tree, first: int, last: int) -> Found:
    return Found(tree, Kind.ROLLED_BACK, first, last)


# ---- columns


def change_column(tree: Tree, column: str, copy: Copy) -> Sequence[Found]:
    number = copy.number(tree)
    # Its owner drops an index that is in the way.
    copy.connection.execute("DROP INDEX connections.journal_command_idx")
    attacks.change_column(copy.connection, tree, number, column)
    return [changed(tree, number)]


COLUMNS: Final[Mapping[Tree, Iterable[str]]] = {"events": attacks.EVENT_CHANGES, "journal": attacks.JOURNAL_CHANGES}
for _tree in TREES:
    for _column in COLUMNS[_tree]:
        attack(f"{_tree}.{_column} of a row is changed")(partial(change_column, _tree, _column))


@attack("a byte of an event is changed")
def _(copy: Copy) -> Sequence[Found]:
    position = copy.number("events")
    attacks.change_byte(copy.connection, position, copy.chance.randrange(1_000))
    return [changed("events", position)]


@attack("some events in a row are changed")
def _(copy: Copy) -> Sequence[Found]:
    first = copy.number("events", LONGEST_RUN)
    last = first + copy.chance.randrange(1, LONGEST_RUN)
    for position in range(first, last + 1):
        attacks.change_byte(copy.connection, position)
    return [changed("events", first, last)]


@attack("two events exchange their contents")
def _(copy: Copy) -> Sequence[Found]:
    one, other = copy.two("events")
    exchange = """
        UPDATE connections.events e SET topic = o.topic, state = o.state FROM connections.events o
        WHERE (e.notification_id, o.notification_id) IN ((%(one)s, %(other)s), (%(other)s, %(one)s))
    """
    copy.connection.execute(exchange, {"one": one, "other": other})
    return [changed("events", one, other)] if other == one + 1 else [changed("events", one), changed("events", other)]


# ---- rows


@attack("a row is deleted")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    number, size = copy.number(tree), copy.size(tree)
    attacks.delete(copy.connection, tree, number)
    return [missing(tree, number), *([ended(tree, size, size)] if number == size else [])]


@attack("a row is deleted, and the gap is closed")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    number, size = copy.number(tree), copy.size(tree)
    attacks.delete_and_close(copy.connection, tree, number)
    return [missing(tree, number), *moved(tree, number + 1, size, number), ended(tree, size, size)]


@attack("a refusal is deleted")
def _(copy: Copy) -> Sequence[Found]:
    ordinal = copy.chance.choice(attacks.refusals(copy.connection)[:-1])
    attacks.delete(copy.connection, "journal", ordinal)
    return [missing("journal", ordinal)]


@attack("a refusal is deleted, and the gap is closed")
def _(copy: Copy) -> Sequence[Found]:
    ordinal, size = copy.chance.choice(attacks.refusals(copy.connection)[:-1]), copy.size("journal")
    attacks.delete_and_close(copy.connection, "journal", ordinal)
    return [missing("journal", ordinal), *moved("journal", ordinal + 1, size, ordinal), ended("journal", size, size)]


@attack("a row is inserted")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    number = copy.number(tree)
    attacks.insert(copy.connection, tree, number)
    return [Found(tree, Kind.INSERTED, number, number), *moved(tree, number, copy.size(tree), number + 1)]


@attack("a second event has the position of another")
def _(copy: Copy) -> Sequence[Found]:
    one, other = copy.two("events")
    copy.connection.execute("DROP INDEX connections.events_notification_id_idx")
    second = """
        INSERT INTO connections.events SELECT gen_random_uuid(), 1, topic, state, %s
        FROM connections.events WHERE notification_id = %s
    """
    copy.connection.execute(second, (one, other))
    return [Found("events", Kind.INSERTED, one, one)]


@attack("two rows change places")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    one, other = copy.two(tree)
    attacks.swap(copy.connection, tree, one, other)
    return [*moved(tree, one, one, other), *moved(tree, other, other, one)]


@attack("a row is moved to a later place")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    one, to = copy.two(tree)
    attacks.move(copy.connection, tree, one, to)
    return [*moved(tree, one, one, to), *moved(tree, one + 1, to, one)]


@attack("a row gets a number beyond the end")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    number, size = copy.number(tree, last=1), copy.size(tree)
    beyond = size + copy.chance.randint(2, 1_000)
    attacks.renumber(copy.connection, tree, number, beyond)
    return [*moved(tree, number, number, beyond), missing(tree, size + 1, beyond - 1)]


@attack("an event gets no position")
def _(copy: Copy) -> Sequence[Found]:
    position = copy.number("events", last=1)
    attacks.renumber(copy.connection, "events", position, -position)
    return [missing("events", position), Found("events", Kind.INSERTED)]


@attack("the tail is deleted")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    left, size = copy.chance.randrange(copy.size(tree)), copy.size(tree)
    attacks.truncate(copy.connection, tree, left)
    return [missing(tree, left + 1, size), ended(tree, left + 1, size)]


@attack("a row is changed that no checkpoint protects yet")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    last = copy.size(tree) + 1
    attacks.insert(copy.connection, tree, last - 1)
    attacks.swap(copy.connection, tree, last - 1, last)
    attacks.change_column(copy.connection, tree, last, "state" if tree == "events" else "reply")
    copy.unseen = "named as unprotected, not as changed"
    return [Found(tree, UNPROTECTED, last, last)]


# ---- files of the evidence


@attack("a byte of a tile is changed")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    number, size = copy.number(tree), copy.size(tree)
    index, at = divmod(number - 1, TILE_WIDTH)
    path = copy.with_files() / tree / tile_path(0, index, min(size - index * TILE_WIDTH, TILE_WIDTH))
    flip(path, at * 32 + copy.chance.randrange(32))
    damaged = Found(tree, Kind.DAMAGED_EVIDENCE)
    return [changed(tree, number), Found(tree, Kind.CONTRADICTION, 1, size), damaged]


@attack("a byte of a tile above the leaves is changed")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    width = copy.size(tree) // TILE_WIDTH
    flip(copy.with_files() / tree / tile_path(1, 0, width), copy.chance.randrange(width * 32))
    return [Found(tree, Kind.DAMAGED_EVIDENCE)]


@attack("a byte of a bundle of entries is changed")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    number, size = copy.number(tree), copy.size(tree)
    index, at = divmod(number - 1, TILE_WIDTH)
    path = copy.with_files() / tree / entries_path(index, min(size - index * TILE_WIDTH, TILE_WIDTH))
    before = bundle(entries_of(path.read_bytes())[:at])
    flip(path, len(before) + 2 + copy.chance.randrange(20))
    return [Found(tree, Kind.DAMAGED_EVIDENCE)]


@attack("a tile is deleted")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    index = (copy.number(tree) - 1) // TILE_WIDTH
    (copy.with_files() / tree / tile_path(0, index, min(copy.size(tree) - index * TILE_WIDTH, TILE_WIDTH))).unlink()
    return [Found(tree, Kind.DAMAGED_EVIDENCE)]


@attack("a byte of a checkpoint is changed")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    path = copy.with_files() / tree / "checkpoint"
    root = path.read_bytes().split(b"\n")[2]
    flip(path, path.read_bytes().index(root) + copy.chance.randrange(40))
    return [Found(tree, Kind.UNTRUSTED)]


def flip(path: Path, at: int) -> None:
    """Change one byte, to one that is a letter where it was one."""
    content = bytearray(path.read_bytes())
    content[at] = ord("A" if content[at] != ord("A") else "B")
    path.write_bytes(content)


# ---- with the signing key, or another


@attack("an event is changed, and everything is signed again with the stolen key")
def _(copy: Copy) -> Sequence[Found]:
    position = copy.number("events")
    attacks.change_byte(copy.connection, position)
    sign_again(copy, stolen(copy))
    return unseen_but_by_checkpoints(copy, "events", position)


@attack("a refusal becomes something else, and everything is signed again with the stolen key")
def _(copy: Copy) -> Sequence[Found]:
    ordinal = copy.chance.choice(attacks.refusals(copy.connection))
    attacks.change_column(copy.connection, "journal", ordinal, "outcome")
    sign_again(copy, stolen(copy))
    return unseen_but_by_checkpoints(copy, "journal", ordinal)


@attack("a refusal is deleted, the gap is closed, and everything is signed again with the stolen key")
def _(copy: Copy) -> Sequence[Found]:
    ordinal, size = copy.chance.choice(attacks.refusals(copy.connection)[:-1]), copy.size("journal")
    attacks.delete_and_close(copy.connection, "journal", ordinal)
    sign_again(copy, stolen(copy))
    found = unseen_but_by_checkpoints(copy, "journal", ordinal)
    return [*(one for one in found if one.last != size), ended("journal", size, size)]


@attack("an event is changed, and everything is signed again with another key")
def _(copy: Copy) -> Sequence[Found]:
    attacks.change_byte(copy.connection, copy.number("events"))
    sign_again(copy, foreign(copy))
    copy.vkeys = [copy.original.vkeys]
    copy.unseen = "only with verifier keys from outside: those beside are the attacker's"
    return [Found(tree, Kind.UNTRUSTED) for tree in TREES]


@attack("another branch of the log was shown to an auditor")
def _(copy: Copy) -> Sequence[Found]:
    tree = copy.tree()
    copy.connection.execute("SAVEPOINT branch")
    attacks.change_column(copy.connection, tree, copy.number(tree), "state" if tree == "events" else "reply")
    sign_again(copy, stolen(copy))
    copy.connection.execute("ROLLBACK TO branch")
    copy.checkpoints = [str(copy.evidence / tree / "checkpoint")]
    copy.evidence = copy.original.evidence
    copy.unseen = "only with a checkpoint from outside: the log agrees with its own checkpoints"
    return [Found(tree, Kind.CONTRADICTION, 1, copy.size(tree))]


def unseen_but_by_checkpoints(copy: Copy, tree: Tree, number: int) -> list[Found]:
    """The findings where a row was changed, and everything that has the log fits that."""
    copy.checkpoints = [*copy.original.early, *copy.original.late]
    copy.unseen = "only with a checkpoint from outside: the signatures are valid"
    early, late = copy.original.early_heads[tree].size, copy.size(tree)
    if number > early:
        return [Found(tree, Kind.CONTRADICTION, early + 1, late)]
    return [Found(tree, Kind.CONTRADICTION, 1, size) for size in (early, late)]


def stolen(copy: Copy) -> list[KeyPair]:
    return KeyFolder(copy.original.keys, copy.original.evidence / VERIFIER_KEYS).pairs()


def foreign(copy: Copy) -> list[KeyPair]:
    return KeyFolder(copy.folder / "keys", copy.folder / "none").pairs_or_first()


def sign_again(copy: Copy, pairs: Sequence[KeyPair]) -> None:
    """Make both trees again of the rows as they are now, in a folder of its own, under the same origins."""
    copy.evidence = copy.folder / "signed-again"
    for tree in TREES:
        folder = TreeFolder(copy.evidence, tree)
        growing = GrowingTree(folder)
        for _, leaves in leaves_of(copy.scan, tree, 0):
            growing.append(leaves)
        growing.write_edge()
        origin = copy.original.heads[tree].origin
        folder.write_checkpoint(sign(Checkpoint(origin, growing.size, growing.root()), pairs, clock.posix_seconds()))
        folder.write_verifier_keys(origin, verifier_keys(origin, pairs))


# ---- backups


@attack("a backup of the database is restored")
def _(copy: Copy) -> Sequence[Found]:
    return [one for tree in TREES for one in restored(copy, tree)]


@attack("a backup of everything is restored")
def _(copy: Copy) -> Sequence[Found]:
    found = [restored(copy, tree)[1] for tree in TREES]
    copy.evidence = copy.original.backup
    copy.checkpoints = copy.original.late
    copy.unseen = "only with a checkpoint from outside: it is how everything was once"
    return found


@attack("a backup of the database is restored, and the log goes on from there")
def _(copy: Copy) -> Sequence[Found]:
    (_, lost), size = restored(copy, "events"), copy.size("events")
    assert lost.first is not None
    other = """
        INSERT INTO connections.events SELECT gen_random_uuid(), 1, topic, state, notification_id + %s
        FROM connections.events WHERE notification_id <= %s
    """
    copy.connection.execute(other, (lost.first - 1, size - lost.first + 1))
    return [changed("events", lost.first, size)]


@attack("a backup of everything is restored, and the log goes on from there with the stolen key")
def _(copy: Copy) -> Sequence[Found]:
    early, size = copy.original.early_heads["events"].size, copy.size("events")
    for position in range(early + 1, size + 1):
        attacks.change_byte(copy.connection, position)
    sign_again(copy, stolen(copy))
    return unseen_but_by_checkpoints(copy, "events", early + 1)


def restored(copy: Copy, tree: Tree) -> tuple[Found, Found]:
    """Bring back the rows as they were at the early checkpoint."""
    early, size = copy.original.early_heads[tree].size, copy.size(tree)
    attacks.truncate(copy.connection, tree, early)
    return missing(tree, early + 1, size), ended(tree, early + 1, size)
