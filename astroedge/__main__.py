"""`python -m astroedge` is the command line where the console script is not on the path, on a device for example."""

from __future__ import annotations

import sys

from astroedge.cli import main

if __name__ == "__main__":
    sys.exit(main())
