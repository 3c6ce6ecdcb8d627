"""The root of every exception of this package."""


class TransparencyError(ValueError):
    """Base class: a text, a file or a proof that is not what it should be."""
