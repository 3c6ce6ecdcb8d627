"""Rows are read as they are meant, and what cannot be read is told by its line."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.ops.loading.encodings import Unreadable
from services.ops.loading.rows import Row, count_of, rows_of


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_of_json_is_a_command(folder: Path) -> None:
    told = {"account": "acme", "command": "AssignSeat", "actor": "ana", "user": "bob", "_refused": {"line": 7}}
    path = written(folder, "a.jsonl", f"{json.dumps(told)}\n\n{json.dumps(told | {'user': None})}\n")
    assert list(rows_of(path)) == [
        Row(1, "acme", "AssignSeat", {"actor": "ana", "user": "bob"}),
        Row(3, "acme", "AssignSeat", {"actor": "ana"}),
    ]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"command": "AssignSeat"}', "account and command"),
        ('{"account": "acme"}', "account and command"),
        ('{"account": "a.b", "command": "X"}', "part of a subject"),
        ('{"account": 7, "command": "X"}', "account and command"),
    ],
)
def test_a_line_that_cannot_be_sent_says_why_and_the_others_go_on(line: str, why: str, folder: Path) -> None:
    good = '{"account": "acme", "command": "AssignSeat", "user": "bob"}'
    first, second = rows_of(written(folder, "a.jsonl", f"{line}\n{good}\n"))
    assert why in first.trouble
    assert (second.line, second.trouble) == (2, "")


def test_who_names_no_account_and_actor_has_those_given(folder: Path) -> None:
    path = written(folder, "a.jsonl", '{"command": "AssignSeat", "user": "bob"}\n{"command": "X", "actor": "eve"}\n')
    assert [(row.account, row.fields["actor"]) for row in rows_of(path, "acme", "ana")] == [
        ("acme", "ana"), ("acme", "eve"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "cells", "fields"),
    [
        ("AddUser", {"user": "bob", "name": "007", "permissions": "account_access; super_admin"},
         {"user": "bob", "name": "007", "permissions": ["account_access", "super_admin"]}),
        ("ConnectTeam", {"address": "a@b.example", "inbox": "7", "visibility_acknowledged": "true"},
         {"address": "a@b.example", "inbox": "7", "visibility_acknowledged": True}),
        ("SetDefaultFont", {"user": "bob", "font": "12", "size": "12"}, {"user": "bob", "font": "12", "size": 12}),
        ("SetRouting", {"inbox": "i", "rule": '{"kind":"unassigned"}'}, {"inbox": "i", "rule": {"kind": "unassigned"}}),
        ("ConnectTeam", {"address": "", "visibility_acknowledged": "perhaps"}, {"visibility_acknowledged": "perhaps"}),
        ("NoSuchCommand", {"user": "true"}, {"user": "true"}),
    ],
)  # fmt: skip
def test_a_cell_is_what_the_commands_field_is(
    command: str, cells: dict[str, str], fields: dict[str, Any], folder: Path
) -> None:
    quoted = ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells.values())
    path = written(folder, "a.csv", f"account,command,{','.join(cells)}\nacme,{command},{quoted}\n")
    (row,) = rows_of(path)
    assert (row.line, row.command, row.fields) == (2, command, fields)


def test_a_row_with_more_cells_than_the_header_is_told(folder: Path) -> None:
    (row,) = rows_of(written(folder, "a.csv", "account,command\nacme,X,y,z\n"))
    assert "2 more cells" in row.trouble


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.txt", "", "name it .jsonl or .csv"),
        ("a.csv", "user,name\nbob,Bob\n", "lacks account and command"),
        ("a.csv", "", "has nothing"),
    ],
)
def test_a_file_that_is_none_of_these_is_refused_as_a_whole(name: str, text: str, why: str, folder: Path) -> None:
    with pytest.raises(Unreadable, match=why):
        list(rows_of(written(folder, name, text)))


def test_a_file_in_another_encoding_is_refused(folder: Path) -> None:
    path = folder / "a.jsonl"
    path.write_bytes('{"name": "Zoë"}'.encode("latin-1"))
    with pytest.raises(Unreadable, match="not UTF-8"):
        list(rows_of(path))


def test_what_is_refused_can_be_given_again_under_another_id() -> None:
    row = Row(3, "acme", "AssignSeat", {"actor": "ana", "user": "bob", "command_id": "spent"})
    assert row.again() == {"account": "acme", "command": "AssignSeat", "actor": "ana", "user": "bob"}


def test_rows_are_counted_without_the_header(folder: Path) -> None:
    assert count_of(written(folder, "a.csv", "account,command\nacme,X\nacme,Y\n")) == 2
    assert count_of(written(folder, "a.jsonl", "{}\n{}\n")) == 2
