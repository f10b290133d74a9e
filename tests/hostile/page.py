"""docs/reliability.md, printed from what the fuzzers counted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results.json")
HEAD = """# What damaged and hostile files and surroundings do

Nothing that a command is given may end in a traceback, a crash or without an end: it is done, or refused in one line
with an [exit code](command-line.md), and a refusal leaves every file as it was. Fuzzers try that. A part of each runs
with the tests, all of them in full with `make hostile`; below are the counts of the last run that was kept.

An attempt is **done** (exit code 0), **refused** (one line that begins with `Error:`, an exit code of ours, no file
made or changed), **killed** where that was the attempt (what was there before or what was to be is there, whole), or a
fault: a *traceback*, a *crash* by a signal, a *hang* (more than a minute of a processor), several *lines* or *silence*,
a *leftover*, damage that is *accepted*.
"""
TAIL = """
Beside these: libraries that lie about themselves, in both hosts
([test_lying_libraries.py](../tests/hostile/test_lying_libraries.py)), system calls watched for sockets and the working
directory for code that should not run ([test_surroundings.py](../tests/hostile/test_surroundings.py)), sessions under
signals, threads and forks ([test_sessions.py](../tests/hostile/test_sessions.py)), HOME, caches and temporary folders
that are missing, unset or closed ([test_places.py](../tests/hostile/test_places.py)). The C host is built with gcc's
sanitisers of addresses and of undefined behaviour in all of them. What a file can do to whoever opens it is in
[threat-model.md](threat-model.md)."""
NOT_KINDS = ("what", "total", "seed", "count")


def page(record: Mapping[str, Any]) -> str:
    """The page: a table of the fuzzers, then of how their attempts ended."""
    share = record.get("share", 1.0)
    part = [] if share == 1 else [f"That run was of {share:.0%} of the cases.", ""]
    lines = [HEAD, *part, "| attempts | how many | how they ended | faults |", "|---|---|---|---|"]
    for fuzzer in record["fuzzers"]:
        for counts in fuzzer["counts"]:
            kinds = {name: number for name, number in counts.items() if name not in NOT_KINDS and number}
            total = counts.get("total", sum(number for number in kinds.values() if isinstance(number, int)))
            ended = ", ".join(f"{number:,} {name}" for name, number in kinds.items())
            faults = "yes" if fuzzer["faults"] else "none"
            lines.append(f"| {counts.get('what', fuzzer['name'])} | {total:,} | {ended} | {faults} |")
    lines += [
        "",
        "What they do, each a module of `tests/hostile` that can be run by itself (`--count N --seed S`):",
        "",
    ]
    lines += [f"- `{fuzzer['name']}`: {fuzzer['sentence']}" for fuzzer in record["fuzzers"]]
    return "\n".join([*lines, TAIL])
