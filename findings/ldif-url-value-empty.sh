#!/bin/sh
# Guess: where URL values are not to be fetched (the default), `attribute:< URL` (RFC 2849) is refused or left out.
# Result (ldif 4.3.0): the attribute is there with an empty value, as if the directory had said so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ldif==4.3.0
cat > run.py <<'END'
import io

from ldif import LDIFParser

text = b"dn: uid=ana,dc=acme,dc=example\nuid: ana\nmail:< file:///tmp/ana-mail.txt\n"
for _, entry in LDIFParser(io.BytesIO(text)).parse():
    print(f"ldif 4.3.0, mail:< file:///…: {entry.get('mail')}")
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"['']"* | *"[b'']"*) ;; *) exit 1 ;; esac
