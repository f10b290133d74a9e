"""Single bits of a bundle turned round, and bytes of its manifest: refused by Python, and by C under the sanitisers."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import astroedge
from astroedge.errors import AstroEdgeError
from tests.hostile.attempts import Attempt
from tests.hostile.mutations import mutate
from tests.hostile.tally import Tally, run_alone
from tests.support.bundles import make_tiny_bundle
from tests.support.c_host import build_checked_host

COUNT = 3000
SHARE_OF_C = 8  # a process each, under sanitisers


def fuzz(count: int, seed: int) -> list[Tally]:
    """So many changes in Python, an eighth of them in C too."""
    random_ = random.Random(seed)
    python, c = Tally("bundles in Python"), Tally("bundles in C")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name) / "tiny.astro"
        make_tiny_bundle().save(folder)
        host = build_checked_host(Path(name))
        files = {path: path.read_bytes() for path in sorted(folder.iterdir())}
        for number in range(count):
            path = random_.choice(list(files))
            changed = mutate(files[path], random_) if path.suffix == ".json" else _flipped(files[path], random_)
            if changed == files[path]:
                continue
            path.write_bytes(changed)
            case = f"case {number} of seed {seed}, {path.suffix}"
            python.add(case, _refused(lambda: _load(folder)))
            if number % SHARE_OF_C == 0:
                c.add(case, _refused(lambda: _run(host, folder)))
            path.write_bytes(files[path])
        _load(folder)
        assert _run(host, folder) == 0, "the whole bundle is refused"
    return [python, c]


def _flipped(content: bytes, random_: random.Random) -> bytes:
    changed = bytearray(content)
    changed[random_.randrange(len(changed))] ^= 1 << random_.randrange(8)
    return bytes(changed)


def _load(folder: Path) -> None:
    astroedge.load(folder).close()


def _run(host: Path, folder: Path) -> int:
    """The C host's exit status. Raises AstroEdgeError for one line, RuntimeError for what it may not say."""
    result = subprocess.run(
        [host, folder, "--hash", "1"], check=False, capture_output=True, text=True, errors="replace"
    )
    if result.returncode in (50, 51) and result.stderr.count("\n") == 1:
        raise AstroEdgeError(result.stderr)
    if result.returncode != 0:
        raise RuntimeError(f"{result.returncode}: {result.stderr}")
    return 0


def _refused(action: Callable[[], object]) -> Attempt:
    """How reading a damaged bundle ended; to be accepted is a fault as a traceback is."""
    try:
        action()
    except AstroEdgeError as error:
        return Attempt("refused", str(error))
    except Exception as error:
        return Attempt("traceback", repr(error))
    return Attempt("accepted", "")


if __name__ == "__main__":
    run_alone(fuzz, COUNT)
