"""`python -m astroedge.runtimes.remote.serve REQUEST`: one request, answered by a line of JSON and a NumPy file."""

from __future__ import annotations

import json
import sys

from astroedge.errors import AstroEdgeError
from astroedge.runtimes.remote.answer import answer


def main() -> None:
    """Read, work, write; an error of ours is an answer too."""
    data = sys.stdin.buffer.read()
    try:
        record, arrays = answer(json.loads(sys.argv[1]), data)
    except AstroEdgeError as error:
        record, arrays = {"error": [type(error).__name__, str(error)]}, b""
    sys.stdout.buffer.write(json.dumps(record).encode() + b"\n" + arrays)


if __name__ == "__main__":
    main()
