"""Of the sender as it stands in a mail as much is read as can be, and nothing is refused."""

import random
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.address import InvalidAddressError, canonical
from shared.core.sender import Sender, read_sender

JO = "jo@client.example"


@pytest.mark.parametrize(
    "text",
    [
        JO,
        " JO@Client.Example\t",
        "jo@client.example.",
        "jo@client.example..",
        "jo@CLIENT。example",
        "jo＠client.example",
        "<jo@client.example>",
        "Jo <jo@client.example>",
        '"Jo" <jo@client.example>',
        '"Baker, Jo (boss) <x@lawyer.example>" <jo@client.example>',
        '"Jo \\" x@lawyer.example" <jo@client.example>',
        "Baker, Jo <jo@client.example>",
        "=?utf-8?q?J=C3=B6?= <jo@client.example>",
        "x@lawyer.example <jo@client.example>",
        "Jo <jo@client.example",
        '"Jo <jo@client.example>',
        "jo@client.example (Jo (at work))",
        "jo(c)@client.example",
        '"jo"@client.example',
        "<mailto:jo@client.example>",
        "'jo@client.example'",
        "jo@client.example\r\n",
        "Jo\r\n\t<jo@client.example>",
        "jo\x00@client.example\x00",
        "jo@client\u200b.example",
        "jo @ client.example",
        "<@relay.example:jo@client.example>",
    ],
)
def test_a_sender_keeps_one_key_and_one_name_however_the_header_writes_it(text: str) -> None:
    assert read_sender(text) == Sender(JO, frozenset({JO, "client.example", "example"}))


@pytest.mark.parametrize(
    ("text", "entry"),
    [
        ("kana..t@carrier.example", "carrier.example"),
        ("taro.@Carrier.example.", "carrier.example"),
        (".taro@mail.carrier.example", "carrier.example"),
        ("josé@client.example", "client.example"),
        ("v" * 65 + "@bulk.example", "bulk.example"),
        ("v" * 200_000 + "@bulk.example", "bulk.example"),
        ("v" * 200_000 + " <v@bulk.example>", "bulk.example"),
        ("v@bulk.example (" + "v" * 200_000 + ")", "bulk.example"),
        ("cron@web_01.plant.example", "plant.example"),
        ("cron@-web.plant.example", "plant.example"),
        ("jo@" + "x" * 300 + ".client.example", "client.example"),
        ("jo@" + "sub." * 200 + "client.example", "client.example"),
        ("jo@client..example", "client.example"),
        ('"jo doe"@client.example', "client.example"),
        ('"jo@home"@client.example', "client.example"),
        ("jo doe@client.example", "client.example"),
        ("@client.example", "client.example"),
        ("José <josé@Bücher.example.>", "xn--bcher-kva.example"),
        ("josé@BU\u0308CHER.example", "xn--bcher-kva.example"),
        ("josé@XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("josé@web_1.bücher.example", "xn--bcher-kva.example"),
        ("\ud800@client.example", "client.example"),
        ("\x00@client.example", "client.example"),
        ("Team: jo@home.example, jo@client.example;", "client.example"),
        ("jo@home.example; jo@client.example", "client.example"),
        ('jo@home.example, "Jo" <jo@client.example>', "client.example"),
        ('"jo"@client.example.', "jo@client.example"),
        ("JO(c)@Client.Example", "jo@client.example"),
    ],
)
def test_never_log_matches_what_can_be_read_of_a_sender(text: str, entry: str) -> None:
    assert read_sender(text).is_in(["other.example", entry])
    assert not read_sender(text).is_in(["other.example", "lient.example", "arrier.example", "jo@example"])


@pytest.mark.parametrize(
    "text", ["", " ", "<>", "MAILER-DAEMON", "root@", "@", "<@>", "jo@[192.0.2.1]", "\x00", "\ud800"]
)
def test_of_a_sender_without_a_domain_nothing_is_read_and_it_keeps_its_spelling(text: str) -> None:
    assert read_sender(text).key == text
    assert not read_sender(text).is_in(["client.example", "jo@client.example"])


@pytest.mark.parametrize(
    "text", ["root@monitor.local", "kana..t@carrier.example", "josé@client.example", "a@x.example, b@y.example"]
)
def test_what_is_no_address_is_kept_as_it_is_spelled(text: str) -> None:
    assert read_sender(text).key == text


def test_a_quoted_local_part_is_never_taken_for_a_shorter_one() -> None:
    assert not read_sender('"jo doe"@client.example').is_in(["doe@client.example", "jo@client.example"])


@pytest.mark.parametrize(
    ("entry", "matches"),
    [
        ("ana@mail.acme.example", True),
        ("mail.acme.example", True),
        ("acme.example", True),
        ("me.example", False),
        ("bob@mail.acme.example", False),
        ("ana@acme.example", False),
        ("deep.mail.acme.example", False),
    ],
)
def test_a_never_log_list_matches_address_domain_and_subdomain(entry: str, matches: bool) -> None:
    assert read_sender("ana@mail.acme.example").is_in(["other.example", entry]) is matches


@given(st.text() | st.emails() | st.text("@<>\"'()\\,;:. ajo\x00\r\n\ud800é"))
@example("<<>>@")
def test_every_text_has_a_key_that_is_its_canonical_address_where_it_has_one(text: str) -> None:
    found = read_sender(text)
    assert found == read_sender(text)
    try:
        assert found.key == canonical(text).address
    except InvalidAddressError:
        assert found.key == text or canonical(found.key).address == found.key


SIZE = 256 * 1024


@pytest.mark.parametrize(
    "piece",
    [
        "@",
        '"',
        '"\\',
        "(",
        "(a",
        "<",
        "<a@",
        "@,",
        "a@b,",
        "@a.",
        "ü.",
        "a@é",
        "é",
        "é@",
        "'",
        " ",
        "\x00",
        ";:@",
        ")@(",
        '"@',
    ],
)
def test_the_work_is_bounded_whatever_the_sender_is_made_of(piece: str) -> None:
    text = (piece * (SIZE // len(piece)))[:SIZE]
    began = time.process_time()
    read_sender(text)
    read_sender("jo@" + text)
    read_sender(text + "@client.example")
    assert time.process_time() - began < 1.0


def test_a_random_long_sender_is_read_in_no_time() -> None:
    dice = random.Random(19)  # noqa: S311  no secret
    for _ in range(20):
        text = "".join(dice.choices("@<>\"'()\\,;:. ajoé\x00", k=SIZE))
        began = time.process_time()
        read_sender(text)
        assert time.process_time() - began < 0.5
