#!/bin/sh
# Guess: importing the persistence module of an event store leaves the standard library as it is.
# Result (eventsourcing 9.5.6): the import replaces dataclasses._process_class for the whole process. Every dataclass
# made later, of any package, is made through the library's function, and its frame appears in their tracebacks.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check eventsourcing==9.5.6
cat > run.py <<'END'
import dataclasses
import traceback

before = dataclasses._process_class
import eventsourcing.persistence  # noqa: E402,F401

try:

    @dataclasses.dataclass
    class Order:
        note: str = ""
        number: int  # a field without a default behind one with a default: a TypeError

except TypeError as error:
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]

replaced = dataclasses._process_class is not before
print(f"eventsourcing 9.5.6: replaced {replaced}, its frame in a traceback {'_patched_dataclasses_process_class' in frames}")
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"replaced True, its frame in a traceback True"*) ;; *) exit 1 ;; esac
