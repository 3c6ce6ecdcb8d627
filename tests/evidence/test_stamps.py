"""Stamps of a local authority: ours are verified by openssl, openssl's by us, and a changed byte by neither."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.evidence.stamps import StampError, request_stamp, roots_in, verify_stamp
from shared.process import clock
from tests.evidence.small_authority import SmallAuthority, openssl, stamping
from tests.real_servers import free_port

DATA = b"log.example/1/events\n7\n"


@pytest.fixture
def authority(folder: Path) -> Iterator[SmallAuthority]:
    with stamping(folder) as made:
        yield made


def test_a_stamp_is_verified_here_and_by_openssl(authority: SmallAuthority) -> None:
    stamp = request_stamp(authority.url, DATA)
    (authority.folder / "data").write_bytes(DATA)
    (authority.folder / "stamp.tsr").write_bytes(stamp)
    openssl(authority.folder, "ts", "-verify", "-data", "data", "-in", "stamp.tsr", "-CAfile", "root.pem")
    at = verify_stamp(stamp, DATA, roots_in((authority.folder / "root.pem").read_bytes()))
    assert abs(at - datetime.fromtimestamp(clock.posix_seconds(), UTC)) < timedelta(minutes=5)


def test_a_stamp_of_something_else_is_not_valid(authority: SmallAuthority, folder: Path) -> None:
    roots = roots_in((authority.folder / "root.pem").read_bytes())
    stamp = request_stamp(authority.url, DATA)
    with pytest.raises(StampError, match="not valid"):
        verify_stamp(stamp, DATA + b" ", roots)
    with pytest.raises(StampError, match="not a response"):
        verify_stamp(b"nothing", DATA, roots)
    other = folder / "other"
    other.mkdir()
    strangers = roots_in((SmallAuthority(other).folder / "root.pem").read_bytes())
    with pytest.raises(StampError, match="not valid"):
        verify_stamp(stamp, DATA, strangers)


def test_an_authority_that_stamps_something_else(authority: SmallAuthority, monkeypatch: pytest.MonkeyPatch) -> None:
    first = request_stamp(authority.url, DATA)
    monkeypatch.setattr(authority, "reply", lambda _: first)
    with pytest.raises(StampError, match="something else"):
        request_stamp(authority.url, DATA)


def test_an_authority_that_is_away() -> None:
    with pytest.raises(StampError, match="does not answer"):
        request_stamp(f"http://127.0.0.1:{free_port()}/", DATA)
    with pytest.raises(StampError, match="not a URL of HTTP"):
        request_stamp("ftp://x.example/", DATA)
    with pytest.raises(StampError, match="PEM"):
        roots_in(b"nothing")
