#!/usr/bin/env python3
"""Makes what is secret: an NKey for every user of the bus, a password for every role of the database.

    .venv/bin/python deploy/make_secrets.py [FOLDER]        # deploy/secrets when left out

What is there already stays, so running it again adds what is missing; to replace a secret, remove its file first (of a
password, the one in postgres/: the URL is made from it). The folder is for its owner alone; in it are

    nats/keys.conf                                public keys, for nats/users.conf
    <user>/SWITCHBOARD_NATS_NKEY_SEED             who this is to NATS; users are those of nats/users.conf
    <user>/SWITCHBOARD_POSTGRES_URL               its role, its password, and where the database is
    postgres/<role>                               passwords, for postgres/init.sh

The files can be read by all who get into the folder: a container's user has another number than whoever runs this.
"""

import argparse
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

import nkeys

SERVICES: Final = ("connections", "relay", "inbox-views", "routing")
USERS_CONF: Final = Path(__file__).parent / "nats" / "users.conf"
# Who comes to the database, and as what.
ROLES: Final = {service: f"switchboard_{service.replace('-', '_')}" for service in SERVICES} | {
    "ops": "switchboard_reader"
}
SEED: Final = "SWITCHBOARD_NATS_NKEY_SEED"
URL: Final = "SWITCHBOARD_POSTGRES_URL"
POSTGRES: Final = "postgres:5432"
DATABASE: Final = "switchboard"


def main() -> None:
    asked = argparse.ArgumentParser(description="Makes what is secret, where it is not there yet.")
    asked.add_argument("folder", type=Path, nargs="?", default=Path(__file__).with_name("secrets"))
    asked.add_argument("--postgres", metavar="HOST:PORT[/DATABASE][?…]", help="where it is; else as it was")
    given = asked.parse_args()
    make(given.folder, given.postgres)
    print(f"Everything is in {given.folder}; keep it out of every repository.")


def make(folder: Path, postgres: str | None = None) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = {user: public_key(kept(folder / user / SEED, new_seed)) for user in users()}
    lines = [f"{user.upper().replace('-', '_')}: {key}" for user, key in keys.items()]
    written(folder / "nats" / "keys.conf", "\n".join(["# Made by make_secrets.py.", *lines]))
    kept(folder / "postgres" / "postgres", new_password)
    where = whole(postgres) if postgres else place_in(folder)
    for user, role in ROLES.items():
        password = kept(folder / "postgres" / role, new_password)
        written(folder / user / URL, f"postgresql://{role}:{password}@{where}")


def users() -> list[str]:
    """Whoever has a key in the configuration of NATS."""
    found = re.findall(r"nkey: \$([A-Z_]+)", USERS_CONF.read_text())
    return [name.lower().replace("_", "-") for name in found]


def whole(postgres: str) -> str:
    """With the database's name, where it is left out."""
    place, mark, options = postgres.partition("?")
    return f"{place if '/' in place else f'{place}/{DATABASE}'}{mark}{options}"


def place_in(folder: Path) -> str:
    """Where the URLs that are there say that the database is; where compose.yaml has it when there are none yet."""
    there = [folder / user / URL for user in ROLES if (folder / user / URL).exists()]
    return there[0].read_text().strip().rpartition("@")[2] if there else whole(POSTGRES)


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
