"""Notes are read, signed and verified as signed-note and tlog-cosignature say."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from shared.transparency.checkpoints import Checkpoint, InvalidCheckpointError, parse_checkpoint
from shared.transparency.notes import (
    Ed25519Signer,
    InvalidKeyError,
    InvalidNoteError,
    MlDsaSigner,
    Note,
    NoteSignature,
    SignatureType,
    UntrustedNoteError,
    VerifiedSignature,
    VerifierKey,
    open_note,
    parse_note,
    render,
)
from tests.transparency.stored_tree import WitnessSigner, line

CORPORA = Path(__file__).parents[1] / "corpora"
# The examples of signed-note and tlog-checkpoint, and of the notes of Go's checksum database.
FOO = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = """\
This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
""".encode()
POEM = """\
Ognuno sta solo sul cuor della terra
trafitto da un raggio di sole:

ed è subito sera.

— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=
""".encode()  # noqa: E501  one line of the format
SOFA_NOTE = """\
example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==
""".encode()  # noqa: E501  one line of the format
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
BOTH_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=
""".encode()

TEXT = Checkpoint("log.example/events", 7, b"\x07" * 32).text
LOG = Ed25519Signer("log.example/events", Ed25519PrivateKey.generate())
ML_DSA = MlDsaSigner("log.example/events", MLDSA44PrivateKey.generate())
WITNESS = WitnessSigner("witness.example/w1")
NOW = 1_796_000_000


@pytest.mark.parametrize(("data", "vkey"), [(FOO_NOTE, FOO), (BOTH_NOTE, PETER), (BOTH_NOTE, ENOCH)])
def test_the_published_notes_verify_under_the_published_keys(data: bytes, vkey: str) -> None:
    key = VerifierKey.parse(vkey)
    assert open_note(parse_note(data), [key]) == [VerifiedSignature(key, None)]
    assert str(key) == vkey


@pytest.mark.parametrize("data", [FOO_NOTE, POEM, SOFA_NOTE, BOTH_NOTE])
def test_the_published_notes_are_written_as_they_were_read(data: bytes) -> None:
    assert render(parse_note(data)) == data


def test_a_text_may_have_empty_lines() -> None:
    assert parse_note(POEM).text.endswith("sole:\n\ned è subito sera.\n")
    assert parse_note(b"a\n\n\n\n" + line("k", b"1234", b"5").encode()).text == "a\n\n\n"


def test_a_public_witness_of_both_kinds_verifies_with_its_time() -> None:
    note = parse_note((CORPORA / "witnessed-checkpoint.txt").read_bytes())
    keys = [VerifierKey.parse(vkey) for vkey in (CORPORA / "witness-keys.txt").read_text().split()]
    assert open_note(note, keys) == [VerifiedSignature(key, 1_785_704_691) for key in keys]
    assert [key.kind.name for key in keys] == ["ED25519_COSIGNATURE", "ML_DSA_44_COSIGNATURE"]
    assert parse_checkpoint(note.text).size == 185_550_722
    changed = Note(note.text.replace("185550722", "185550723"), note.signatures)
    for key in keys:
        with pytest.raises(UntrustedNoteError):
            open_note(changed, [key])


def test_a_log_and_its_witness_sign_one_note() -> None:
    note = Note(TEXT, (LOG.sign(TEXT), ML_DSA.sign(TEXT, NOW), WITNESS.sign(TEXT, NOW + 1)))
    read = parse_note(render(note))
    assert read == note
    assert open_note(read, [WITNESS.key, ML_DSA.key, LOG.key]) == [
        VerifiedSignature(LOG.key, None), VerifiedSignature(ML_DSA.key, NOW), VerifiedSignature(WITNESS.key, NOW + 1)
    ]  # fmt: skip


def test_the_message_of_an_ml_dsa_cosignature_is_the_structure_of_the_specification() -> None:
    private_key = MLDSA44PrivateKey.generate()
    signature = MlDsaSigner("cosigner", private_key).sign(TEXT, NOW).signature
    message = (
        b"subtree/v1\n\x00" + b"\x08cosigner" + NOW.to_bytes(8, "big") + b"\x12log.example/events"
        + bytes(8) + (7).to_bytes(8, "big") + b"\x07" * 32
    )  # fmt: skip
    public_key = MLDSA44PublicKey.from_public_bytes(private_key.public_key().public_bytes_raw())
    public_key.verify(signature[8:], message)
    assert signature[:8] == NOW.to_bytes(8, "big")
    assert len(signature) == 8 + 2420


def test_an_ml_dsa_key_commits_to_its_name_and_leaves_extension_lines_out() -> None:
    signature = ML_DSA.sign(TEXT, NOW).signature
    assert ML_DSA.key.verify(TEXT + "an extension\n", signature) == NOW
    renamed = VerifierKey("another.example", SignatureType.ML_DSA_44_COSIGNATURE, ML_DSA.key.public_key)
    with pytest.raises(UntrustedNoteError, match="does not fit the text"):
        renamed.verify(TEXT, signature)


def test_an_ml_dsa_key_signs_only_checkpoints_at_times_that_are() -> None:
    with pytest.raises(InvalidCheckpointError):
        ML_DSA.sign("not a checkpoint\n", NOW)
    for time in (-1, 2**63):
        with pytest.raises(InvalidNoteError, match="the time of a signature"):
            ML_DSA.sign(TEXT, time)
    with pytest.raises(InvalidNoteError, match="an origin of at most 255 bytes"):
        ML_DSA.sign(Checkpoint("a" * 256, 1, b"\x00" * 32).text, NOW)
    with pytest.raises(UntrustedNoteError, match="cannot be of this text"):
        ML_DSA.key.verify("not a checkpoint\n", ML_DSA.sign(TEXT, NOW).signature)


@pytest.mark.parametrize("key", [LOG.key, ML_DSA.key, WITNESS.key], ids=["log", "ml-dsa", "witness"])
def test_a_wrong_signature_of_a_trusted_key_rejects_the_whole_note(key: VerifierKey) -> None:
    good = {LOG.key: LOG.sign(TEXT), ML_DSA.key: ML_DSA.sign(TEXT, NOW), WITNESS.key: WITNESS.sign(TEXT, NOW)}
    right = good.pop(key)
    for signature in (
        flipped(right.signature, 0), flipped(right.signature, 20), flipped(right.signature, -1),
        right.signature[:-1], right.signature + b"\x00", right.signature[:4], b"\xff" * len(right.signature),
    ):  # fmt: skip
        note = Note(TEXT, (*good.values(), NoteSignature(key.name, key.key_id, signature)))
        open_note(note, good)
        with pytest.raises(UntrustedNoteError, match=f"{key.name} \\({key.key_id.hex()}\\)"):
            open_note(note, [*good, key])


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_a_time_that_cannot_be_is_refused_though_a_witness_signed_it() -> None:
    with pytest.raises(UntrustedNoteError, match="cannot be of this text: the time of a signature is 0 to"):
        WITNESS.key.verify(TEXT, WITNESS.sign(TEXT, 2**63).signature)
    assert WITNESS.key.verify(TEXT, WITNESS.sign(TEXT, 2**63 - 1).signature) == 2**63 - 1


def test_signatures_of_other_keys_are_ignored_though_they_share_a_name_or_an_id() -> None:
    other = NoteSignature(LOG.key.name, b"1234", b"wrong"), NoteSignature("another", LOG.key.key_id, b"wrong")
    assert open_note(Note(TEXT, (*other, LOG.sign(TEXT))), [LOG.key]) == [VerifiedSignature(LOG.key, None)]
    with pytest.raises(UntrustedNoteError, match=r"no trusted key signed this note; signed by log.example/events \("):
        open_note(Note(TEXT, other), [LOG.key])
    with pytest.raises(UntrustedNoteError):
        open_note(Note(TEXT, (LOG.sign(TEXT),)), [])


def test_a_second_signature_of_a_trusted_key_must_be_right_too() -> None:
    wrong = NoteSignature(LOG.key.name, LOG.key.key_id, bytes(64))
    with pytest.raises(UntrustedNoteError):
        open_note(Note(TEXT, (LOG.sign(TEXT), wrong)), [LOG.key])


def test_a_note_has_up_to_a_hundred_signatures() -> None:
    many = tuple(ML_DSA.sign(TEXT, NOW + number) for number in range(16))
    assert len(open_note(parse_note(render(Note(TEXT, many))), [ML_DSA.key])) == 16
    plain = tuple(NoteSignature(f"k{number}", b"1234", b"5") for number in range(101))
    assert len(parse_note(render(Note(TEXT, plain[:100]))).signatures) == 100
    with pytest.raises(InvalidNoteError, match="1 to 100 signatures, not 101"):
        parse_note(f"{TEXT}\n{''.join(one.line for one in plain)}".encode())


NO_BREAK_SPACE, LINE_SEPARATOR = "\u00a0", "\u2028"
GOOD = line("k", b"1234", b"5")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"a\n",
        b"a\n\n",
        f"a\n\n{GOOD}".encode()[:-1],
        f"a\n\n{GOOD}{GOOD}".encode()[:-1],
        f"a\n\n{GOOD}\n".encode(),
        f"a\n{GOOD}".encode(),
        f"\n{GOOD}".encode(),
        f"a\n\n{GOOD}b\n".encode(),
        f"a\n\nb\n{GOOD}".encode(),
        f"a\r\n\r\n{GOOD}".encode(),
        f"a\tb\n\n{GOOD}".encode(),
        f"a\x00\n\n{GOOD}".encode(),
        f"a\n\n{GOOD}".encode("utf-16"),
        b"\xff\n\n" + GOOD.encode(),
        f"a\n\n{GOOD.replace('—', '-')}".encode(),
        f"a\n\n{GOOD.replace('— ', '—')}".encode(),
        f"a\n\n{GOOD.replace('— ', '—  ')}".encode(),
        f"a\n\n{GOOD.replace(' k ', ' k')}".encode(),
        f"a\n\n{GOOD.replace(' k ', ' k  ')}".encode(),
        f"a\n\n{GOOD.replace('k', 'k+l')}".encode(),
        ("a\n\n" + line(f"k{NO_BREAK_SPACE}l", b"1234", b"5")).encode(),
        ("a\n\n" + line(f"k{LINE_SEPARATOR}l", b"1234", b"5")).encode(),
        "a\n\n— k \n".encode(),
        f"a\n\n{line('k', b'1234', b'')}".encode(),
        f"a\n\n{line('k', b'12', b'')}".encode(),
        f"a\n\n{line('k', b'1234', b'5')}".replace("=", "").encode(),
        f"a\n\n{line('k', b'1234', b'5')}".replace("=", "==").encode(),
        f"a\n\n{line('k', b'1234', b'5')}".replace("U=", "V=").encode(),
        f"a\n\n{line('k', b'1234', b'5')}".replace("\n", " \n").encode(),
    ],
)
def test_what_is_not_a_signed_note_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidNoteError):
        parse_note(data)


def test_a_note_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidNoteError, match="at most 1000000 bytes"):
        parse_note(b"a" * 1_000_000 + b"\n\n" + GOOD.encode())


@pytest.mark.parametrize("text", ["", "a", "a\tb\n", "a\r\n", "\x1f\n", "\ud800\n"])
def test_no_note_is_made_of_a_text_that_cannot_be_in_one(text: str) -> None:
    with pytest.raises(InvalidNoteError):
        Note(text, (NoteSignature("k", b"1234", b"5"),))


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_refused_by_its_name(data: bytes) -> None:
    for form in (data, data.replace(b"\n", b"\n\n"), b"a\n\n" + "— ".encode() + data):
        with suppress(InvalidNoteError):
            assert render(parse_note(form)) == form


@pytest.mark.parametrize("key", [LOG.key, ML_DSA.key, WITNESS.key], ids=["log", "ml-dsa", "witness"])
def test_a_verifier_key_comes_back_from_its_text(key: VerifierKey) -> None:
    assert VerifierKey.parse(str(key)) == key


def test_one_public_key_has_another_id_under_another_type_or_name() -> None:
    public_key = LOG.key.public_key
    kinds = SignatureType.ED25519, SignatureType.ED25519_COSIGNATURE
    ids = {VerifierKey(name, kind, public_key).key_id for name in ("a", "b") for kind in kinds}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("vkey", "message"),
    [
        ("", "not a verifier key"),
        ("example.com/foo", "not a verifier key"),
        ("example.com/foo+530d903a", "not a verifier key"),
        (FOO.replace("530d903a", "530d903b"), "the id of the key of example.com/foo is 530d903a, not '530d903b'"),
        (FOO.replace("530d903a", "530D903A"), "the id of the key"),
        (FOO.replace("530d903a", "0530d903a"), "the id of the key"),
        (FOO.replace("530d903a", ""), "the id of the key"),
        (FOO.replace("foo", "bar"), "the id of the key"),
        (FOO.replace("/foo", "/f oo"), "has no spaces"),
        (FOO.replace("example.com/foo", ""), "has no spaces"),
        (FOO + "=", "not a verifier key"),
        (FOO[:-4], "has 32 bytes, not 29"),
        ("k+00000000+", "the type of the key is not one of 0x01, 0x04, 0x06"),
        ("k+00000000+AmE=", "the type of the key is not one of 0x01, 0x04, 0x06"),
        ("k+00000000+BmE=", "has 1312 bytes, not 1"),
        ("\udcff+00000000+AQ" + "A" * 42, "has no spaces"),
    ],
)
def test_what_is_not_a_verifier_key_is_refused(vkey: str, message: str) -> None:
    with pytest.raises(InvalidKeyError, match=message):
        VerifierKey.parse(vkey)


def test_a_signer_needs_a_name_that_can_be_in_a_note() -> None:
    for name in ("", "a b", "a+b", "a\n", "a\u3000"):
        with pytest.raises(InvalidKeyError):
            Ed25519Signer(name, Ed25519PrivateKey.generate())
    with pytest.raises(InvalidKeyError, match="at most 255 bytes"):
        MlDsaSigner("è" * 128, MLDSA44PrivateKey.generate())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_verifies_the_signature_of_a_log(tmp_path: Path) -> None:
    private_key = Ed25519PrivateKey.generate()
    signature = Ed25519Signer("log.example", private_key).sign(TEXT).signature
    public_key = private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert verified_by_openssl(tmp_path, public_key, TEXT, signature)
    assert not verified_by_openssl(tmp_path, public_key, TEXT + "\n", signature)


def verified_by_openssl(folder: Path, public_key: bytes, text: str, signature: bytes) -> bool:
    for name, content in (("key.pem", public_key), ("text", text.encode()), ("signature", signature)):
        (folder / name).write_bytes(content)
    argv = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "text")
    done = subprocess.run((*argv, "-sigfile", "signature"), cwd=folder, capture_output=True, text=True, check=False)
    return "Signature Verified Successfully" in done.stdout
