"""Rows are read as they are meant, and what cannot be read is told by its line."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from services.ops.loading.cells import fields_of
from services.ops.loading.encodings import UnreadableFileError
from services.ops.loading.rows import Row, read
from shared.language.commands import COMMANDS

HEAD = "account,command,user\n"


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_line_of_json_is_a_command(folder: Path) -> None:
    told = {"account": "acme", "command": "AssignSeat", "actor": "ana", "user": "bob", "_refused": {"line": 7}}
    path = written(folder, "a.jsonl", f"{json.dumps(told)}\n\n{json.dumps(told | {'user': None})}\n")
    assert list(read(path)) == [
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
        ('{"size": ' + "9" * 5_000 + "}", "a number of 5,000 digits is too long"),
        ('{"account": "acme", "command": "X", "owner": "bob", "owner": "cleo"}', "owner is named twice"),
        ('{"account": "acme", "command": "X", "owner": "bob", "\\u006fwner": "cleo"}', "owner is named twice"),
        ('{"account": "acme", "command": "X", "rule": {"users": [{"a": 1, "a": 1}]}}', "a is named twice"),
    ],
)
def test_a_line_that_cannot_be_sent_says_why_and_the_others_go_on(line: str, why: str, folder: Path) -> None:
    good = '{"account": "acme", "command": "AssignSeat", "user": "bob"}'
    first, second = read(written(folder, "a.jsonl", f"{line}\n{good}\n"))
    assert why in first.error
    assert (second.line, second.error) == (2, "")


def test_who_names_no_account_and_actor_has_those_given(folder: Path) -> None:
    path = written(folder, "a.jsonl", '{"command": "AssignSeat", "user": "bob"}\n{"command": "X", "actor": "eve"}\n')
    assert [(row.account, row.fields["actor"]) for row in read(path, "acme", "ana")] == [
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
        ("ConnectTeam", {"address": "", "inbox": " ", "visibility_acknowledged": "TRUE"},
         {"visibility_acknowledged": True}),
        ("ConnectTeam", {"visibility_acknowledged": " False "}, {"visibility_acknowledged": False}),
        ("AssignSeat", {"user": " bob ", "dry_run": "True"}, {"user": "bob", "dry_run": True}),
        ("AddUser", {"name": " Bob "}, {"name": " Bob "}),
        ("CreateInbox", {"members": '["bob", "cleo"]'}, {"members": ["bob", "cleo"]}),
        ("CreateInbox", {"members": ";"}, {"members": []}),
        ("SetSignature", {"signature": "Bob\r\nAcme"}, {"signature": "Bob\nAcme"}),
        ("SetSignature", {" Signature": "true", "_note": "x"}, {"signature": "true"}),
        ("NoSuchCommand", {"user": "true"}, {"user": "true"}),
    ],
)  # fmt: skip
def test_a_cell_is_what_the_commands_field_is(
    command: str, cells: dict[str, str], fields: dict[str, Any], folder: Path
) -> None:
    quoted = ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells.values())
    path = written(folder, "a.csv", f"account,command,{','.join(cells)}\nacme,{command},{quoted}\n")
    (row,) = read(path)
    assert (row.line, row.command, row.fields, row.error) == (2, command, fields, "")


@pytest.mark.parametrize(
    ("command", "column", "cell", "fits"),
    [
        ("SetDefaultFont", "size", "12pt", "a whole number from 1 to 1000"),
        ("SetDefaultFont", "size", "12.0", "a whole number from 1 to 1000"),
        ("SetDefaultFont", "size", "1_2", "a whole number from 1 to 1000"),
        ("SetDefaultFont", "size", "1001", "a whole number from 1 to 1000"),
        ("SetDefaultFont", "size", "null", "a whole number from 1 to 1000"),
        ("SetLoggingPreferences", "track_opens", "yes", "true or false"),
        ("SetLoggingPreferences", "track_opens", "null", "true or false"),
        ("Pause", "receive", "WAHR", "true or false"),
        ("ArchiveInbox", "cascade", "1", "true or false"),
        ("ConnectPersonal", "provider", "gmail", "google, microsoft or imap"),
        ("ConnectPersonal", "provider", "Google", "google, microsoft or imap"),
        ("AddUser", "user", "b b", "an id"),
        ("AddUser", "name", "Bob\nBaker", "text that is not blank, without line breaks"),
        ("AddUser", "permissions", "account_access,super_admin", "separated by ;, each personal_email_access, account"),
        ("SetLoggingPreferences", "never_log", "[1]", "a list of at most 1,000, separated by ;"),
        ("SetRouting", "rule", "unassigned", 'such as {"kind": "unassigned"} for a rule, and this is not JSON'),
        ("SetRouting", "rule", '["bob"]', "a JSON object"),
        ("SetRouting", "rule", '{"kind": "unassigned", "kind": "unassigned"}', "kind is named twice"),
    ],
)
def test_a_cell_that_its_field_cannot_take_is_never_left_out(
    command: str, column: str, cell: str, fits: str, folder: Path
) -> None:
    quoted = cell.replace('"', '""')
    (row,) = read(written(folder, "a.csv", f'account,command,{column}\nacme,{command},"{quoted}"\n'))
    assert (f'{column} cannot be "{cell}": ' in row.error, fits in row.error) == (True, True), row.error
    assert row.to_reload() == {"account": "acme", "command": command, column: cell}


@pytest.mark.parametrize("column", ["sise", "members", "SIZE_"])
def test_a_column_that_is_none_of_the_commands_is_not_passed_over_where_it_is_filled(column: str, folder: Path) -> None:
    head = f"account,command,user,font,{column}\n"
    path = written(folder, "a.csv", f"{head}acme,SetDefaultFont,bob,Arial,\nacme,SetDefaultFont,bob,Arial,12\n")
    first, second = read(path)
    assert (first.error, first.fields) == ("", {"user": "bob", "font": "Arial"})
    assert f'{column.lower()} is not a field of SetDefaultFont and has the value "12"' in second.error
    assert "user, font, size" in second.error


def test_every_cell_at_fault_is_named(folder: Path) -> None:
    (row,) = read(written(folder, "a.csv", "account,command,size,font,tool\nacme,SetDefaultFont,x,Arial,y\n"))
    assert 'size cannot be "x"' in row.error
    assert "tool is not a field of SetDefaultFont" in row.error


def test_what_would_fit_is_said_in_words_for_every_field() -> None:
    for command in COMMANDS:
        for name, field in (fields_of(command) or {}).items():
            assert field.words, (command, name)
            assert not set("\\^$") & set(field.words), (command, name, field.words)


def test_rows_are_counted_as_they_are_given(folder: Path) -> None:
    text = 'command,user,signature\nSetSignature,bob,"a\nb"\n\nSetSignature,cleo,x\n,,\n'
    rows = read(written(folder, "a.csv", text), "acme")
    assert (rows.count, [row.line for row in rows]) == (2, [2, 5])
    rows = read(written(folder, "a.jsonl", '{}\n\n{torn\n  \n{"a": 1}'))
    assert (rows.count, [row.line for row in rows]) == (3, [1, 3, 5])


def test_json_lines_of_a_shell_are_read_by_their_mark(folder: Path) -> None:
    path = folder / "a.jsonl"
    path.write_bytes('{"account": "acme", "command": "AddUser", "name": "Zoë"}\r\n'.encode("utf-16"))
    assert list(read(path)) == [Row(1, "acme", "AddUser", {"name": "Zoë"})]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.txt", "", "name it .jsonl or .csv"),
        ("a.csv", "user,name\nbob,Bob\n", "lacks account and command"),
        ("a.csv", "", "has nothing"),
        ("a.csv", "account,command,owner,Owner\n", "owner is in the header twice"),
        ("a.csv", 'account,command,name\nacme,AddUser,"U\nacme,AddUser,V\n', "line 2: a quote opens and is not closed"),
        ("a.csv", "account,command,name\nacme,AddUser\n", "line 2: 1 fewer cells"),
        ("a.jsonl", '[\n{"account": "acme"}\n]\n', "one JSON object a line"),
        ("a.jsonl", '[{"account": "acme"}]\n', "one JSON object a line"),
    ],
)
def test_a_file_that_is_none_of_these_is_refused_as_a_whole(name: str, text: str, why: str, folder: Path) -> None:
    with pytest.raises(UnreadableFileError, match=why):
        list(read(written(folder, name, text)))


@pytest.mark.parametrize("name", ["all.jsonl", "all.csv"])
def test_a_file_that_somebody_cuts_while_it_is_loaded_is_not_taken_for_a_shorter_one(name: str, folder: Path) -> None:
    head, line = ("", '{"account": "acme", "command": "X"}\n') if name == "all.jsonl" else (HEAD, "acme,X,bob\n")
    path = written(folder, name, head + line * 9_000)
    rows = iter(read(path))
    assert [next(rows).account for _ in range(10)] == ["acme"] * 10
    path.touch()
    assert next(rows).account == "acme"
    whole = path.read_text()
    path.write_text(whole[:90_000])
    with pytest.raises(UnreadableFileError, match="was changed while it was loaded: restore it"):
        next(rows)
    path.write_text(whole)
    again = iter(read(path))
    next(again)
    path.unlink()
    with pytest.raises(UnreadableFileError, match="was changed while it was loaded"):
        list(again)


def test_what_another_command_writes_into_a_pipe_is_no_file(folder: Path) -> None:
    os.mkfifo(folder / "all.jsonl")
    with pytest.raises(UnreadableFileError, match="save it to a file first"):
        read(folder / "all.jsonl")


def test_a_file_in_another_encoding_is_refused(folder: Path) -> None:
    path = folder / "a.jsonl"
    path.write_bytes('{"name": "Zoë"}'.encode("latin-1"))
    with pytest.raises(UnreadableFileError, match="not UTF-8"):
        list(read(path))


def test_what_is_refused_can_be_given_again_under_another_id() -> None:
    row = Row(3, "acme", "AssignSeat", {"actor": "ana", "user": "bob", "command_id": "spent"})
    assert row.to_reload() == {"account": "acme", "command": "AssignSeat", "actor": "ana", "user": "bob"}
