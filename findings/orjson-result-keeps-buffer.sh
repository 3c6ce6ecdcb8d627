#!/bin/sh
# Guess: the bytes that orjson.dumps returns need the memory that sys.getsizeof says.
# Result (orjson 3.13.0): each keeps its buffer of 4 KB; a list of 100,000 results of 290 bytes has 400 MB, not 30 MB.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check orjson==3.13.0
cat > run.py <<'END'
import sys
from pathlib import Path

import orjson

COUNT = 100_000
document = {"text": "x" * 250}


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def bytes_each(make):
    before = resident()
    results = [make() for _ in range(COUNT)]
    return (resident() - before) / len(results)


copies = bytes_each(lambda: b"%b" % orjson.dumps(document))
results = bytes_each(lambda: orjson.dumps(document))
size = sys.getsizeof(orjson.dumps(document))
print(f"orjson 3.13.0: {size} bytes by getsizeof; results fill their buffers {results > 3_000}, copies {copies > 1_000}")
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"results fill their buffers True, copies False"*) ;; *) exit 1 ;; esac
