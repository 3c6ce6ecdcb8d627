#!/bin/sh
# Guess: a log's first checkpoint, of size 0, is consistent with each later one, by an empty proof, as C2SP's tlog-witness
# has it for the old size 0.
# Result (metamorphic-log 0.1.11): it takes a signed checkpoint of size 0, and refuses each proof from it as meaningless.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check metamorphic-log==0.1.11
cat > run.py <<'END'
import hashlib

import metamorphic_log

empty = hashlib.sha256(b"").digest()
one = hashlib.sha256(b"\x00an entry").digest()
metamorphic_log.verify_consistency(1, 1, [], one, one)
try:
    metamorphic_log.verify_consistency(0, 1, [], empty, one)
    result = "taken"
except metamorphic_log.VerifyError as error:
    result = f"refused: {error}"
print(f"metamorphic-log 0.1.11, an empty proof from size 0 to 1: {result}")
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"refused: consistency proof from an empty tree is meaningless"*) ;; *) exit 1 ;; esac
