"""Recorded inputs that were changed: .npy, .npz plain and compressed, .csv, as data, labels, examples and constants."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tests.hostile.attempts import attempt, warm
from tests.hostile.fuzz_command_lines import furnish
from tests.hostile.mutations import mutate
from tests.hostile.tally import Tally, run_alone
from tests.support.bundles import draw_ticks

COUNT = 1500
HEADERS = (
    *(
        "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,), }",
        "{'descr': %s, 'fortran_order': False, 'shape': (2,), }",
    ),
    *("{'descr': '<f4', 'fortran_order': %s, 'shape': (2,), }", "%s"),
)
VALUES = (
    *(
        "-1",
        str(2**62),
        str(2**64),
        "9" * 5000,
        "True",
        "None",
        "'x'",
        "1e3",
        "(" * 3000 + ")" * 3000,
        "[" * 200,
        "\\",
        "\0",
    ),
    *("'|O'", "'|V8'", "'<U4'", "'<M8[ns]'", "'<f16'", "'<c8'", "[('a', '<f4')]", "('<f4', (2, 2))", "{'a': 1}", "b''"),
    *("'<f4' '\\n'", "lambda: 0", "__import__('os')", "1,'", "\n", "'\ud800'"),
)


def fuzz(count: int, seed: int) -> list[Tally]:
    """Feed so many files to the commands that read arrays."""
    warm()
    random_ = random.Random(seed)
    tally = Tally("arrays")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name)
        furnish(folder)
        sources = _sources()
        for number in range(count):
            suffix = random_.choice(list(sources))
            content = _changed(suffix, sources[suffix], random_)
            (folder / f"x{suffix}").write_bytes(content)
            line = _line(f"x{suffix}", random_)
            tally.add(f"case {number} of seed {seed}: {line}", attempt(line, folder))
    return [tally]


def _sources() -> dict[str, bytes]:
    """A right file of each kind."""
    ticks = draw_ticks(5)
    contents = {}
    for suffix, save in ((".npz", np.savez), (".NPZ", np.savez_compressed)):
        file = io.BytesIO()
        save(file, **ticks)  # type: ignore[arg-type]  # arrays by name
        contents[suffix] = file.getvalue()
    file = io.BytesIO()
    np.save(file, np.zeros((5, 1, 20), np.float32))
    rows = "\n".join(",".join(["1", *["0.5"] * 8, "1", "0"]) for _ in range(4))
    return {**contents, ".npy": file.getvalue(), ".csv": rows.encode()}


def _changed(suffix: str, content: bytes, random_: random.Random) -> bytes:
    if suffix != ".csv" and random_.random() < 0.3:
        array = _array_file(random_)
        return array if suffix == ".npy" else _archive(array, random_)
    return mutate(content, random_)


def _array_file(random_: random.Random) -> bytes:
    """A .npy file whose header says something else."""
    header = (random_.choice(HEADERS) % random_.choice(VALUES)).encode("utf-8", "surrogatepass")
    version = random_.choice((b"\1\0", b"\2\0", b"\3\0", b"\4\0"))
    length = len(header).to_bytes(2 if version == b"\1\0" else 4, "little")
    return b"\x93NUMPY" + version + length + header + bytes(random_.choice((0, 4, 8, 400)))


def _archive(array: bytes, random_: random.Random) -> bytes:
    """Such a file in a .npz, some members twice, under odd names, in other compressions."""
    file = io.BytesIO()
    kinds = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(file, "w", random_.choice(kinds)) as archive:
        for name in (
            "token.npy",
            "x.npy",
            random_.choice(("gate.npy", "gate", "../x.npy", "a\nb.npy", "\x1b[31m.npy", "")),
        ):
            archive.writestr(zipfile.ZipInfo(name), random_.choice((array, b"", b"text", bytes(100))))
    return mutate(file.getvalue(), random_) if random_.random() < 0.3 else file.getvalue()


def _line(name: str, random_: random.Random) -> list[str]:
    """A command that reads the file."""
    pairs = ("--state", "layers.0.v=y")
    return random_.choice(
        (
            ["run", "tiny.astro", "--input", name],
            ["verify", "tiny.astro", "--graph", "net.onnx", "--input", name],
            ["profile", "tiny.astro", "--input", name],
            ["eval", "tiny.astro", "--data", name, "--labels", "labels.npy"],
            ["eval", "tiny.astro", "--data", "sequences.npz", "--labels", name],
            ["export", "net.onnx", *pairs, "--example", name, "-o", "made.onnx"],
            ["export", "net.onnx", *pairs, "--input", f"x={name}", "-o", "made.onnx"],
        )
    )


if __name__ == "__main__":
    run_alone(fuzz, COUNT)
