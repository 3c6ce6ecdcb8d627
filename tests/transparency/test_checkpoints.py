"""A checkpoint is three lines, each in one spelling; extension lines of others are accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.transparency.checkpoints import Checkpoint, InvalidCheckpointError, log_origin, parse_checkpoint
from shared.transparency.merkle import EMPTY_ROOT

# The example of tlog-checkpoint.
EXAMPLE = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = bytes.fromhex("0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62")


def test_the_example_of_the_specification_is_read_and_written() -> None:
    checkpoint = Checkpoint("example.com/behind-the-sofa", 20_852_163, ROOT)
    assert parse_checkpoint(EXAMPLE) == checkpoint
    assert checkpoint.text == EXAMPLE


def test_the_checkpoint_of_an_empty_tree_has_the_size_0() -> None:
    text = Checkpoint("a", 0, EMPTY_ROOT).text
    assert text == "a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert parse_checkpoint(text).size == 0


def test_extension_lines_are_accepted_and_left_out() -> None:
    checkpoint = parse_checkpoint(EXAMPLE + "an extension\nanother\n")
    assert checkpoint.text == EXAMPLE


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40),
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
)
def test_every_checkpoint_comes_back(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    assert parse_checkpoint(checkpoint.text) == checkpoint


HASH = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        f"a\n1\n{HASH}",
        f"a\n{HASH}\n",
        f"a\n1\n{HASH}\nan extension",
        f"\n1\n{HASH}\n",
        f"a\n\n{HASH}\n",
        "a\n1\n\n",
        f"a\n1\n{HASH}\n\n",
        f"a\n1\n{HASH}\n\nb\n",
        f"a\n01\n{HASH}\n",
        f"a\n00\n{HASH}\n",
        f"a\n+1\n{HASH}\n",
        f"a\n-1\n{HASH}\n",
        f"a\n 1\n{HASH}\n",
        f"a\n1 \n{HASH}\n",
        f"a\n1_0\n{HASH}\n",
        f"a\n\u0661\n{HASH}\n",
        f"a\n0x1\n{HASH}\n",
        f"a\n9223372036854775808\n{HASH}\n",
        f"a\n{'9' * 5000}\n{HASH}\n",
        f"a\n1\n{HASH[:-1]}\n",
        f"a\n1\n{HASH[:-1]} \n",
        f"a\n1\n{HASH[:-2]}J=\n",
        f"a\n1\n{HASH}=\n",
        f"a\n1\n{HASH.replace('/', '_')}\n",
        "a\n1\nAAAA\n",
        f"a\t\n1\n{HASH}\n",
        f"a\r\n1\n{HASH}\n",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidCheckpointError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [("", 1, ROOT), ("a\nb", 1, ROOT), ("a\ud800", 1, ROOT), ("a", -1, ROOT), ("a", 2**63, ROOT), ("a", 1, ROOT[1:])],
)
def test_a_head_that_no_log_can_have_is_refused(origin: str, size: int, root: bytes) -> None:
    with pytest.raises(InvalidCheckpointError):
        Checkpoint(origin, size, root)


def test_the_origin_names_the_log_and_the_tree() -> None:
    assert log_origin("switchboard.internal", "0198c0de", "events") == "switchboard.internal/0198c0de/events"
