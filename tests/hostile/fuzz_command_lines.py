"""Command lines drawn from the options that each command has, with values that are right, odd or hostile."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np

from astroedge.cli import commands
from tests.hostile.attempts import attempt, warm
from tests.hostile.tally import Tally, run_alone
from tests.support.bundles import draw_ticks, make_tiny_bundle
from tests.support.graphs import recurrent_net

COUNT = 400
ODD_NAMES = ("zwei\nzeilen", "\x1b[31mrot", "größe.npy", "\udcff.onnx", "a" * 300, "-", "--", "", " ", "%s%n", "*")
PLACES = ("/dev/null", "/dev/zero", "/dev/full", "/proc/self/mem", "/", "..", "none/none", "fifo", "empty", "folder")
NUMBERS = ("0", "1", "2", "7", "-1", "1.5", "nan", "inf", "-inf", "1e400", "0x10", "٣", str(10**13), "9" * 30, "", "½")
WORDS = ("x=1", "x=", "=1", "=", "x=1,2", "x=nan", "int8", "int4", "*=int4", "h*=float16", "float32", "native")
TEXTS = (
    *WORDS,
    "raspberry-pi-4",
    "x86-64-v2",
    "cortex-m4",
    "exact",
    "event",
    "sum",
    "last",
    "\n",
    "\u2028",
    "é",
    "a;b",
)
FILES = ("tiny.astro", "net.onnx", "ticks.npz", "ticks.npy", "labels.npy", "text.txt", "board.toml", "model.py:make")
MODEL = "def make():\n    raise ValueError('two\\nlines')\n"
# Options whose huge numbers are a wish that would be granted: so many bytes are printed one by one.
PATIENT = {"--tokens"}
COSTLY = {"compile": 0.1, "eval": 0.5, "doctor": 0.1, "profile": 0.5}


def fuzz(count: int, seed: int) -> list[Tally]:
    """Run so many command lines in a folder of files of every kind."""
    warm()
    random_ = random.Random(seed)
    tally = Tally("command lines")
    with TemporaryDirectory(prefix="astroedge-fuzz-") as name:
        folder = Path(name)
        furnish(folder)
        while tally.total < count:
            line = draw_line(random_)
            tally.add(repr(line), attempt(line, folder, stdin=random_.choice((b"", b"1,2\n", b"\xff\0\n", b"x\n1\n"))))
            _tidy(folder)
    return [tally]


def furnish(folder: Path) -> None:
    """A bundle, a graph, data, and things that are none of these."""
    make_tiny_bundle().save(folder / "tiny.astro")
    recurrent_net().save(folder / "net.onnx")
    np.savez(folder / "ticks.npz", **draw_ticks(5))  # type: ignore[arg-type]  # arrays by name
    np.savez(folder / "sequences.npz", **{name: array[None] for name, array in draw_ticks(5).items()})  # type: ignore[arg-type]
    np.save(folder / "ticks.npy", np.zeros((5, 1, 20), np.float32))
    np.save(folder / "labels.npy", np.arange(5))
    (folder / "text.txt").write_text("some text\n")
    (folder / "board.toml").write_text("[target]\nname = 3\n")
    (folder / "model.py").write_text(MODEL)
    (folder / "empty").touch()
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    for odd in ("zwei\nzeilen", "größe.npy"):
        (folder / odd).write_bytes(b"\x93NUMPY")


def _tidy(folder: Path) -> None:
    """Remove what a command that succeeded wrote."""
    for path in folder.glob("made*"):
        if path.is_dir():
            for inner in path.iterdir():
                inner.unlink()
            path.rmdir()
        else:
            path.unlink()


def draw_line(random_: random.Random) -> list[str]:
    """A command with its arguments, mostly right, and up to four options."""
    command, words = _draw_command(random_)
    # --verbose prints tracebacks because it was asked to.
    options = [item for item in command.params if isinstance(item, click.Option) and item.name != "verbose"]
    line = list(words)
    for item in command.params:
        if isinstance(item, click.Argument):
            line += [_value(random_, item) for _ in range(random_.choice((1, 1, 1, 1, 0, 2)))]
        elif item.required and random_.random() < 0.9:
            line += [random_.choice(item.opts), _value(random_, item)]
    for item in random_.sample(options, min(len(options), random_.randrange(5))):
        line.append(random_.choice(item.opts))
        if not item.is_flag:
            line.append(_value(random_, item))
    if random_.random() < 0.05:
        line.insert(random_.randrange(len(line) + 1), random_.choice((*ODD_NAMES, "--no-such", "-\n")))
    return [word.replace("\0", "") for word in line]


def _draw_command(random_: random.Random) -> tuple[click.Command, Sequence[str]]:
    while True:
        name = random_.choice(list(commands.commands))
        if random_.random() < COSTLY.get(name, 1.0):
            break
    command = commands.commands[name]
    if isinstance(command, click.Group):
        inner = random_.choice(list(command.commands))
        return command.commands[inner], (name, inner)
    return command, (name,)


def _value(random_: random.Random, parameter: click.Parameter) -> str:
    """A value for a parameter: two of three times one of its own kind."""
    numbers = NUMBERS if not PATIENT & set(parameter.opts) else ("0", "1", "7", "-1", "nan", "")
    if isinstance(parameter.type, click.types.FloatParamType | click.types.IntParamType):
        own: Sequence[str] = numbers
    elif {"-o", "--output", "--json", "--csv"} & set(parameter.opts):
        own = ("made.onnx", "made.npy", "made.json", "made.csv", "made.astro", "-", "/dev/full", "/dev/null")
    elif "--device" in parameter.opts:
        own = ("0", "1", "-1", "ssh://[::1]:1", "ssh://-oProxyCommand=touch made", "a b")
    elif isinstance(parameter.type, click.Choice):
        own = [str(choice) for choice in parameter.type.choices]
    else:
        own = FILES
    if random_.random() < 0.67:
        return random_.choice(own)
    return random_.choice(
        (*ODD_NAMES, *PLACES, *TEXTS, *FILES, *(numbers if PATIENT & set(parameter.opts) else NUMBERS))
    )


if __name__ == "__main__":
    run_alone(fuzz, COUNT)
