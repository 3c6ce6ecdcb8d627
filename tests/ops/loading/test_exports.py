"""Exports of other systems say who is who; what is not taken over is counted, and what cannot be read is named."""

import json
from pathlib import Path

import pytest

from services.ops.loading.directory import AddressRow, InboxRow, UserRow
from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.exports import READERS
from services.ops.loading.exports.export import Export, Person, Shared
from services.ops.loading.exports.normalize import NormalizedExport, id_of, normalize
from services.ops.loading.plan import AccountState
from services.ops.loading.proxies import is_type_name, proxies

EXPORTS = Path(__file__).parent / "directories"
NOTHING = AccountState({}, {}, {}, {})
BOB = "7d9f3a52-6c1e-4b8a-9f20-3b1c5e7a9d44"
DORA = "0b6e1f0a-11aa-4c1c-8f1d-5d1c2b3a4e5f"


def read(kind: str, *paths: Path) -> Export:
    export = Export()
    for path in paths:
        READERS[kind](path, export)
    return export


def settled(kind: str, *names: str) -> NormalizedExport:
    return normalize(read(kind, *(EXPORTS / name for name in names)), NOTHING)


def written(folder: Path, kind: str, data: str) -> Path:
    path = folder / f"export.{kind}"
    path.write_text(data)
    return path


def users_of(found: NormalizedExport) -> list[tuple[str, str, bool | None]]:
    return [(row.user, row.name, row.active) for row in found.directory.users]


def addresses_of(found: NormalizedExport) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(row.address, row.owner or row.inbox, row.aliases) for row in found.directory.addresses]


def test_googles_download_names_people_by_their_addresses() -> None:
    found = settled("google", "google-users.csv")
    assert users_of(found) == [
        ("bob.baker_acme.example", "Bob Baker", True), ("cleo_acme.example", "Cléo d'Artois, Jr.", True),
        ("dora_acme.example", "Dora Dune", False), ("bob.baker_sub.acme.example", "Bob Baker", True),
    ]  # fmt: skip
    assert found.ids["bob.baker@sub.acme.example"] == "bob.baker_sub.acme.example"
    # Recovery addresses are private ones.
    assert not [name for _, _, aliases in addresses_of(found) for name in aliases]


@pytest.mark.parametrize("name", ["microsoft-by-alphabet.csv", "microsoft-by-name.csv"])
def test_microsofts_export_is_read_in_either_order_of_its_columns(name: str) -> None:
    found = settled("microsoft", name)
    assert users_of(found)[:2] == [(BOB, "Bob Baker", True), (DORA, "Dora Dune", False)]
    address, owner, aliases = addresses_of(found)[0]
    assert (address, owner, set(aliases)) == (
        "bob@acme.example", BOB, {"b.baker@acme.example", "bob@acme.onmicrosoft.example"},
    )  # fmt: skip
    assert found.directory.left_out["guests"] == 1
    assert found.ids == {}


def test_who_has_no_mailbox_at_microsoft_is_a_user_without_an_address() -> None:
    found = settled("microsoft", "microsoft-by-alphabet.csv")
    assert ("scanner@acme.example" in found.notes[0], len(addresses_of(found))) == (True, 2)


def test_entras_own_download_is_read_too() -> None:
    found = settled("microsoft", "entra-users.csv")
    assert (users_of(found), found.directory.left_out["guests"]) == ([(BOB, "Bob Baker", True)], 1)


def test_exchange_tells_shared_mailboxes_from_those_of_people() -> None:
    found = settled("exchange", "exchange-mailboxes.csv")
    assert users_of(found) == [(BOB, "Baker, Bob", True), (DORA, "Dora Dune", False)]
    assert found.directory.inboxes == [
        InboxRow("exchange-mailboxes.csv", 5, "help.desk", "Help desk", closed=True, at_first=True)
    ]
    assert addresses_of(found)[2] == ("help@acme.example", "help.desk", ("support@acme.example",))
    assert found.directory.left_out == {
        "rooms": 1, "equipment": 1, "DiscoveryMailbox": 1, "SIP addresses": 1, "X500 addresses": 1, "X400 addresses": 1,
        "addresses that cannot be connected": 1,
    }  # fmt: skip
    assert "dora@acme.local" in found.notes[0]


def test_a_list_that_powershell_wrote_as_the_name_of_its_type_is_not_taken_for_no_aliases(folder: Path) -> None:
    path = written(
        folder, "csv", "Alias,DisplayName,PrimarySmtpAddress,EmailAddresses,RecipientTypeDetails\n"
        "bob,Bob,bob@acme.example,Microsoft.Exchange.Data.ProxyAddressCollection,UserMailbox\n",
    )  # fmt: skip
    with pytest.raises(UnreadableFileError, match=r"line 2 .* as Export-Csv writes lists: export them joined"):
        read("exchange", path)


def test_scim_takes_the_primary_mail_and_tells_of_pages_that_are_missing() -> None:
    found = settled("scim", "scim-page-1.json", "scim-page-2.json")
    assert addresses_of(found) == [
        ("bob@acme.example", "2819c223-7f76-453a-919d-413861904646", ()),
        ("dora@acme.example", "uid-with-bars-d86c1d82d3", ()), ("eli@acme.example", "701", ()),
    ]  # fmt: skip
    assert (found.notes, found.directory.left_out) == ([], {"groups": 1, "further e-mails": 1})
    assert "3 of 4 are in these files" in settled("scim", "scim-page-1.json").notes[0]


def test_pages_that_overlap_hide_no_page_that_is_missing_and_are_no_clash(folder: Path) -> None:
    def page(name: str, *ids: str) -> Path:
        people = [{"id": one, "userName": f"{one}@acme.example", "displayName": one} for one in ids]
        path = folder / name
        path.write_text(json.dumps({"totalResults": 4, "Resources": people}))
        return path

    found = normalize(read("scim", page("1.json", "u1", "u2"), page("2.json", "u2", "u3")), NOTHING)
    assert found.notes == ["3 of 4 are in these files: also name the other pages as FILEs"]
    assert [user for user, _, _ in users_of(found)] == ["u1", "u2", "u3"]
    assert [address for address, _, _ in addresses_of(found)] == [f"u{n}@acme.example" for n in (1, 2, 3)]
    assert found.directory.left_out == {"repeated rows": 1}
    whole = read("scim", page("1.json", "u1", "u2"), page("2.json", "u2", "u3"), page("3.json", "u4"))
    assert normalize(whole, NOTHING).notes == []


def test_ldif_is_unfolded_and_decoded() -> None:
    found = settled("ldif", "people.ldif")
    assert users_of(found) == [("bob.baker", "Bob Baker", True), (id_of("cléo"), "Cléo Clair", False)]
    assert addresses_of(found)[0] == ("bob@acme.example", "bob.baker", ("b.baker@acme.example",))
    assert found.directory.left_out == {"organizational units": 1, "groups": 1}


def test_a_line_of_ldif_may_be_folded_within_a_character(folder: Path) -> None:
    path = folder / "folded.ldif"
    entry = "dn: uid=zoe\nobjectClass: person\nuid: zoe\ncn: Zoë\n"
    path.write_bytes(entry.encode().replace(b"\xc3\xab", b"\xc3\n \xab"))
    assert [(one.own_id, one.name) for one in read("ldif", path).people] == [("zoe", "Zoë")]
    path.write_bytes(entry.encode("latin-1"))
    with pytest.raises(UnreadableFileError, match=r"not UTF-8 at byte 47 \(line 4\)"):
        read("ldif", path)


def test_an_active_directory_says_which_address_is_the_primary_one() -> None:
    found = settled("ldif", "active-directory.ldif")
    assert users_of(found) == [("ddune", "Dora Dune", False)]
    assert addresses_of(found) == [
        ("dora@acme.example", "ddune", ("ddune@acme.example",)), ("help@acme.example", "help", ()),
    ]  # fmt: skip
    assert found.directory.left_out == {"rooms": 1, "computers": 1, "X400 addresses": 1}


@pytest.mark.parametrize(
    ("kind", "data", "why"),
    [
        ("google", "Name,Email\nBob,bob@acme.example\n", "lacks Email Address"),
        ("microsoft", "User principal name\nbob@acme.example\n", "lacks Display name"),
        (
            "microsoft",
            "User principal name,Display name,Block credential\nb@acme.example,B,perhaps\n",
            "line 2 .*'perhaps'",
        ),
        ("exchange", "Alias,PrimarySmtpAddress\nbob,bob@acme.example\n", "lacks RecipientTypeDetails"),
        (
            "google",
            "Email Address [Required],email address\na@acme.example,b@acme.example\n",
            "two columns with one name",
        ),
        ("scim", '{"Resources": 1}', "no list of Resources"),
        ("scim", '{"Resources": [{"id": "1", "active": "perhaps"}]}', "resource 1 .*'perhaps' as active"),
        ("scim", '{"Resources": [{"userName": "a", "userName": "b"}]}', "userName"),
        ("scim", "{", "is not JSON"),
        ("ldif", "dn: uid=bob\nobjectClass person\n", "line 2 .*is not LDIF"),
        ("ldif", "dn: uid=bob\nuid:: YWJj*\n", "line 2 .*broken base64"),
        ("ldif", "dn: uid=bob\nuid:: /////w==\n", "line 2 .*not UTF-8"),
        ("ldif", "dn: uid=bob\njpegPhoto:< file:///tmp/photo\n", "line 2 .*at file:///tmp/photo"),
        ("ldif", "dn: uid=bob\nchangetype: modify\nreplace: mail\nmail: x@acme.example\n", "line 1 .*a change"),
        ("ldif", " folded\n", "line 1 .*continues no line"),
        ("ldif", "uid: bob\nmail: bob@acme.example\n", "line 1 .*without its dn"),
        ("ldif", "version: 2\ndn: uid=bob\n", "version 2"),
    ],
)
def test_what_is_no_such_export_is_refused_with_the_place(kind: str, data: str, why: str, folder: Path) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        read(kind, written(folder, kind, data))


@pytest.mark.parametrize(
    ("told", "active"),
    [
        ("userAccountControl: 512", True),
        ("userAccountControl: 66050", False),
        ("nsAccountLock: true", False),
        ("loginDisabled: TRUE", False),
        ("inetUserStatus: inactive", False),
        ("pwdAccountLockedTime: 000001010000Z", False),
        ("pwdAccountLockedTime: 20261130120000Z", True),
    ],
)
def test_each_directory_says_in_its_own_words_who_is_switched_off(told: str, active: bool, folder: Path) -> None:
    data = f"dn: uid=bob\nobjectClass: person\nuid: bob\n{told}\n"
    assert [one.active for one in read("ldif", written(folder, "ldif", data)).people] == [active]


def test_accounts_of_the_system_itself_are_nobodys(folder: Path) -> None:
    data = "dn: CN=krbtgt\nobjectClass: user\nsAMAccountName: krbtgt\nisCriticalSystemObject: TRUE\n"
    assert read("ldif", written(folder, "ldif", data)).left_out == {"accounts of the system": 1}


def test_a_search_that_was_cut_short_is_told(folder: Path) -> None:
    data = "dn: uid=bob\nobjectClass: person\nuid: bob\n\nsearch: 2\nresult: 4 Size limit exceeded\n"
    assert "4 Size limit exceeded" in read("ldif", written(folder, "ldif", data)).notes[0]


@pytest.mark.parametrize(
    ("own_id", "here"),
    [
        ("bob.baker", "bob.baker"),
        (BOB.upper(), BOB),
        ("Bob@acme.example", "bob_acme.example"),
        ("o'hara@acme.example", "o-hara-acme.example-d17b786032"),
        ("9" * 64, "9" * 64),
    ],
)
def test_an_id_is_kept_where_it_fits_and_else_always_the_same(own_id: str, here: str) -> None:
    assert id_of(own_id) == here
    assert len(id_of("x" * 300)) <= 64
    assert id_of("ö") != id_of("ü")


def test_two_people_never_become_one() -> None:
    """Two own ids that would be one here stay two rows, so that the second one clashes."""
    export = Export(people=[
        Person("a.csv", 2, "b@acme.example", "B", "b@acme.example"),
        Person("a.csv", 3, "b_acme.example", "Another B", "other@acme.example"),
    ])  # fmt: skip
    assert [row.line for row in normalize(export, NOTHING).directory.users] == [2, 3]


def test_what_a_person_cannot_connect_is_left_out_and_named() -> None:
    export = Export(
        people=[Person("a.csv", 2, "bob", "Bob", "bob@acme.local", ("b@acme.example",))],
        shared=[Shared("a.csv", 3, "help", "Help", "help@acme.example", ("HELP@acme.example", "x@"))],
    )
    found = normalize(export, NOTHING)
    assert found.directory.users == [
        UserRow("a.csv", 2, "bob", "Bob", active=True, at_first=("personal_email_access",))
    ]
    assert found.directory.addresses == [AddressRow("a.csv", 3, "help@acme.example", "team", inbox="help", aliases=())]
    assert (len(found.notes), found.directory.left_out) == (2, {"addresses that cannot be connected": 2})


@pytest.mark.parametrize(
    ("text", "primaries", "aliases", "others"),
    [
        ("SMTP:a@x.example;smtp:b@x.example", ("a@x.example",), ("b@x.example",), {}),
        ("smtp:a+b@x.example+SMTP:a@x.example", ("a@x.example",), ("a+b@x.example",), {}),
        ("SMTP:a@x.example smtp:b@x.example, SIP:a@x.example", ("a@x.example",), ("b@x.example",), {"SIP": 1}),
        ("a@x.example; b@x.example", (), ("a@x.example", "b@x.example"), {}),
        ("X400:C=AT;A= ;P=Acme;O=Ex change;S=B;;smtp:b@x.example", (), ("b@x.example",), {"X400": 1}),
        ("x500:/o=A B/ou=C (D)/cn=e;SPO:SPO_1@SPO_2;smtp:", (), (), {"X500": 1, "SPO": 1}),
        ("", (), (), {}),
    ],
)
def test_addresses_of_a_mailbox_are_read_as_each_system_separates_them(
    text: str, primaries: tuple[str, ...], aliases: tuple[str, ...], others: dict[str, int]
) -> None:
    assert proxies(text) == (primaries, aliases, others)


def test_the_name_of_a_type_is_no_list_of_addresses() -> None:
    assert is_type_name("System.Collections.Generic.List`1[System.String]")
    assert is_type_name("System.String[]")
    assert not is_type_name("smtp:system.admin@acme.example")
    assert not is_type_name("")
