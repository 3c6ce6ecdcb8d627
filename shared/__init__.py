"""The packages that every service may import; they import no service."""

# Of the release: the package and the services on the bus have it from here, and the image's tags in deploy/ by a test.
__version__ = "0.1.0"
