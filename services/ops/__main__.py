"""Start of the program `switchboard`: it prints its version without loading any command."""

import sys

from shared import __version__


def main() -> None:
    """Run the command line; the console script calls this."""
    if sys.argv[1:] == ["--version"]:
        print(__version__)
        return
    from services.ops import cli

    cli.main()


if __name__ == "__main__":
    main()
