#!/usr/bin/env python3
"""Makes what is secret: an NKey for every user of the bus, a password for every role of the database.

    .venv/bin/python deploy/make_secrets.py [FOLDER]        # deploy/secrets when left out

What is there already stays, so running it again adds what is missing; to replace a secret, remove its file first. The
folder is for its owner alone; in it are

    nats/keys.conf                                public keys, for nats/users.conf
    <user>/SWITCHBOARD_NATS_NKEY_SEED             who this is to NATS
    <user>/SWITCHBOARD_POSTGRES_URL               its role, its password, and where the database is
    postgres/<role>                               passwords, for postgres/init.sh

The files can be read by all who get into the folder: a container's user has another number than whoever runs this.
"""

import argparse
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import nkeys

SERVICES: Final = ("connections", "relay", "inbox-views", "routing")
USERS: Final = (*SERVICES, "ops", "crm", "helpdesk", "audit", "system")
# Who comes to the database, and as what.
ROLES: Final = {service: f"switchboard_{service.replace('-', '_')}" for service in SERVICES} | {
    "ops": "switchboard_reader"
}
SEED: Final = "SWITCHBOARD_NATS_NKEY_SEED"
URL: Final = "SWITCHBOARD_POSTGRES_URL"
POSTGRES: Final = "postgres:5432"


def main() -> None:
    asked = argparse.ArgumentParser(description="Makes what is secret, where it is not there yet.")
    asked.add_argument("folder", type=Path, nargs="?", default=Path(__file__).with_name("secrets"))
    asked.add_argument("--postgres", metavar="HOST:PORT", help="of the database; else as it was")
    given = asked.parse_args()
    make(given.folder, given.postgres)
    print(f"Everything is in {given.folder}; keep it out of every repository.")


def make(folder: Path, postgres: str | None = None) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = {user: public_key(kept(folder / user / SEED, new_seed)) for user in USERS}
    lines = [f"{user.upper().replace('-', '_')}: {key}" for user, key in keys.items()]
    written(folder / "nats" / "keys.conf", "\n".join(["# Made by make_secrets.py.", *lines]))
    kept(folder / "postgres" / "postgres", new_password)
    for user, role in ROLES.items():
        password = kept(folder / "postgres" / role, new_password)
        where = postgres or place_in(folder / user / URL)
        written(folder / user / URL, f"postgresql://{role}:{password}@{where}/switchboard")


def place_in(path: Path) -> str:
    """Host and port of the URL in a file; where compose.yaml has the database when there is none yet."""
    return urlsplit(path.read_text().strip()).netloc.rpartition("@")[2] if path.exists() else POSTGRES


def kept(path: Path, new: Callable[[], str]) -> str:
    """What the file says; it is made when it is not there."""
    if not path.exists():
        written(path, new())
    return path.read_text().strip()


def written(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.parent.chmod(0o755)
    path.unlink(missing_ok=True)
    path.write_text(f"{text}\n")
    path.chmod(0o444)


def new_seed() -> str:
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed.decode()


def public_key(seed: str) -> str:
    key: bytes = nkeys.from_seed(bytearray(seed.encode())).public_key
    return key.decode()


def new_password() -> str:
    """Letters and digits, - and _: it stands in a URL."""
    return secrets.token_urlsafe(24)


if __name__ == "__main__":
    main()
