"""The rules, held against files: names, phrases, pronouns, openings, the length of sentences, the form of decisions."""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.words.prose import Passage, count_words, of_markdown, passages, sentences

WORDS: Final = Path(__file__).with_name("words.toml")
LONGEST_SENTENCE: Final = 30
LONGEST_README: Final = 900
LONGEST_DECISION: Final = 80
# Names are judged here; prose everywhere below.
NAMED: Final = ("shared", "services")
PROSE: Final = (
    "*.md",
    "pyproject.toml",
    "deploy/**/*",
    "findings/*",
    "shared/**/*",
    "services/**/*",
    "tests/**/*.md",
    "Makefile",
)
SUFFIXES: Final = {".md", ".py", ".sql", ".yaml", ".yml", ".conf", ".sh", ".json", ".toml", ""}
# Generated from what is judged, written by a run, other people's words, or no words at all.
PASSED_OVER: Final = (
    "*/schemas/*", "*/results/*", "*/contract/style.py", "*/evidence/report_style.py", "*/examples.json", "*/secrets/*",
    "*/__pycache__/*", "*/node_modules/*", "*/data/*", "*/LICENSE",
)  # fmt: skip
# Docstrings that an editor shows to other teams.
SHOWN_TO_CALLERS: Final = "shared/client/*"

_MODULE = re.compile(r"`([\w/-]+\.(?:py|sql))`")
_PARTS = re.compile(r"\*\*(Status|Context|Choice|Cost):\*\*|^(Status|Context|Choice|Cost):", re.MULTILINE)


class Offence(NamedTuple):
    """What is wrong, where; `kind` is `name`, `phrase`, `pronoun`, `opening`, `long` or `form`."""

    path: str
    line: int
    kind: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


class Words:
    """The list of words, and what is kept although it is on it."""

    def __init__(self, listed: dict[str, Any]) -> None:
        self.modules: dict[str, str] = listed["modules"]
        self.names: dict[str, str] = listed["names"]
        self.names_in: dict[str, dict[str, str]] = listed.get("names_in", {})
        self.kept: list[dict[str, str]] = listed.get("kept", [])
        self.used: set[int] = set()
        self._listed = listed

    @classmethod
    def read(cls, path: Path = WORDS) -> "Words":
        return cls(tomllib.loads(path.read_text(encoding="utf-8")))

    @cached_property
    def rules(self) -> list[tuple[str, re.Pattern[str], str]]:
        """Kind, pattern and advice of each rule for prose."""
        found = [
            (kind, re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE), advice)
            for kind in ("phrase", "pronoun")
            for pattern, advice in self._listed.get(f"{kind}s", {}).items()
        ]
        for pattern, advice in self._listed.get("openings", {}).items():
            found.append(("opening", re.compile(rf"(?:{pattern})(?= )"), advice))
        return found

    def keeps(self, path: str, what: str) -> bool:
        """Whether an exception covers these words in this file."""
        for number, one in enumerate(self.kept):
            if one["words"].lower() == what.lower() and fnmatch(path, one["where"]):
                self.used.add(number)
                return True
        return False

    def unused(self) -> list[str]:
        """Exceptions that covered nothing."""
        return [f"{one['words']} in {one['where']}" for at, one in enumerate(self.kept) if at not in self.used]


def judge_names(path: str, text: str, words: Words) -> Iterator[Offence]:
    """Names of the module, its classes, functions, parameters, constants and class attributes."""
    parts = Path(path).with_suffix("").parts
    for part in parts[1:]:
        if part in words.modules and not words.keeps(path, part):
            yield Offence(path, 1, "name", f"module `{part}`: {words.modules[part]}")
    refused = dict(words.names)
    for where, names in words.names_in.items():
        if path.startswith(where):
            refused |= names
    for line, name in _names(ast.parse(text)):
        bare = name.strip("_")
        if bare in refused and not words.keeps(path, bare):
            yield Offence(path, line, "name", f"`{name}`: {refused[bare]}")


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name, body=body):
                yield node.lineno, name
                yield from _assigned(body)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield node.lineno, name
            case ast.arg(arg=name):
                yield node.lineno, name
            case ast.Module(body=body):
                yield from _assigned(body)


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        for target in targets:
            if isinstance(target, ast.Name):
                yield node.lineno, target.id


def judge_prose(path: str, found: Iterable[Passage], words: Words) -> Iterator[Offence]:
    """Phrases, pronouns, openings; and the length of sentences that users read."""
    for passage in found:
        plain = re.sub(r"`[^`]*`", "`code`", passage.text)
        for kind, pattern, advice in words.rules:
            if kind != "opening":
                for hit in pattern.finditer(plain):
                    line = passage.line + plain.count("\n", 0, hit.start())
                    if not words.keeps(path, hit.group()):
                        yield Offence(path, line, kind, f"“{hit.group()}”: {advice}")
        yield from _judge_sentences(path, passage, plain, words)


def _judge_sentences(path: str, passage: Passage, plain: str, words: Words) -> Iterator[Offence]:
    openings = [(pattern, advice) for kind, pattern, advice in words.rules if kind == "opening"]
    for sentence in sentences(plain):
        many = count_words(sentence)
        start = " ".join(sentence.split()[:6])
        question = sentence.rstrip("*)\"' ").endswith("?")
        for pattern, advice in openings:
            refused = many > 3 and pattern.match(sentence) and not question
            if refused and not words.keeps(path, sentence.split()[0]):
                yield Offence(path, passage.line, "opening", f"“{start} …”: {advice}")
        if passage.for_users and many > LONGEST_SENTENCE:
            yield Offence(path, passage.line, "long", f"“{start} …” has {many} words; at most {LONGEST_SENTENCE}")


def judge_decisions(path: str, text: str) -> Iterator[Offence]:
    """A title, then entries of a heading, a status, context, choice and cost; each short, the newest first."""
    newest = "9"
    entries = re.split(r"^## ", text, flags=re.MULTILINE)
    if not entries[0].startswith("# Decisions"):
        yield Offence(path, 1, "form", "the first line is `# Decisions of …`")
    line = 1 + entries[0].count("\n")
    for entry in entries[1:]:
        title, _, body = entry.partition("\n")
        parts = [one[0] or one[1] for one in _PARTS.findall(body)]
        if parts != ["Status", "Context", "Choice", "Cost"]:
            yield Offence(path, line, "form", f"“{title}”: Status, Context, Choice, Cost, in this order")
        elif not re.match(r"\s*(?:\*\*)?Status:(?:\*\*)? (?:accepted|replaced by )", body):
            yield Offence(path, line, "form", f"“{title}”: its status is `accepted` or `replaced by …`")
        many = sum(count_words(passage.text) for passage in of_markdown(body)) - 4
        if many > LONGEST_DECISION:
            yield Offence(path, line, "form", f"“{title}” has {many} words; at most {LONGEST_DECISION}")
        if (dated := re.search(r"Status:(?:\*\*)? .*(\d{4}-\d\d-\d\d)", body)) is not None:
            if dated[1] > newest:
                yield Offence(path, line, "form", f"“{title}” is newer than the one above")
            newest = dated[1]
        line += entry.count("\n")


def judge_front(path: str, text: str) -> Iterator[Offence]:
    """The README at the root is short."""
    many = len(text.split())
    if many > LONGEST_README:
        yield Offence(path, 1, "form", f"{many} words; at most {LONGEST_README}")


def judge_modules(root: Path, path: Path) -> Iterator[Offence]:
    """Modules that a page names exist: from the root, or below the page."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        for name in _MODULE.findall(line):
            if not ((root / name).exists() or any(path.parent.rglob(name))):
                yield Offence(path.relative_to(root).as_posix(), number, "form", f"there is no `{name}`")


def judge(root: Path, path: Path, words: Words) -> Iterator[Offence]:
    """Everything that is wrong with one file."""
    name = path.relative_to(root).as_posix()
    users = fnmatch(name, SHOWN_TO_CALLERS)
    if path.suffix == ".py" and name.startswith(NAMED):
        yield from judge_names(name, path.read_text(encoding="utf-8"), words)
    yield from judge_prose(name, passages(path, users=users), words)
    if path.suffix == ".md" and path.name != "CHANGELOG.md":
        yield from judge_modules(root, path)
    if path.name == "DECISIONS.md":
        yield from judge_decisions(name, path.read_text(encoding="utf-8"))
    if name == "README.md":
        yield from judge_front(name, path.read_text(encoding="utf-8"))


def files(root: Path) -> list[Path]:
    """The files whose words are ours."""
    found = {
        path
        for pattern in PROSE
        for path in root.glob(pattern)
        if path.is_file()
        and (path.suffix in SUFFIXES - {""} or path.name == "Makefile")
        and not any(fnmatch(path.relative_to(root).as_posix(), one) for one in PASSED_OVER)
    }
    return sorted(found)


def offences(root: Path, words: Words) -> list[Offence]:
    """All of them, file by file."""
    return [offence for path in files(root) for offence in judge(root, path, words)]
