"""The root of every exception that a client of Switchboard raises."""


class SwitchboardError(Exception):
    """Base class of every exception that the client raises."""
