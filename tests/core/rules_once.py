"""Refuses a second copy of a rule of the core: `python -m tests.core.rules_once`, part of `make check`.

A rule that several services need is in shared/core, since a second copy would drift from the first. Whether permissions
suffice is asked of `holds`; the order of identities is made by `best_first`. Both are easy to write again in a line, so
the sources are searched for that line.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

from shared.language.text import Permission

ROOT: Final = Path(__file__).parents[2]
PERMISSIONS: Final = frozenset(get_args(Permission))
STATED_IN: Final = ROOT / "shared" / "core"
SORTING: Final = frozenset({"sorted", "sort", "min", "max"})


def restated(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Compare() if any(map(names_a_permission, (node.left, *node.comparators))):
                yield f"line {node.lineno}: a permission is compared; ask shared.core.policies.holds"
            case ast.MatchValue(value=ast.Constant(value=str(name))) if name in PERMISSIONS:
                yield f"line {node.lineno}: a permission is matched; ask shared.core.policies.holds"
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in SORTING and by_since(node):
                yield f"line {node.lineno}: claims are ordered; use shared.core.sending.best_first"


def by_since(call: ast.Call) -> bool:
    keys = [keyword.value for keyword in call.keywords if keyword.arg == "key"]
    return any(
        (isinstance(part, ast.Attribute) and part.attr == "since")
        or (isinstance(part, ast.Constant) and part.value == "since")
        for key in keys
        for part in ast.walk(key)
    )


def names_a_permission(side: ast.expr) -> bool:
    return isinstance(side, ast.Constant) and side.value in PERMISSIONS


def sources() -> list[Path]:
    found = [path for top in ("services", "shared") for path in (ROOT / top).rglob("*.py")]
    return [path for path in found if STATED_IN not in path.parents]


def offences() -> list[str]:
    """Path, line and advice of each copy."""
    return [f"{path.relative_to(ROOT)}, {one}" for path in sources() for one in restated(path.read_text("utf-8"))]


if __name__ == "__main__":
    found = offences()
    sys.exit("\n".join(found) if found else 0)
