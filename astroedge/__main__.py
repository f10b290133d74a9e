"""The program `astroedge`, and `python -m astroedge` where the console script is not on the path."""

from __future__ import annotations

import sys

MISSING_PACKAGE = 3  # the exit code of a package that is not installed


def main() -> int:
    """Run the command line; where a package that it needs is not installed, say so in one line."""
    try:
        from astroedge.cli import main as run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "astroedge"):
            raise
        message = f"Error: {package} is not installed and the command line needs it: pip install astroedge"
        print(message, file=sys.stderr)  # noqa: T201
        return MISSING_PACKAGE
    return run()


if __name__ == "__main__":
    sys.exit(main())
