"""A table is read to its end as whoever wrote it meant it, or its first faults are named by line."""

import codecs
from pathlib import Path

import pytest

from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.tables import plain, read_table

HEAD = "account,command,actor,user,name,permissions\n"
PLAIN = f"{HEAD}acme,AddUser,ana,u1,Zoë,\nacme,AddUser,ana,u2,Ugo,super_admin\n"
READ = [
    (2, {"account": "acme", "command": "AddUser", "actor": "ana", "user": "u1", "name": "Zoë"}),
    (3, {"account": "acme", "command": "AddUser", "actor": "ana", "user": "u2", "name": "Ugo",
         "permissions": "super_admin"}),
]  # fmt: skip


def written(folder: Path, data: str | bytes) -> Path:
    path = folder / "people.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def why(path: Path) -> str:
    with pytest.raises(UnreadableFileError) as found:
        read_table(path)
    return str(found.value)


@pytest.mark.parametrize(
    ("data", "first"),
    [
        (PLAIN, 2),
        (PLAIN.encode("utf-8-sig"), 2),
        (codecs.BOM_UTF8 + PLAIN.encode("utf-8-sig"), 2),
        (codecs.BOM_UTF16_LE + PLAIN.encode("utf-16-le"), 2),
        (codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"), 2),
        (codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"), 2),
        (PLAIN.replace("\n", "\r\n"), 2),
        (PLAIN.replace("\n", "\r"), 2),
        (PLAIN.replace(",", ";"), 2),
        (PLAIN.replace(",", "\t"), 2),
        ("sep=;\r\n" + PLAIN.replace(",", ";"), 3),
        ('"sep=|"\n' + PLAIN.replace(",", "|"), 3),
        ("sep=\t\n" + PLAIN.replace(",", "\t"), 3),
        (("sep=,\n" + PLAIN).encode("utf-8-sig"), 3),
        ("#TYPE Selected.System.Management.Automation.PSCustomObject\r\n" + PLAIN, 3),
        (f"\n,,,,,\n{PLAIN}", 4),
        (PLAIN + "\n,,,,,\n  , ,,,,\n;;;\n\n"[:13], 2),
        (PLAIN.removesuffix("\n"), 2),
    ],
)  # fmt: skip
def test_one_table_is_the_same_however_it_was_saved(data: str | bytes, first: int, folder: Path) -> None:
    table = read_table(written(folder, data))
    assert [(line - first + 2, cells) for line, cells in table.rows()] == READ
    assert (table.count, table.header) == (2, tuple(HEAD.strip().split(",")))


def test_titles_are_kept_as_they_are_written_and_compared_without_capitals_and_blanks(folder: Path) -> None:
    table = read_table(written(folder, " User ,Email  Address [Required]\nbob,b@acme.example\n"))
    assert table.header == ("User", "Email Address [Required]")
    assert list(table.rows()) == [(2, {"User": "bob", "Email Address [Required]": "b@acme.example"})]
    assert [plain(title) for title in (" User", "Visibility Acknowledged")] == ["user", "visibility_acknowledged"]


@pytest.mark.parametrize("twice", ["owner", "Owner ", '" OWNER"'])
def test_a_column_named_twice_is_no_table(twice: str, folder: Path) -> None:
    found = why(written(folder, f"address,owner,inbox,{twice}\nb@acme.example,bob,,cleo\n"))
    assert "owner is in the header twice" in found.lower()


# ---- quotes


@pytest.mark.parametrize(
    "torn",
    [
        'acme,AddUser,ana,u2,"Ugo,x\nacme,AddUser,ana,u3,Ute,x\nacme,AddUser,ana,u4,Udo,x\n',
        'acme,AddUser,ana,u2,"Ugo,x\nacme,AddUser,ana,u3,"Ute",x\nacme,AddUser,ana,u4,Udo,x\n',
        'acme,AddUser,ana,u2,"Ugo,x\nacme,AddUser,ana,u3,"",x\nacme,AddUser,ana,u4,Udo,x\n',
        'acme,AddUser,ana,u2,Ugo,"x\nacme,AddUser,ana,u3,Ute,"x"\nacme,AddUser,ana,u4,Udo,x\n',
        'acme,AddUser,ana,u2,Ugo,"x\n"acme",AddUser,ana,u3,Ute,x\n',
        'acme,AddUser,ana,u2,"Ugo,x\nacme,AddUser,ana,u3,Ute",x\nacme,AddUser,ana,u4,Udo,x\n',
        'acme,AddUser,ana,u2,"Ugo,x\nacme,AddUser,ana,u3,Ute\nacme,AddUser,ana,u4,",x,y\n',
        '"acme,AddUser,ana,u2,Ugo,x\nacme,AddUser,ana,u3,Ute,x\n',
        'acme,AddUser,ana,u2,Ugo,"',
        'acme,AddUser,ana,u2,"Ugo,x\n' + 40_000 * "acme,AddUser,ana,u3,Ute,x\n",
    ],
)
def test_an_open_quote_is_named_by_its_own_line_however_it_ends(torn: str, folder: Path) -> None:
    found = why(written(folder, f"{HEAD}acme,AddUser,ana,u1,Uma,x\n{torn}"))
    assert "line 3: a quote opens and is not closed" in found


def test_a_quote_that_opens_within_a_quoted_cell_of_several_lines_is_named_by_its_own_line(folder: Path) -> None:
    found = why(written(folder, 'user,note,name\nu1,"a\nb","Ugo\nu2,c,Ute\n'))
    assert "line 3: a quote opens" in found


def test_a_quoted_cell_of_several_lines_is_one_cell_with_lf(folder: Path) -> None:
    text = 'user,signature,font\r\nbob,"Bob ""B.""\r\nAcme, 2nd floor, Bath",Arial\r\n\r\ncleo,"\r\n",Arial\r\n'
    table = read_table(written(folder, text), {"signature"})
    assert list(table.rows()) == [
        (2, {"user": "bob", "signature": 'Bob "B."\nAcme, 2nd floor, Bath', "font": "Arial"}),
        (5, {"user": "cleo", "font": "Arial"}),
    ]


def test_a_row_within_a_text_of_several_lines_is_found_by_what_it_has_in_common(folder: Path) -> None:
    text = 'account,user,signature\nacme,bob,"Bob\nacme,cleo,Cleo"\n'
    with pytest.raises(UnreadableFileError, match="line 2: a quote opens"):
        read_table(written(folder, text), {"signature"})


def test_a_quote_within_an_unquoted_cell_is_one_of_its_characters(folder: Path) -> None:
    (row,) = read_table(written(folder, 'user,name\nbob,Bob "the builder" Baker\n')).rows()
    assert row == (2, {"user": "bob", "name": 'Bob "the builder" Baker'})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("bob,Bob\nacme,cleo,Cleo\n", ["line 2: 1 fewer cells than the header names"]),
        ("acme,bob,Smith, Bob\n", ["line 2: 1 more cells than the header names"]),
        ("acme,bob,Smith, Bob\nx,y,z\nx\n", ["line 2: 1 more cells", "line 4: 2 fewer cells"]),
        ('acme,bob,"B"x\nacme,cleo\n', ["line 2: text follows a closing quote", "line 3: 1 fewer"]),
        ('acme,bob,"B \\"x\\" y"\n', ["line 2: text follows a closing quote"]),
        ('acme,bob, "Bob"\n', ["line 2: a blank before a quote"]),
        ("x\n" * 4_000, ["line 11: 2 fewer cells", "and 3,990 more"]),
    ],
)
def test_rows_that_cannot_be_told_are_named_by_line(rows: str, said: list[str], folder: Path) -> None:
    found = why(written(folder, f"account,user,name\n{rows}"))
    assert all(one in found for one in said), found


def test_a_cell_in_a_column_without_a_name_is_not_passed_over(folder: Path) -> None:
    assert [*read_table(written(folder, "user,,\nbob,,\n")).rows()] == [(2, {"user": "bob"})]
    assert "line 3: cell 3 has a value" in why(written(folder, "user,,\nbob,,\ncleo,,x\n"))


# ---- bytes


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"user,name\n" + 1_999 * b"bob,Robin\n" + b"ugo,J\xf6rg\n", "not UTF-8 at byte 20,005 (line 2,001)"),
        (b"user,name\n" + 200_000 * b"bob,Robin\n" + b"ugo,J\xf6rg\n", "not UTF-8 at byte 2,000,015 (line 200,002)"),
        (b"user,name\nbob,Bob\xc3", "not UTF-8 at byte 17 (line 2)"),
        (b"user,name\nbob,Bob\x80\n", "Windows-1252 or Latin-1. Save it as UTF-8"),
        (codecs.BOM_UTF8 + b"user\n\xe4\n", "not UTF-8 at byte 8 (line 2)"),
        (codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"\x00\xdc", "not UTF-16 at byte 8 (line 2)"),
        (codecs.BOM_UTF16_LE + "a\nb".encode("utf-16-le") + b"\x00", "not UTF-16 at byte 8 (line 2)"),
        ("user,name\n".encode("utf-16-le"), "zero byte at 1 and seems to be UTF-16 without its mark"),
        ("user,name\n".encode("utf-16-be"), "zero byte at 0 and seems to be UTF-16 without its mark"),
        (b"\x7fELF\x02\x01\x01\0\0\0>\0", "zero byte at 7 and is not text"),
        (b"PK\x03\x04\x14", "is a workbook or an archive, not text: save it as CSV in UTF-8"),
        (b"", "the header of people.csv has nothing"),
        (codecs.BOM_UTF8, "the header of people.csv has nothing"),
        (b'user,"name\nbob,Bob\n', "the header of people.csv, line 1, is not CSV"),
    ],
)
def test_a_file_that_is_no_text_is_named_by_the_byte_in_the_file(data: bytes, said: str, folder: Path) -> None:
    assert said in why(written(folder, data))
