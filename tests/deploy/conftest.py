"""One production for the files of this folder."""

from collections.abc import Iterator

import pytest

from tests.deploy.production import Production, production
from tests.real_servers import wait_until


@pytest.fixture(scope="package")
def guarded() -> Iterator[Production]:
    """All services, as their users and roles, and the story of `switchboard demo` played once in the account `acme`."""
    with production() as made:
        made.begin_all()
        code, output = made.command_line("ops", "demo", "--account", "acme")
        assert code == 0, output
        wait_until(lambda: "signed to" in made.command_line("ops", "audit", "coverage", "acme")[1], what="checkpoints")
        made.keep_output()
        yield made
