"""`python -m astroedge.runtimes.remote.serve REQUEST`: one request, answered by a line of JSON and a NumPy file.

A request to `spend` is answered by lines, and its standard input is `size` bytes of inputs and, later, a line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from astroedge.errors import AstroEdgeError
from astroedge.runtimes.remote.answer import answer, decode_arrays
from astroedge.runtimes.remote.spend import spend


def main() -> None:
    """Read, work, write; an error of ours is an answer too."""
    request = json.loads(sys.argv[1])
    try:
        if request["do"] == "spend":
            data = sys.stdin.buffer.read(request["size"])
            spend(request, decode_arrays(data) if data else None, _wait, _say)
            return
        record, arrays = answer(request, sys.stdin.buffer.read())
    except AstroEdgeError as error:
        record, arrays = {"error": [type(error).__name__, str(error)]}, b""
    sys.stdout.buffer.write(json.dumps(record).encode() + b"\n" + arrays)


def _wait() -> float:
    """The seconds that the host sends when it is time; 0 where it is gone."""
    return float(sys.stdin.buffer.readline() or 0)


def _say(record: Mapping[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(record).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
