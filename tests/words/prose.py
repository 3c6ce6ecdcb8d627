"""Where people read: sentences out of Markdown, Python, the published contract and configuration."""

import ast
import inspect
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

# Configuration that carries comments or descriptions for people.
COMMENTED: Final = (".sql", ".yaml", ".yml", ".conf", ".sh", ".toml")

_INLINE = re.compile(r"`[^`]*`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_URL = re.compile(r"<?\b\w+://\S+")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+(?=[\"'(\[*]*[A-Z0-9`…])|\n\s*\n|(?<=:)\s*\n\s*(?=[-*\d|])")
_BULLET = re.compile(r"^\s*(?:[-*]|\d+\.)\s+", re.MULTILINE)
_SQL = re.compile(
    r"\b(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|LOCK TABLE|TRUNCATE|WHERE|ORDER BY|BEGIN|ROLLBACK)\b"
)
# The text of a Python module, in its generator.
_SOURCE = re.compile(r"^(?:from [\w.]+ )?import \w+", re.MULTILINE)
_TAG = re.compile(r"</?[a-z!][^<>]*>")
_WORD = re.compile(r"[^\W_][\w'’-]*")


class Passage(NamedTuple):
    """A piece of prose: where it begins, its text, and whether users of Switchboard read it."""

    line: int
    text: str
    for_users: bool


def sentences(text: str) -> Iterator[str]:
    """The sentences of a passage; code in backquotes is left as one word."""
    for piece in _SENTENCE_END.split(text):
        if piece and piece.strip():
            yield " ".join(piece.split())


def count_words(sentence: str) -> int:
    """The number of words; code, a path or a number is one."""
    return len(_WORD.findall(_INLINE.sub("code", sentence)))


def of_markdown(text: str) -> Iterator[Passage]:
    """Paragraphs, items of lists and cells of tables, without code."""
    text = re.sub(r"^---+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^```.*?^```$", lambda found: "\n" * found.group().count("\n"), text, flags=re.MULTILINE | re.DOTALL)
    text = _URL.sub("URL", _LINK.sub(lambda found: found[1] + "\n" * found.group().count("\n"), text))
    block: list[str] = []
    begins, in_list = 1, False
    for line, row in enumerate([*text.splitlines(), ""], start=1):
        bullet = _BULLET.match(row) is not None
        code = row.startswith(" " * (7 if in_list else 4)) and not block
        ends = not row.strip() or row.startswith(("#", "|", ">")) or bullet or code
        if ends:
            if block:
                yield Passage(begins, "\n".join(block), True)
            block = []
        if row.startswith("|"):
            for cell in re.split(r"(?<!\\)\|", row.strip("|")):
                yield Passage(line, cell.strip(), True)
        elif row.startswith("#"):
            yield Passage(line, row.lstrip("# "), True)
        elif row.strip() and not code:
            begins = begins if block else line
            block.append(_BULLET.sub("", row).strip())
        if bullet or not row.startswith(" "):
            in_list = bullet or (in_list and not row.strip())


def of_python(text: str, *, users: bool) -> Iterator[Passage]:
    """Docstrings, texts of several words, and comments. Texts are for users, docstrings where `users` says so."""
    tree = ast.parse(text)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(id(first.value))
                if isinstance(first.value.value, str):
                    yield Passage(first.lineno, _without_code(first.value.value), users)
    yield from _texts(tree, docstrings)
    yield from _comments(text)


def _without_code(docstring: str) -> str:
    """A docstring without its indented examples; the number of lines is kept."""
    text = inspect.cleandoc(docstring) if docstring[:1].strip() else docstring
    return re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.MULTILINE)


def _texts(tree: ast.Module, docstrings: set[int]) -> Iterator[Passage]:
    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            whole = "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
            text = _TAG.sub("", whole)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings | inside:
            text = _TAG.sub("", node.value)
        else:
            continue
        if text.count(" ") > 1 and not _SQL.search(text) and not _SOURCE.search(text):
            yield Passage(node.lineno, text, True)


def _comments(text: str) -> Iterator[Passage]:
    block: list[str] = []
    begins = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT and "noqa" not in token.string and "type: ignore" not in token.string:
            line = token.start[0]
            if block and line != last + 1:
                yield Passage(begins, "\n".join(block), False)
                block = []
            begins = begins if block else line
            block, last = [*block, token.string.lstrip("# ")], line
    if block:
        yield Passage(begins, "\n".join(block), False)


def of_configuration(text: str) -> Iterator[Passage]:
    """Comments, and the descriptions of alerts."""
    block: list[str] = []
    begins = 0
    for line, row in enumerate([*text.splitlines(), ""], start=1):
        comment = re.match(r"\s*(?:#|--)\s?([^!].*)$", row)
        described = re.match(r"\s*(?:- )?(?:summary|description):\s*(.+)$", row)
        trailing = re.search(r"\S\s+(?:#|--) (\D.*)$", row)
        if comment is None and block:
            yield Passage(begins, "\n".join(block), False)
            block = []
        if comment is not None:
            begins = begins if block else line
            block.append(comment[1])
        elif described is not None:
            yield Passage(line, described[1], True)
        elif trailing is not None:
            yield Passage(line, trailing[1], False)


def of_makefile(text: str) -> Iterator[Passage]:
    """Comments, and what `make` alone prints."""
    for line, row in enumerate(text.splitlines(), start=1):
        if found := re.search(r"##? (.*)$", row):
            yield Passage(line, found[1], "##" in row)


def of_json(text: str) -> Iterator[Passage]:
    """Every text of several words; the line is not known."""
    texts: dict[str, None] = {}

    def gather(node: Any) -> None:
        if isinstance(node, dict):
            for name, value in node.items():
                # Examples show messages as they are, and messages come out of the code.
                if name not in ("examples", "pattern", "expr", "query", "legendFormat"):
                    gather(value)
        elif isinstance(node, list):
            for value in node:
                gather(value)
        elif isinstance(node, str) and node.count(" ") > 1:
            texts[node] = None

    gather(json.loads(text))
    for one in texts:
        yield Passage(1, one, True)


def passages(path: Path, *, users: bool) -> Iterator[Passage]:
    """The prose of one file, by what kind of file it is."""
    text = path.read_text(encoding="utf-8")
    match path.suffix:
        case ".md":
            yield from of_markdown(text)
        case ".py":
            yield from of_python(text, users=users)
        case ".json":
            yield from of_json(text)
        case suffix if suffix in COMMENTED:
            yield from of_configuration(text)
        case _:
            yield from of_makefile(text)
