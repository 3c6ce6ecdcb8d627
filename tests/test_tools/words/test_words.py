"""What the check of words refuses, and what it lets pass."""

from collections import Counter
from pathlib import Path

import pytest

from tests.words import __main__ as command
from tests.words.check import Offence, Words, judge, judge_decisions, offences
from tests.words.prose import count_words, of_markdown, of_python, sentences

LONG = " ".join(f"Word{number}" for number in range(1, 32))
SHORT = " ".join(f"Word{number}" for number in range(1, 31))


@pytest.fixture(scope="module")
def words() -> Words:
    return Words.read()


def planted(root: Path, name: str, text: str, words: Words) -> list[tuple[str, int]]:
    """The kinds and lines of what is refused in a file with this text."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [(one.kind, one.line) for one in judge(root, path, words)]


@pytest.mark.parametrize(
    "text",
    [
        "class Desk:\n    pass\n",
        "def _told() -> None:\n    pass\n",
        "def read(*, twins: int) -> None:\n    pass\n",
        "STRANGERS = 1\n",
        "trouble: int = 1\n",
    ],
)
@pytest.mark.parametrize("package", ["shared/process", "services/relay"])
def test_a_listed_name_is_refused(tmp_path: Path, words: Words, package: str, text: str) -> None:
    assert [kind for kind, _ in planted(tmp_path, f"{package}/page.py", text, words)] == ["name"]


def test_a_listed_module_or_package_is_refused(tmp_path: Path, words: Words) -> None:
    assert planted(tmp_path, "services/relay/telling/page.py", "", words) == [("name", 1)]
    assert planted(tmp_path, "services/relay/desk.py", "", words) == [("name", 1)]


def test_a_name_that_only_contains_a_listed_word_passes(tmp_path: Path, words: Words) -> None:
    text = "class KnownTenants:\n    last_seen: int\n\n\ndef is_known(told_at: int) -> None:\n    desk = told_at\n"
    assert planted(tmp_path, "shared/process/page.py", text, words) == []


def test_names_of_some_packages_are_refused_there_only(tmp_path: Path, words: Words) -> None:
    text = "def find() -> None:\n    pass\n"
    assert planted(tmp_path, "shared/client/page.py", text, words) == [("name", 1)]
    assert planted(tmp_path, "shared/core/page.py", text, words) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("The rows are made anew.\n", "phrase"),
        ("The log tells it.\n", "phrase"),
        ("It is no number.\n", "phrase"),
        ("Nobody need restart.\n", "phrase"),
        ("A user gets his mail.\n", "pronoun"),
        ("What a writer knows is kept.\n", "opening"),
        (f"{LONG}.\n", "long"),
    ],
)
@pytest.mark.parametrize("form", ["{}", "A paragraph.\n\n* {}", "| a | b |\n|---|---|\n| c | {} |", "# {}"])
def test_markdown_is_judged_wherever_it_has_prose(
    tmp_path: Path, words: Words, form: str, text: str, kind: str
) -> None:
    found = planted(tmp_path, "deploy/PAGE.md", form.format(text.strip()), words)
    assert [one for one, _ in found] == [kind]


def test_plain_sentences_pass(tmp_path: Path, words: Words) -> None:
    text = f"There is no stream. It is no longer ready, and stands by. Who may do it? {SHORT}. A help desk.\n"
    assert planted(tmp_path, "README.md", text, words) == []


def test_code_in_markdown_is_not_prose(tmp_path: Path, words: Words) -> None:
    text = "Run this, `told anew`:\n\n    echo told anew\n\n```sh\necho he stands\n```\n"
    assert planted(tmp_path, "README.md", text, words) == []


@pytest.mark.parametrize(
    "text",
    [
        '"""He may."""\n',
        "# His rows.\n",
        'TEXT = "this is his mail"\n',
        'def say(x: str) -> str:\n    return f"{x} is his mail now"\n',
    ],
)
def test_prose_in_python_is_judged(tmp_path: Path, words: Words, text: str) -> None:
    assert [kind for kind, _ in planted(tmp_path, "services/ops/page.py", text, words)] == ["pronoun"]


def test_long_sentences_are_refused_where_users_read_them(tmp_path: Path, words: Words) -> None:
    text, docstring = f'TEXT = "{LONG}."\n', f'"""{LONG}."""\n'
    assert planted(tmp_path, "services/ops/page.py", text, words) == [("long", 1)]
    assert planted(tmp_path, "shared/client/page.py", docstring, words) == [("long", 1)]
    assert planted(tmp_path, "shared/core/page.py", docstring, words) == []


def test_statements_of_sql_are_not_prose() -> None:
    text = 'QUERY = "SELECT told FROM his_rows WHERE it stands"\n'
    assert list(of_python(text, users=True)) == []


def test_the_contract_and_the_alerts_are_judged(tmp_path: Path, words: Words) -> None:
    contract = '{"description": "Whether he may do it.", "examples": ["what he wrote is his"]}'
    assert planted(tmp_path, "deploy/contract/asyncapi.json", contract, words) == [("pronoun", 1)]
    alerts = "groups:\n  - description: The relay tells nothing\n"
    assert planted(tmp_path, "deploy/dashboards/alerts.yml", alerts, words) == [("phrase", 2)]


def test_a_sentence_ends_where_it_ends() -> None:
    assert list(sentences("One, e.g. this. `Two` follows!\n\nThree")) == ["One, e.g. this.", "`Two` follows!", "Three"]
    assert count_words("`make check` runs 3 things") == 4
    assert [(one.line, one.text) for one in of_markdown("a\n\nb\nc\n")] == [(1, "a"), (3, "b\nc")]


DECISION = """\
# Decisions of the relay

Newest first.

## One relay works

Status: accepted.

Context: two relays write twice.

Choice: a lease.

Cost: a session.
"""


def test_a_decision_in_the_form_passes() -> None:
    assert list(judge_decisions("DECISIONS.md", DECISION)) == []


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("# Decisions", "# Thoughts"),
        ("Status: accepted.", "Status: fine."),
        ("Context: two relays write twice.\n\n", ""),
        ("Cost: a session.", f"Cost: {LONG} {LONG} {SHORT}."),
    ],
)
def test_a_decision_in_another_form_is_refused(now: str, then: str) -> None:
    assert [one.kind for one in judge_decisions("DECISIONS.md", DECISION.replace(now, then))] == ["form"]


def test_the_newest_decision_comes_first() -> None:
    older = DECISION.partition("## ")[2].replace("accepted", "accepted, 2026-11-23")
    newer = older.replace("2026-11-23", "2026-11-24")
    head = "# Decisions of the relay\n\n"
    assert list(judge_decisions("DECISIONS.md", f"{head}## {newer}\n## {older}")) == []
    assert [one.kind for one in judge_decisions("DECISIONS.md", f"{head}## {older}\n## {newer}")] == ["form"]


def test_a_page_names_modules_that_exist(tmp_path: Path, words: Words) -> None:
    planted(tmp_path, "services/a/page.py", "", words)
    for name in ("services/a/page.py", "page.py", "a/page.py"):
        assert planted(tmp_path, "services/README.md", f"See `{name}`.\n", words) == [], name
    assert planted(tmp_path, "services/README.md", "\nSee `other.py`.\n", words) == [("form", 2)]


def test_the_front_page_is_short(tmp_path: Path, words: Words) -> None:
    text = "Some words.\n\n" * 450
    assert planted(tmp_path, "README.md", text, words) == []
    assert planted(tmp_path, "README.md", text + "More\n", words) == [("form", 1)]


def test_an_exception_covers_its_files_only_and_must_be_needed(tmp_path: Path) -> None:
    kept = [{"words": "desk", "where": "services/a/*", "why": "a reason"}]
    words = Words({"modules": {}, "names": {"desk": "context"}, "kept": kept})
    assert words.unused() == ["desk in services/a/*"]
    assert planted(tmp_path, "services/a/page.py", "desk = 1\n", words) == []
    assert planted(tmp_path, "services/b/page.py", "desk = 1\n", words) == [("name", 1)]
    assert words.unused() == []


def test_every_exception_has_a_reason(words: Words) -> None:
    assert all(one["why"].count(" ") > 2 for one in words.kept)


def test_every_file_of_a_tree_is_judged(tmp_path: Path, words: Words) -> None:
    for name in ("shared/a/b.py", "services/a.py", "README.md", "tests/a/README.md", "deploy/x/y.yaml"):
        planted(tmp_path, name, "# His rows.\n", words)
    planted(tmp_path, "tests/a/test_b.py", "# His rows.\n", words)
    found = {one.path for one in offences(tmp_path, words)}
    assert found == {"shared/a/b.py", "services/a.py", "README.md", "tests/a/README.md", "deploy/x/y.yaml"}


def offence(path: str, kind: str = "phrase") -> Offence:
    return Offence(path, 1, kind, "what")


def test_more_than_the_list_allows_is_refused() -> None:
    listed = {"README.md": Counter(phrase=1)}
    assert command.refused([offence("README.md")], listed) == []
    assert len(command.refused([offence("README.md")] * 2, listed)) == 2
    assert len(command.refused([offence("README.md", "long"), offence("README.md")], listed)) == 1
    assert len(command.refused([offence("README.md"), offence("Makefile")], listed)) == 1


def test_a_clean_file_must_leave_the_list() -> None:
    assert len(command.refused([], {"README.md": Counter(phrase=1)})) == 1


def test_a_file_that_moved_takes_its_entry_along() -> None:
    listed = {"shared/was_here.py": Counter(phrase=1)}
    assert command.refused([offence("Makefile")], listed) == []
    assert len(command.refused([offence("Makefile")] * 2, listed)) == 2


def test_the_list_is_written_when_it_grows_in_nothing(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    listed = {"README.md": Counter(phrase=2)}
    assert command.write([offence("Makefile")], listed, path) == 0
    assert command.read(path.read_text(encoding="utf-8")) == {"Makefile": Counter(phrase=1)}
    assert command.write([offence("Makefile", "long")], listed, path) == 1
    assert command.read(path.read_text(encoding="utf-8")) == {"Makefile": Counter(phrase=1)}
