"""Internals of libraries: the names that a release may change without notice, checked before they are used."""

from importlib.metadata import version


def missing_internals(owner: object, *names: str) -> list[str]:
    """The names that the owner lacks, each with the name of its class."""
    kind = owner if isinstance(owner, type) else type(owner)
    return [f"{kind.__name__}.{name}" for name in names if not hasattr(owner, name)]


def release_of(distribution: str) -> str:
    """A distribution with its installed version, such as `nats-py 2.16.0`."""
    return f"{distribution} {version(distribution)}"
