#!/usr/bin/env python3
"""Make the secrets: an NKey for every user of NATS, a password for every role of the database.

    .venv/bin/python deploy/make_secrets.py [FOLDER]        # deploy/secrets when left out

Existing secrets stay, so running it again adds what is missing. To replace a secret, remove its file first (of a
password, the one in postgres/: the URL is derived from it). Only the owner may read the folder. It contains

    nats/keys.conf                                public keys, for nats/users.conf
    <user>/SWITCHBOARD_NATS_NKEY_SEED             the seed of a user of nats/users.conf
    <user>/SWITCHBOARD_POSTGRES_URL               its role, its password, and the place of the database
    postgres/<role>                               passwords, for postgres/init.sh

The files are readable by everybody with access to the folder: a container's user has another number than the caller.
"""

import argparse
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nkeys

SERVICES: Final = ("connections", "relay", "inbox-views", "routing", "audit")
USERS_CONF: Final = Path(__file__).parent / "nats" / "users.conf"
# The role of each user of the database.
ROLES: Final = {service: f"switchboard_{service.replace('-', '_')}" for service in SERVICES} | {
    "ops": "switchboard_reader",
    "replay": "switchboard_reader",
}
SEED: Final = "SWITCHBOARD_NATS_NKEY_SEED"
URL: Final = "SWITCHBOARD_POSTGRES_URL"
POSTGRES: Final = "postgres:5432"
DATABASE: Final = "switchboard"
# Before there was a service of that name, `audit` was an example of a reader.
FORMER_READER: Final = "audit"
READER: Final = "siem"


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the missing secrets.")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(__file__).with_name("secrets"))
    parser.add_argument("--postgres", metavar="HOST:PORT[/DATABASE][?…]", help="the database; else as before")
    options = parser.parse_args()
    make(options.folder, options.postgres)
    print(f"Everything is in {options.folder}; keep it out of every repository.")


def make(folder: Path, postgres: str | None = None) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    rename_former_reader(folder)
    keys = {user: public_key(kept(folder / user / SEED, new_seed)) for user in users()}
    lines = [f"{user.upper().replace('-', '_')}: {key}" for user, key in keys.items()]
    written(folder / "nats" / "keys.conf", "\n".join(["# Made by make_secrets.py.", *lines]))
    kept(folder / "postgres" / "postgres", new_password)
    where = whole(postgres) if postgres else place_in(folder)
    for user, role in ROLES.items():
        password = kept(folder / "postgres" / role, new_password)
        written(folder / user / URL, f"postgresql://{role}:{password}@{where}")


def rename_former_reader(folder: Path) -> None:
    """Leave its key to the reader, so that the service gets one of its own."""
    former, reader = folder / FORMER_READER, folder / READER
    if (former / SEED).exists() and not (former / URL).exists() and not reader.exists():
        former.rename(reader)
        print(f"The reader {FORMER_READER} is called {READER} now: its key is in {reader}.")


def users() -> list[str]:
    """The users with a key in the configuration of NATS."""
    found = re.findall(r"nkey: \$([A-Z_]+)", USERS_CONF.read_text())
    return [name.lower().replace("_", "-") for name in found]


def whole(postgres: str) -> str:
    """Add the name of the database where it is missing."""
    place, mark, options = postgres.partition("?")
    return f"{place if '/' in place else f'{place}/{DATABASE}'}{mark}{options}"


def place_in(folder: Path) -> str:
    """The place of the database in existing URLs, else the one of compose.yaml."""
    there = [folder / user / URL for user in ROLES if (folder / user / URL).exists()]
    return there[0].read_text().strip().rpartition("@")[2] if there else whole(POSTGRES)


def kept(path: Path, new: Callable[[], str]) -> str:
    """The content of the file, which is made when it is missing."""
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
    """Letters, digits, - and _, since it is part of a URL."""
    return secrets.token_urlsafe(24)


if __name__ == "__main__":
    main()
