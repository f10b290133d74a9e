"""Checks of sessions on a GPU, in a process of its own that has the fake driver.

`python -m tests.support.gpu_checks FOLDER NAME …` makes the checks of these names in order, in a folder as
tests/support/gpu_child.py describes it, and writes a JSON object: what went wrong by name, "" where nothing did.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable

from tests.support import gpu_life_checks, gpu_stream_checks

CHECKS: dict[str, Callable[[], None]] = {
    name.removeprefix("check_"): item
    for module in (gpu_stream_checks, gpu_life_checks)
    for name, item in vars(module).items()
    if name.startswith("check_")
}


def outcome(check: Callable[[], None]) -> str:
    """What goes wrong in a check, "" for nothing."""
    try:
        check()
    except BaseException:
        return traceback.format_exc()
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: outcome(CHECKS[name]) for name in sys.argv[2:]}))
