"""Mutated manifests for both hosts: what Python refuses, C refuses, with the same code, and neither ever crashes.

    python -m tests.hostile.fuzz_manifests --count 4000 --seed 1

Every manifest gets a digest that is right. In most cases the library is the one that was linked for the manifest as it
was: the hosts must agree on each. In the others somebody has put the digest of the mutated manifest into the library,
which is as good as linking one: C, which reads no JSON, may then take what Python refuses, never the other way round.

Prints a line of JSON with the counts; the exit status is 1 when the hosts disagree.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.bundles import make_tiny_bundle
from tests.support.c_host import build_checked_host
from tests.support.forged_manifests import (
    LINKED,
    OPENING,
    changed_somewhere,
    forge,
    relink,
    remove_libraries,
    seal,
    write,
)
from tests.support.two_hosts import code_of_c, code_of_python

COUNT = 2_000
RELINKED = 5  # every which case has a library that holds the mutated manifest's digest
FIRST = len(OPENING) + 64  # behind the digest
TOKENS = (
    *(b'"size": ', b'"sha256": "', b'\n "library": {', b'\n "weights": {', b'\n "assets": [', b"{", b"}", b'"', b"\n"),
    *(b",", b" ", b"\r", b"-1", b"+", b"0", b"01", b"1.0", b"1e9", b"true", b"null", b"NaN", b"[", b"]", b"\0"),
    *(b"\\u0000", b"99999999999999999999999", b"18446744073709551615", b"\xef\xbb\xbf", b"\xff", b"//", b"../"),
)


def mutate_bytes(text: bytes, draw: Random) -> bytes:
    """A manifest with some of its bytes changed, cut, doubled or replaced; half of the time where C reads it."""
    content = bytearray(text)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        end = content.find(LINKED) + 150 if draw.random() < 0.5 else len(content)
        place = draw.randrange(FIRST, max(end, FIRST + 1))
        length = draw.choice((1, 2, 8, 64, 500))
        kind = draw.randrange(6)
        if kind == 0 and place < len(content):
            content[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del content[place : place + length]
        elif kind == 2:
            content[place:place] = draw.choice(TOKENS)
        elif kind == 3:
            content[place:place] = content[place : place + length]
        elif kind == 4:
            content[place : place + length] = draw.choice(TOKENS)
        elif draw.random() < 0.2:
            del content[place:]
    return bytes(content)


def mutate_lines(text: bytes, draw: Random) -> bytes:
    """A manifest with a line left out, moved or said twice: most of these are JSON."""
    lines = text.split(b"\n")
    line = draw.randrange(2, len(lines) if draw.random() < 0.3 else 24)
    taken = lines.pop(line)
    if draw.random() < 0.7:
        lines.insert(max(2, line + draw.choice((-5, -1, 0, 1, 5))), taken)
    if draw.random() < 0.5:
        lines.insert(line, taken)
    return b"\n".join(lines)


def mutate_values(text: bytes, draw: Random) -> bytes:
    """A manifest with values replaced, removed or added, written as a manifest is."""
    record = json.loads(text)
    for _ in range(draw.choice((1, 1, 2))):
        record = changed_somewhere(record, draw)
    return write(record) if isinstance(record, dict) else text


def mutate_assets(text: bytes, draw: Random) -> bytes:
    """A manifest that names its assets in another order, some of them or one twice; it can be a right one."""
    record = json.loads(text)
    record["assets"] = [draw.choice(record["assets"]) for _ in range(draw.randrange(4))]
    return write(record)


def mutate_numbers(text: bytes, draw: Random) -> bytes:
    """A manifest with another spelling, or another number, of a version or a size."""
    places = [match.span(1) for match in re.finditer(rb'"(?:abi_)?(?:version|size)": (\d+)', text)]
    start, end = draw.choice(places[:6] if draw.random() < 0.7 else places)
    number = text[start:end]
    others = (b"0" + number, number + b".0", number + b" ", b" " + number, b"-" + number, b"+" + number)
    return text[:start] + draw.choice((*others, b"2", b"0", b"-1", b"true", b'"1"', b"1e0", b"9" * 20)) + text[end:]


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(mutate_bytes, mutate_bytes, mutate_bytes, mutate_lines, mutate_values, mutate_values),
    *(mutate_assets, mutate_numbers),
)


class Fuzzer:
    """A bundle in a folder whose manifest is mutated again and again; `counts` has what came of it."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder = program, folder
        make_tiny_bundle(assets={"labels.txt": b"a\nb\n", "tokenizer.json": b"{}", "words": b""}).save(folder)
        self.manifest = (folder / "manifest.json").read_bytes()
        self.counts: Counter[str] = Counter()
        self.disagreements: list[dict[str, Any]] = []

    def run(self, count: int, seed: int) -> dict[str, Any]:
        """`count` mutations; what they came to, for JSON."""
        for case in range(count):
            draw = Random(f"{seed} {case}")
            text = self.manifest
            while text == self.manifest:
                text = draw.choice(MUTATIONS)(self.manifest, draw)
            (self._relinked if case % RELINKED == RELINKED - 1 else self._edited)(case, text)
        return {
            "what": "manifests, both hosts",
            "total": count,
            "disagreements": len(self.disagreements),
            **dict(sorted(self.counts.items())),
        }

    def _edited(self, case: int, text: bytes) -> None:
        forge(self.folder, seal(text))
        python, c = self._both(case)
        self.counts[f"edited: code {python}"] += 1
        if python != c:
            self.disagreements.append({"case": case, "Python": python, "C": c})

    def _relinked(self, case: int, text: bytes) -> None:
        """The same with a library that holds the digest of the mutated manifest."""
        relink(self.folder, self.manifest, text)
        python, c = self._both(case)
        remove_libraries(self.folder, self.manifest)
        self.counts[f"relinked: Python {python}, C {c}"] += 1
        if python == 0 and c != 0:
            self.disagreements.append({"case": case, "Python": python, "C": c, "relinked": True})

    def _both(self, case: int) -> tuple[int | str, int | str]:
        """The codes of both hosts; words for what is no code."""
        return self._code(case, code_of_python), self._code(case, partial(code_of_c, self.program))

    def _code(self, case: int, host: Callable[[Path], int]) -> int | str:
        try:
            return host(self.folder)
        except Exception as error:  # whatever it is, it is what this looks for
            self.disagreements.append({"case": case, "crash": repr(error)[:2000]})
            return "crash"


def main() -> int:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, help="how many mutations (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="another number, other mutations (default: %(default)s)")
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        fuzzer = Fuzzer(build_checked_host(Path(name)), Path(name) / "tiny.astro")
        sys.stdout.write(f"{json.dumps(fuzzer.run(options.count, options.seed))}\n")
    for item in fuzzer.disagreements[:10]:
        sys.stderr.write(f"{json.dumps(item)}\n")
    return 1 if fuzzer.disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
