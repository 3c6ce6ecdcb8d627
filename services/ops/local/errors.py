"""The error of a server that cannot be started on this machine."""


class ServerStartError(Exception):
    """The message says what is wrong and how to repair it."""
