"""Check names and sentences: `python -m tests.words`, part of `make check`."""

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.words.check import Offence, Words, offences

ROOT: Final = Path(__file__).parents[2]
STILL_TO_DO: Final = Path(__file__).with_name("still_to_do.txt")
HELP: Final = """\
words.toml has the words that are refused, with what to write instead, and the exceptions with their reasons.
still_to_do.txt lists files that had offences when the check began, and how many of each kind. A file may have no
more than it is listed with, and one that is clean must leave the list.

  python -m tests.words             check; exit code 1 when something is refused
  python -m tests.words PATH …      show every offence of these files or folders, listed or not
  python -m tests.words --write     take files off the list that are clean now, and follow files that moved;
                                    refused when a kind has more offences in all than the list allows

After a rebase with a conflict in still_to_do.txt: take main's, then --write.
"""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.words", description=__doc__, epilog=HELP, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write the list of what is still to do")
    parser.add_argument("paths", nargs="*", help="files or folders, from the root of the repository")
    options = parser.parse_args(argv)
    words = Words.read()
    found = offences(ROOT, words)
    if options.paths:
        return show([one for one in found if one.path.startswith(tuple(options.paths))])
    listed = read(STILL_TO_DO.read_text(encoding="utf-8"))
    if options.write:
        return write(found, listed, STILL_TO_DO)
    complaints = refused(found, listed) + [f"words.toml: the exception {one} covers nothing" for one in words.unused()]
    sys.stdout.writelines(f"{line}\n" for line in complaints)
    if complaints:
        sys.stdout.write("More: python -m tests.words --help\n")
    return 1 if complaints else 0


def show(found: list[Offence]) -> int:
    sys.stdout.writelines(f"{one}\n" for one in found)
    return 1 if found else 0


def counts(found: list[Offence]) -> dict[str, Counter[str]]:
    """By file, how many of each kind."""
    by_file: dict[str, Counter[str]] = {}
    for one in found:
        by_file.setdefault(one.path, Counter())[one.kind] += 1
    return by_file


def read(text: str) -> dict[str, Counter[str]]:
    """The list: a line has a path and `kind=number` for each kind."""
    listed = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            path, *kinds = line.split()
            listed[path] = Counter({kind: int(many) for kind, many in (one.split("=") for one in kinds)})
    return listed


def refused(found: list[Offence], listed: dict[str, Counter[str]]) -> list[str]:
    """Offences beyond the list, and files that have to leave it. A file that moved takes its entry along."""
    now = counts(found)
    moved: Counter[str] = sum((kinds for path, kinds in listed.items() if not (ROOT / path).exists()), Counter())
    beyond = {path: kinds - listed.get(path, Counter()) for path, kinds in now.items()}
    grown = sum(beyond.values(), Counter()) - moved
    complaints = [str(one) for one in found if one.kind in grown and one.kind in beyond[one.path]]
    clean = [path for path in listed if (ROOT / path).exists() and path not in now]
    return complaints + [f"{path}: it is clean; take it off the list: python -m tests.words --write" for path in clean]


def write(found: list[Offence], listed: dict[str, Counter[str]], path: Path) -> int:
    """Write the list, unless a kind of offence has become more."""
    total: Counter[str] = Counter(one.kind for one in found)
    before: Counter[str] = sum(listed.values(), Counter())
    grown = {kind: many for kind, many in total.items() if many > before[kind]}
    if grown:
        sys.stdout.writelines(f"{line}\n" for line in refused(found, listed))
        sys.stdout.write(f"not written: more than the list allows: {grown}, listed: {dict(before)}\n")
        return 1
    path.write_text(rendered(found), encoding="utf-8")
    sys.stdout.write(f"{len(counts(found))} files, {len(found)} offences still to do\n")
    return 0


def rendered(found: list[Offence]) -> str:
    lines = [
        f"{path} {' '.join(f'{k}={n}' for k, n in sorted(kinds.items()))}" for path, kinds in counts(found).items()
    ]
    return "\n".join(["# Written by `python -m tests.words --write`; see its --help.", *sorted(lines), ""])


if __name__ == "__main__":
    sys.exit(main())
