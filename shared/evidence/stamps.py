"""Stamps of RFC 3161: an authority signs that it has seen a checkpoint, and when."""

import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography.x509 import Certificate, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

ANSWER_SECONDS: Final = 10.0
LARGEST_ANSWER: Final = 1_000_000
GRANTED: Final = 0


class StampError(Exception):
    """A stamp that could not be had, or is not valid; the message says why."""


def roots_in(pem: bytes) -> list[Certificate]:
    """Read the root certificates of authorities that one trusts.

    Raises:
        StampError: there is none.
    """
    try:
        return load_pem_x509_certificates(pem)
    except ValueError as error:
        raise StampError(f"not certificates in PEM: {error}") from error


def request_stamp(authority: str, data: bytes) -> bytes:
    """Ask an authority for a stamp of data by HTTP; return its response, which openssl reads as a `.tsr` file.

    That it is of this data and of this request is checked; whom it is from, `verify_stamp` checks.

    Raises:
        StampError: the authority does not answer, or does not stamp.
    """
    asked = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).build()
    headers = {"Content-Type": "application/timestamp-query"}
    try:
        request = urllib.request.Request(authority, asked.as_bytes(), headers, method="POST")  # noqa: S310
        if request.type not in ("http", "https"):
            raise ValueError("it is not a URL of HTTP")
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  checked above
            stamp: bytes = answer.read(LARGEST_ANSWER)
    except urllib.error.HTTPError as error:
        raise StampError(f"{authority} answers {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise StampError(f"{authority} does not answer: {getattr(error, 'reason', None) or error}") from error
    response = _decoded(stamp)
    if response.status != GRANTED:
        raise StampError(f"{authority} does not stamp it: {', '.join(response.status_string) or response.status}")
    found = response.tst_info
    if (found.nonce, found.message_imprint.message) != (asked.nonce, asked.message_imprint.message):
        raise StampError(f"{authority} answers with the stamp of something else")
    return stamp


def verify_stamp(stamp: bytes, data: bytes, roots: Sequence[Certificate]) -> datetime:
    """Check that an authority under one of these roots has stamped the data; return when, in UTC.

    Raises:
        StampError: it has not.
    """
    response = _decoded(stamp)
    try:
        VerifierBuilder(roots=list(roots)).build().verify_message(response, data)
    except (VerificationError, ValueError) as error:
        raise StampError(f"the stamp is not valid: {error}") from error
    return response.tst_info.gen_time.astimezone(UTC)


def _decoded(stamp: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(stamp)
    except ValueError as error:
        raise StampError(f"it is not a response of RFC 3161: {str(error)[:200]}") from error
