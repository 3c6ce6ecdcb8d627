#!/bin/sh
# Guess: a list of trusted keys may have a witness's key (C2SP type 0x04) beside the log's (0x01); a verifier without that
# type leaves the witness's line out.
# Result (metamorphic-log 0.1.11): the whole note is refused, and called malformed, though the log's key alone verifies it.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check metamorphic-log==0.1.11
cat > run.py <<'END'
import metamorphic_log

NOTE = """\
This is an example message.

\N{EM DASH} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
"""
LOG = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
WITNESS = "witness.navigli.sunlight.geomys.org+a3e00fe2+BNy/co4C1Hn1p+INwJrfUlgz7W55dSZReusH/GhUhJ/G"


def verified(*keys):
    try:
        return metamorphic_log.verify_signed_note(NOTE, list(keys))
    except metamorphic_log.VerifyError as error:
        return error


print(f"metamorphic-log 0.1.11: log {verified(LOG)}, log and witness: {verified(LOG, WITNESS)}")
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"log 1, log and witness: malformed signed note: unsupported signature type (leading byte 0x04)"*) ;; *) exit 1 ;; esac
