#!/usr/bin/env python3
"""Verify this bundle of a Switchboard log: nobody has changed it since the log signed its checkpoints.

    python3 verify.py [FOLDER] [--keys FILE]

It needs Python 3.9 or later and the command `openssl` (version 3), and no network. It names each line that was changed.
Exit code 0: sound; 1: something was changed or is missing; 2: wrong usage; 3: it could not be checked.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import textwrap
from itertools import zip_longest
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

FORMAT = "switchboard-bundle/1"
MANIFEST, MANIFEST_HASH, KEYS = "manifest.json", "manifest.sha256", "verifier-keys"
# The name of each tree, with what it calls an entry and the number of one.
TREES = {"events": ("event", "position"), "journal": ("entry", "ordinal")}
# Of each file, so many findings are printed.
MOST_SHOWN = 20
LONGEST_TEXT = 1000
# Of the lines on the terminal.
WIDTH = 79

SOUND, FINDINGS, USAGE, NOT_CHECKED = 0, 1, 2, 3

# The beginning of an Ed25519 key in the form that openssl reads (RFC 8410).
KEY_HEAD = bytes.fromhex("302a300506032b6570032100")
ED25519 = b"\x01"
KEY_ID_BYTES = 4
HASH_BYTES = 32
PIECE = 1 << 20

JOURNAL_FIELDS = (
    "ordinal", "entry", "account", "command_id", "recorded_once", "command", "actor", "outcome", "reason", "position",
    "log_position", "recorded_at", "digest", "body", "reply",
)  # fmt: skip
SEALED_FIELDS = ("actor", "digest", "body", "reply")


class WrongError(Exception):
    """Something in the bundle is not as it was; the message says what."""


class NotCheckedError(Exception):
    """It cannot be checked here; the message says what is missing."""


class Head(NamedTuple):
    """A checkpoint: the log with this origin has `size` entries, and `root` is the hash over them."""

    origin: str
    size: int
    root: bytes
    signers: List[str]


class Tree(NamedTuple):
    """A tree of the bundle, as far as it was checked."""

    name: str
    head: Optional[Head]
    lines: int
    complete: bool


class Report:
    """The findings: sentences by the file that they are about."""

    def __init__(self) -> None:
        self.findings: Dict[str, List[str]] = {}
        self.trees: List[Tree] = []
        self.manifest: Dict[str, Any] = {}

    def add(self, file: str, text: str) -> None:
        self.findings.setdefault(file, []).append(text)

    @property
    def sound(self) -> bool:
        return not self.findings

    def lines(self) -> Iterator[str]:
        for file, found in self.findings.items():
            for text in found[:MOST_SHOWN]:
                yield plain(file + ": " + text)
            if len(found) > MOST_SHOWN:
                yield plain(f"{file}: and {len(found) - MOST_SHOWN} more")


def check(folder: Path, trusted: Optional[Sequence[str]] = None) -> Report:
    """Check a bundle, and return everything that is wrong with it.

    Args:
        folder: the bundle.
        trusted: verifier keys from elsewhere; without them those of the bundle count.

    Raises:
        NotCheckedError: there is no openssl here.
    """
    report = Report()
    report.manifest = _manifest(folder, report)
    for name, recorded in sorted(_files_of(report.manifest).items()):
        _check_file(folder, name, recorded, report)
    try:
        own = (folder / KEYS).read_text("utf-8").splitlines()
    except (OSError, ValueError):
        own = []
    for name in TREES:
        if not isinstance(report.manifest.get("trees", {}).get(name), dict):
            report.add(MANIFEST, f"it does not say what the bundle has of the {name}")
            continue
        head = _check_head(folder, name, list(trusted) if trusted is not None else own, report)
        _check_tree(folder, name, head, report)
    return report


# ---- files


def _manifest(folder: Path, report: Report) -> Dict[str, Any]:
    try:
        content = (folder / MANIFEST).read_bytes()
    except OSError as error:
        report.add(MANIFEST, f"it cannot be read: {error.strerror}")
        return {}
    expected = f"{hashlib.sha256(content).hexdigest()}  {MANIFEST}\n".encode()
    try:
        recorded = (folder / MANIFEST_HASH).read_bytes()
    except OSError as error:
        report.add(MANIFEST_HASH, f"it cannot be read: {error.strerror}")
        recorded = expected
    if recorded != expected:
        report.add(MANIFEST, f"it does not fit {MANIFEST_HASH}: one of the two was changed")
    try:
        found = json.loads(content.decode("utf-8"))
        if found["format"] != FORMAT:
            raise WrongError(f"its format is {found['format']!r}, and this program reads {FORMAT}")
    except (ValueError, KeyError, TypeError, WrongError) as error:
        report.add(MANIFEST, f"it is not a manifest: {error}")
        return {}
    return found if isinstance(found.get("trees"), dict) else {**found, "trees": {}}


def _files_of(manifest: Dict[str, Any]) -> Dict[str, Any]:
    files = manifest.get("files")
    return files if isinstance(files, dict) else {}


def _check_file(folder: Path, name: str, recorded: Any, report: Report) -> None:
    if "/" in name or not isinstance(recorded, dict):
        report.add(MANIFEST, f"it has a file {name!r} that no bundle has")
        return
    digest = hashlib.sha256()
    try:
        with (folder / name).open("rb") as file:
            for piece in iter(lambda: file.read(PIECE), b""):
                digest.update(piece)
    except OSError as error:
        report.add(name, f"it cannot be read: {error.strerror}")
        return
    if digest.hexdigest() != recorded.get("sha256"):
        report.add(name, "it was changed: its SHA-256 is not that of the manifest")


# ---- checkpoints


def _check_head(folder: Path, tree: str, keys: List[str], report: Report) -> Optional[Head]:
    file = f"{tree}.checkpoint"
    try:
        head = _verified(folder / file, keys)
    except OSError as error:
        report.add(file, f"it cannot be read: {error.strerror}")
        return None
    except WrongError as error:
        report.add(file, str(error))
        return None
    recorded = report.manifest["trees"][tree]
    same = {"origin": head.origin, "size": head.size, "root": base64.b64encode(head.root).decode("ascii")}
    for name, value in same.items():
        if recorded.get(name) != value:
            report.add(MANIFEST, f"its {name} of the {tree} is not that of {file}")
    return head


def _verified(path: Path, keys: List[str]) -> Head:
    """Read a signed note (C2SP signed-note), and verify its Ed25519 signatures of known keys."""
    try:
        text, _, signatures = path.read_bytes().decode("utf-8").partition("\n\n")
        origin, size, root = text.split("\n")
        head = Head(origin, int(size), _from_base64(root), [])
    except ValueError as error:
        raise WrongError(f"it is not a checkpoint: {error}") from error
    if text != f"{head.origin}\n{head.size}\n{root}" or len(head.root) != HASH_BYTES or not signatures.endswith("\n"):
        raise WrongError("it is not a checkpoint")
    known = {_key_id(key): key for key in keys if key.startswith(f"{origin}+")}
    for line in signatures[:-1].split("\n"):
        name, key_id, signature = _signature(line)
        key = known.get((name, key_id))
        public_key = _from_base64(key.split("+", 2)[2]) if key is not None else b""
        if key is not None and public_key[:1] == ED25519:
            _verify_ed25519(public_key[1:], f"{text}\n".encode(), signature, name)
            head.signers.append(key)
    if not head.signers:
        raise WrongError(f"no known Ed25519 key of {origin} has signed it")
    return head


def _key_id(text: str) -> Tuple[str, bytes]:
    """Return the name and the id of a verifier key, which has to belong to it."""
    try:
        name, key_id, encoded = text.split("+", 2)
        value = _from_base64(encoded)
    except ValueError as error:
        raise WrongError(f"the verifier key {text[:80]!r} cannot be read") from error
    expected = hashlib.sha256(name.encode() + b"\n" + value).digest()[:KEY_ID_BYTES]
    if key_id != expected.hex():
        raise WrongError(f"the id of the verifier key {text[:80]!r} does not belong to it")
    return name, expected


def _signature(line: str) -> Tuple[str, bytes, bytes]:
    try:
        dash, name, encoded = line.split(" ")
        value = _from_base64(encoded)
    except ValueError as error:
        raise WrongError(f"the line of a signature cannot be read: {line[:80]!r}") from error
    if dash != "\N{EM DASH}" or len(value) <= KEY_ID_BYTES:
        raise WrongError(f"the line of a signature cannot be read: {line[:80]!r}")
    return name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:]


def _verify_ed25519(public_key: bytes, message: bytes, signature: bytes, name: str) -> None:
    program = shutil.which("openssl")
    if program is None:
        raise NotCheckedError("there is no openssl here, so no signature can be checked: install OpenSSL 3")
    encoded = base64.b64encode(KEY_HEAD + public_key).decode("ascii")
    pem = f"-----BEGIN PUBLIC KEY-----\n{encoded}\n-----END PUBLIC KEY-----\n"
    with tempfile.TemporaryDirectory() as folder:
        files = {"key": pem.encode(), "message": message, "signature": signature}
        for file, content in files.items():
            (Path(folder) / file).write_bytes(content)
        verify = [program, "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "message"]
        ended = subprocess.run(  # noqa: S603  the command that openssl's manual has
            [*verify, "-sigfile", "signature"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
    said = ended.stdout.decode("utf-8", "replace")
    if ended.returncode and "Signature Verification Failure" not in said:
        raise NotCheckedError(f"openssl cannot check an Ed25519 signature (version 3 can): {said.strip()[:200]}")
    if ended.returncode:
        raise WrongError(f"the signature of {name} does not fit it")


# ---- lines


def _check_tree(folder: Path, tree: str, head: Optional[Head], report: Report) -> None:
    """Check each line and its proof; of a complete tree, the root over all lines."""
    file, proofs = f"{tree}.jsonl", f"{tree}.proofs"
    recorded = report.manifest["trees"][tree]
    complete = recorded.get("complete") is True
    checked = _Lines(tree, complete, head, report)
    try:
        with (folder / file).open("rb") as lines, (folder / proofs).open("rb") as paths:
            for number, (line, path) in enumerate(zip_longest(lines, paths), 1):
                checked.check(number, line, path)
    except OSError:
        # Its file was found missing before.
        report.add(file, "its lines cannot be checked, since it or its proofs cannot be read")
        return
    checked.end(recorded.get("entries"))
    report.trees.append(Tree(tree, head, checked.count, complete))


class _Lines:
    """The lines of one tree, one after the other."""

    def __init__(self, tree: str, complete: bool, head: Optional[Head], report: Report) -> None:
        self.count = 0
        self._tree, self._complete, self._head, self._report = tree, complete, head, report
        self._file, self._proofs = f"{tree}.jsonl", f"{tree}.proofs"
        self._entry, self._number = TREES[tree]
        self._last = 0
        self._missed = False
        # By the lines, and by the hashes in the file of proofs.
        self._roots = (Frontier(), Frontier())
        self._different: List[str] = []

    def check(self, at: int, line: Optional[bytes], path: Optional[bytes]) -> None:
        if line is None:
            self._report.add(self._proofs, f"line {at} proves a line that {self._file} does not have")
            return
        self.count += 1
        where = f"line {at}"
        try:
            number, leaves = _event(line) if self._tree == "events" else _journal_entry(line)
        except (WrongError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            reason = str(error) if isinstance(error, WrongError) else f"it cannot be read: {error!r}"
            self._report.add(self._file, f"line {at}{self._expected(at)}: {reason}")
            self._missed = True
            return
        where += f" ({self._number} {number})"
        self._check_order(where, number)
        try:
            index, leaf, siblings = _proof(path)
        except WrongError as error:
            self._report.add(self._proofs, f"line {at}: {error}")
            self._missed = True
            return
        if index != number - 1:
            self._report.add(self._proofs, f"line {at} is of {self._number} {index + 1}, and the line has {number}")
            self._missed = True
        elif self._complete:
            self._add(where, leaves, leaf, siblings)
        else:
            self._include(where, index, leaves, leaf, siblings)

    def end(self, entries: Any) -> None:
        """Check what only the end shows: the number of lines, and the root."""
        if entries != self.count:
            self._report.add(self._file, f"it has {self.count} lines, and the manifest says {entries}")
        if self._head is None or not self._complete:
            return
        if self.count != self._head.size:
            self._report.add(self._file, f"it has {self.count} lines, and the checkpoint has {self._head.size} entries")
            return
        if self._missed:
            for where in self._different:
                self._report.add(self._file, f"{where} does not fit its hash in {self._proofs}")
            return
        by_lines, by_hashes = (one.root() for one in self._roots)
        changed = self._proofs if by_lines == self._head.root else self._file
        for where in self._different:
            self._report.add(changed, f"{where} was changed")
        if self._head.root not in (by_lines, by_hashes):
            self._report.add(self._file, f"the lines do not lead to the root that {self._tree}.checkpoint signs")

    def _expected(self, at: int) -> str:
        return f" ({self._number} {at})" if self._complete else ""

    def _check_order(self, where: str, number: int) -> None:
        wanted = self._last + 1
        if self._complete and number != wanted:
            self._report.add(self._file, f"{where} is not in its place: {self._number} {wanted} is missing there")
            self._missed = True
        elif number <= self._last:
            self._report.add(self._file, f"{where} comes after {self._number} {self._last}")
        self._last = number

    def _add(self, where: str, leaves: List[bytes], leaf: bytes, siblings: List[bytes]) -> None:
        """Add an entry to the tree. A leaf that is not as hashed before is named at the end, when it is clear why."""
        if siblings:
            self._report.add(self._proofs, f"{where} has a path, which a complete tree does not need")
        own = leaf if leaf in leaves else leaves[0]
        self._roots[0].append(own)
        self._roots[1].append(leaf)
        if own != leaf:
            self._different.append(where)

    def _include(self, where: str, index: int, leaves: List[bytes], leaf: bytes, siblings: List[bytes]) -> None:
        """Check that an entry is in the tree of the checkpoint (RFC 9162, 2.1.3.2)."""
        if self._head is None:
            return
        roots = [root_by(one, index, self._head.size, siblings) for one in leaves]
        if self._head.root in roots:
            if leaf not in leaves:
                self._report.add(self._proofs, f"{where} was changed")
        elif leaf in leaves:
            self._report.add(self._proofs, f"{where} does not lead to the root of the checkpoint")
        else:
            self._report.add(self._file, f"{where} was changed: it does not have the hash of its proof")


def _event(line: bytes) -> Tuple[int, List[bytes]]:
    """Return the position of an event and the leaf hashes that its row may have.

    The log writes null in a leaf for what it cannot read in the stored bytes, so there may be two.
    """
    found = json.loads(line.decode("utf-8"))
    stored = _from_base64(found["stored"])
    expected = _event_line(found, stored)
    if line != expected:
        raise WrongError(_difference(line, expected))
    number = int(found["position"])
    leaf = {
        "position": number,
        "sha256": hashlib.sha256(stored).hexdigest(),
        "stream": found["stream"],
        "topic": found["type"],
        "version": int(found["streamversion"]),
    }
    leaves = [leaf_hash({**leaf, "account": None, "time": None})]
    account, time = _in_envelope(stored)
    if account is not None or time is not None:
        leaves.insert(0, leaf_hash({**leaf, "account": account, "time": time}))
    return number, leaves


def _event_line(found: Dict[str, Any], stored: bytes) -> bytes:
    """Make the line of an event again, from its stored bytes and the columns beside them."""
    topic, stream = found["type"], found["stream"]
    position, version = int(found["position"]), int(found["streamversion"])
    attributes = {"specversion": "1.0", "id": f"position/{position}", "source": "/switchboard/connections"}
    data = None
    if "data" not in found:
        attributes["type"] = topic
        attributes.update({"position": str(position), "streamversion": str(version)})
    else:
        at = stored.index(b',"data":')
        envelope, data = json.loads((stored[:at] + b"}").decode("utf-8")), stored[at + 8 : -1]
        attributes["id"] = envelope["id"]
        attributes["type"] = topic
        attributes["datacontenttype"] = "application/json"
        attributes["dataschema"] = "urn:switchboard:v1:events:" + topic.removeprefix("switchboard.")
        attributes["subject"] = _subject(found, stream, envelope["account"])
        attributes.update({"time": envelope["time"], "account": envelope["account"]})
        attributes.update({"position": str(position), "streamversion": str(version)})
        attributes.update({"actor": envelope["actor"], "causationid": envelope["command_id"]})
        if envelope["correlation_id"]:
            attributes["correlationid"] = envelope["correlation_id"]
        if envelope["traceparent"]:
            attributes["traceparent"] = envelope["traceparent"]
    attributes["sequence"] = f"{position:020d}"
    attributes["stream"] = stream
    attributes["stored"] = base64.b64encode(stored).decode("ascii")
    head = _compact(attributes)
    return head + b"\n" if data is None else head[:-1] + b',"data":' + data + b"}\n"


def _subject(found: Dict[str, Any], stream: str, account: str) -> str:
    """Return the subject of an event, if it is one that an event like this can have."""
    data = found["data"]
    possible = {f"address/{stream}", f"account/{account}"}
    possible |= {f"{one}/{data[one]}" for one in ("user", "inbox") if isinstance(data, dict) and one in data}
    if found["subject"] not in possible:
        raise WrongError(f"its subject is {found['subject']!r}, which does not fit the stored bytes")
    return str(found["subject"])


def _in_envelope(stored: bytes) -> Tuple[Optional[str], Optional[str]]:
    try:
        envelope = json.loads(stored.decode("utf-8"))
        account, time = envelope.get("account"), envelope.get("time")
    except (ValueError, AttributeError, RecursionError):
        return None, None
    return account if isinstance(account, str) else None, time if isinstance(time, str) else None


def _journal_entry(line: bytes) -> Tuple[int, List[bytes]]:
    """Return the ordinal of a journal entry, and its leaf hash."""
    found = json.loads(line.decode("utf-8"))
    expected = _compact({name: found[name] for name in JOURNAL_FIELDS}) + b"\n"
    if line != expected:
        raise WrongError(_difference(line, expected))
    leaf = {name: found[name] for name in JOURNAL_FIELDS if name not in SEALED_FIELDS}
    digest = None if found["digest"] is None else _from_base64(found["digest"])
    actor = None if found["actor"] is None else found["actor"].encode("utf-8")
    sealed = (actor, digest, _bytes_of(found["body"]), _bytes_of(found["reply"]))
    leaf["sha256"] = hashlib.sha256(b"".join(map(_framed, sealed))).hexdigest()
    return found["ordinal"], [leaf_hash(leaf)]


def _bytes_of(value: Union[None, str, Dict[str, str]]) -> Optional[bytes]:
    """Return stored bytes: a text where they are UTF-8, else base64 in an object."""
    if value is None or isinstance(value, str):
        return None if value is None else value.encode("utf-8")
    found = _from_base64(value["base64"])
    try:
        found.decode("utf-8")
    except ValueError:
        return found
    raise WrongError("it has base64 where a text is written")


def _framed(value: Optional[bytes]) -> bytes:
    return b"\x00" if value is None else b"\x01" + len(value).to_bytes(8, "big") + value


def _proof(line: Optional[bytes]) -> Tuple[int, bytes, List[bytes]]:
    """Return the index of a leaf, its hash, and the hashes of its path."""
    if line is None:
        raise WrongError("it is missing")
    try:
        index, leaf, *siblings = line.decode("ascii").rstrip("\n").split(" ")
        found = int(index), _hash(leaf), [_hash(one) for one in siblings]
    except ValueError as error:
        raise WrongError(f"it cannot be read: {error}") from error
    if line != (" ".join([str(found[0]), leaf, *siblings]) + "\n").encode("ascii"):
        raise WrongError("it is not written as a proof is")
    return found


# ---- trees (RFC 6962)


def leaf_hash(leaf: Dict[str, Any]) -> bytes:
    """Return the hash of a leaf, which is canonical JSON; a long text in it is written as its SHA-256."""
    short = {name: _shortened(value) for name, value in leaf.items()}
    entry = json.dumps(short, separators=(",", ":"), sort_keys=True).encode("ascii")
    return hashlib.sha256(b"\x00" + entry).digest()


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return {"sha256": hashlib.sha256(value.encode("utf-8")).hexdigest()}
    return value


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows, as the roots of its largest full subtrees."""

    def __init__(self) -> None:
        self._roots: List[Optional[bytes]] = []

    def append(self, leaf: bytes) -> None:
        level = 0
        while level < len(self._roots):
            left = self._roots[level]
            if left is None:
                break
            leaf, self._roots[level] = node_hash(left, leaf), None
            level += 1
        if level == len(self._roots):
            self._roots.append(None)
        self._roots[level] = leaf

    def root(self) -> bytes:
        right = None
        for left in self._roots:
            if left is not None:
                right = left if right is None else node_hash(left, right)
        return hashlib.sha256(b"").digest() if right is None else right


def root_by(leaf: bytes, index: int, size: int, siblings: Sequence[bytes]) -> Optional[bytes]:
    """Return the root to which a path leads; None where the path is not one of this leaf."""
    last = size - 1
    if not 0 <= index <= last:
        return None
    found = leaf
    for sibling in siblings:
        if last == 0:
            return None
        if index & 1 or index == last:
            found = node_hash(sibling, found)
            while index and not index & 1:
                index, last = index >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        index, last = index >> 1, last >> 1
    return found if last == 0 else None


# ---- texts


def _compact(value: Dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def _from_base64(text: str) -> bytes:
    value = base64.b64decode(text.encode("ascii"), validate=True)
    if base64.b64encode(value).decode("ascii") != text:
        raise binascii.Error("not the one spelling of base64")
    return value


def _hash(text: str) -> bytes:
    value = _from_base64(text)
    if len(value) != HASH_BYTES:
        raise ValueError(f"a hash has {HASH_BYTES} bytes, not {len(value)}")
    return value


def _difference(line: bytes, expected: bytes) -> str:
    same = next((at for at, (a, b) in enumerate(zip(line, expected)) if a != b), min(len(line), len(expected)))
    return f"it was changed: from byte {same + 1} on it is not what its stored bytes say"


def plain(text: str) -> str:
    """Replace what a terminal may act on, or cannot show."""
    return "".join(one if " " <= one <= "~" else one.encode("unicode_escape").decode("ascii") for one in text)


# ---- the program


def explain(report: Report, outside: bool) -> Iterator[str]:
    """Say in plain words what is proven, and what is not."""
    yield "Proven:"
    for tree in report.trees:
        if tree.head is not None:
            yield from _proven(tree, tree.head)
    yield "  Each line has the stored bytes, and everything else in it follows from them."
    yield "Not proven:"
    if not all(tree.complete for tree in report.trees):
        yield "  That the bundle is complete: it is an extract. Its entries are in the log; others may be, too."
    yield "  Anything after the checkpoints, and that what the log says is true: only that it is unchanged."
    yield "  The part `made` of the manifest, on who wanted this bundle and when: nobody signed that."
    if outside:
        return
    yield (
        "  The owner of the keys. Compare these lines with the verifier keys that you got another way, or give "
        "those with --keys. Take this program from another place, too, if you do not trust the bundle."
    )
    for tree in report.trees:
        for signer in tree.head.signers if tree.head else ():
            yield f"    {plain(signer)}"


def _proven(tree: Tree, head: Head) -> Iterator[str]:
    entry, number = TREES[tree.name]
    words = f"{tree.lines:,} {entry if tree.lines == 1 else 'entries' if entry == 'entry' else 'events'}"
    unchanged = f"unchanged since the log {plain(head.origin)} signed it."
    if tree.complete:
        yield f"  {words}, {number} 1 to {head.size:,}: these are all up to the checkpoint, in their order, {unchanged}"
    else:
        yield f"  {words} of the {head.size:,} up to the checkpoint: each is in the log at its {number}, {unchanged}"


def main(arguments: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).resolve().parent, help="the bundle")
    parser.add_argument("--keys", type=Path, help="verifier keys that you got another way, one a line")
    given = parser.parse_args(arguments)
    try:
        trusted = None if given.keys is None else given.keys.read_text("utf-8").splitlines()
        report = check(given.folder, trusted)
    except (NotCheckedError, OSError, ValueError) as error:
        print(f"NOT CHECKED: {plain(str(error))}", file=sys.stderr)
        return NOT_CHECKED
    for line in report.lines():
        print(line)
    if not report.sound:
        print("CHANGED: this bundle is not as it was made. The lines above say where.")
        return FINDINGS
    print("SOUND")
    for line in explain(report, trusted is not None):
        indent = line[: len(line) - len(line.lstrip())]
        print(textwrap.fill(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False))
    return SOUND


if __name__ == "__main__":
    sys.exit(main())
