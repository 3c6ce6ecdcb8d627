"""The packages that every service may import; they import no service."""

# The version of the release, of the package and of the services on NATS; a test compares the tags in deploy/ with it.
__version__ = "0.1.0"
