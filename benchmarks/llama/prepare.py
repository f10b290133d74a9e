"""The files of the comparison with llama.cpp, made where they are missing and kept for the next run.

Of each size: AstroSNNs as bundles at every firing rate, a llama in GGUF at both quantisations, and what either keeps
after each number of tokens. Whatever takes memory is a process of its own. A bundle is made again when the code that
makes it has changed since; large networks of the headline rate lie where `benchmarks.studies.large` makes them, and
what that leaves is used as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from astroedge.bundle.container import Bundle
from astroedge.workflows.compile_graph import dequantised_path
from benchmarks.llama.gguf_file import LlamaConfig, write_gguf
from benchmarks.llama.token_work import TokenWork
from benchmarks.networks.large import GRAPH, MODEL, bundle_in, command, configuration, count_weights, folder_of
from benchmarks.networks.subjects import make_subject
from benchmarks.networks.suite import HEADLINE_RATE, SUITE
from benchmarks.places import REPOSITORY
from benchmarks.processes.stream import open_stream

KEPT, LARGE = REPOSITORY / "out" / "benchmarks" / "llama", REPOSITORY / "out" / "large"
LLAMA, OWN = "benchmarks.llama.llama_stream", "benchmarks.llama.own_stream"
PACKAGES = ("gguf", "llama-cpp-python")
SUITE_MODEL = "astrosnn-25m"
# Width and heads are those of the AstroSNN beside it; a large one has the blocks of Llama 3.2 1B, fewer or more.
SMALL = LlamaConfig(vocabulary=4096, width=512, heads=8, kv_heads=2, feed_forward=1792, layers=6)
MEDIUM, LARGEST = (LlamaConfig(256, 2048, heads=32, kv_heads=8, feed_forward=8192, layers=layers) for layers in (8, 25))
SOURCES = (
    *("astroedge/models", "astroedge/bundle", "astroedge/step", "astroedge/workflows", "astroedge/abi"),
    *("exporters", "targets", "benchmarks/networks"),
)
ROOM = 5  # times the float32 weights of a network: model, graph, its copy while it is compiled, and the bundles
FILL_BATCH = 512
DATA = "weights-*.bin"  # what a graph too large for one file keeps its weights in


@dataclass(frozen=True)
class Size:
    """Networks of one size; `weights` is what the AstroSNN is made from, None for that of the suite.

    `precisions` are those of the bundles at the headline rate, and the rates of `swept` are measured beside it.
    """

    name: str
    weights: int | None
    llama: LlamaConfig
    precisions: Sequence[str]
    swept: Sequence[float] = ()

    @property
    def folder(self) -> Path:
        """Where files of this size lie, by what decides them."""
        config = self.llama
        return KEPT / f"{self.name}-{config.width}x{config.layers}"

    def precisions_at(self, rate: float) -> list[str]:
        """Those of the bundles at a rate: a disk holds large networks in float32 at one."""
        plain = self.weights is None or rate == HEADLINE_RATE
        return [word for word in self.precisions if plain or word != "float32"]


RATES = (0.01, 0.05, 0.2, 0.3)
SIZES = {
    size.name: size
    for size in (
        Size("25M", None, SMALL, ("float32", "int8", "int4"), RATES),
        Size("500M", 500_000_000, MEDIUM, ("float32", "int8", "int4"), RATES),
        Size("1.5B", 1_500_000_000, LARGEST, ("float32", "int8", "int4"), (0.2,)),
    )
}
QUANTISATIONS = ("Q8_0", "Q4_0")


def missing_packages() -> str | None:
    """None, or why llama.cpp cannot be measured here."""
    missing = [package for package in PACKAGES if _version(package) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


def versions() -> dict[str, str]:
    """The versions of what llama.cpp is run with."""
    return {package: found for package in PACKAGES if (found := _version(package)) is not None}


def gguf(size: Size, quantisation: str) -> Path:
    """The llama of a size."""
    path = size.folder / f"{quantisation}.gguf"
    if not path.is_file():
        print(f"{size.name}: writing {path.name}", flush=True)
        size.folder.mkdir(parents=True, exist_ok=True)
        write_gguf(path, size.llama, quantisation)
    return path


def bundle(size: Size, rate: float, precision: str) -> Path:
    """The AstroSNN of a size that fires at about `rate`, compiled for this machine.

    Raises OSError where the disk has no room for making it, CalledProcessError where a stage fails.
    """
    folder = _network_folder(size, rate)
    folder.mkdir(parents=True, exist_ok=True)
    if not _is_made(folder, precision):
        if not _is_made(folder, GRAPH):
            _make_graph(size, rate, folder)
        for word in size.precisions_at(rate):
            _compile(size, rate, folder, word)
        if rate != HEADLINE_RATE:  # a disk holds few large networks in float32
            _remove(folder / MODEL, folder / GRAPH, *folder.glob(DATA))
    return bundle_in(folder, precision)


def llama_states(size: Size, contexts: Sequence[int]) -> dict[int, str | None]:
    """What the llama of a size keeps after so many tokens, by context; both quantisations go on from the same.

    Which keys and values they are does not matter for the time, and the 4-bit network computes them soonest.
    """
    paths = {context: size.folder / f"{context}.cache" for context in contexts if context}
    model = gguf(size, "Q4_0")
    _fill(LLAMA, f"{size.name} llama", str(model), paths)
    return {context: str(paths[context]) if context else None for context in contexts}


def own_states(size: Size, precision: str, contexts: Sequence[int]) -> dict[int, str | None]:
    """What an AstroSNN of a size keeps after so many tokens, by context."""
    model = bundle(size, HEADLINE_RATE, precision)
    stem = f"{precision}-{Bundle.load(model).manifest.reference_sha256[:12]}"
    paths = {context: size.folder / f"{stem}-{context}.state" for context in contexts if context}
    _fill(OWN, f"{size.name} AstroSNN {precision}", str(model), paths)
    return {context: str(paths[context]) if context else None for context in contexts}


def own_weights(size: Size) -> int:
    """Number of weights, biases and embeddings of the AstroSNN of a size."""
    if size.weights is not None:
        return count_weights(configuration(size.weights))
    return sum(parameter.numel() for parameter in SUITE[SUITE_MODEL].build().parameters())


def prepare(size: Size, contexts: Sequence[int], rates: Sequence[float]) -> None:
    """Make everything that a size needs at the headline rate and `rates`, so that measuring it only measures."""
    for quantisation in QUANTISATIONS:
        gguf(size, quantisation)
    llama_states(size, contexts)
    for rate in (HEADLINE_RATE, *rates):
        for precision in size.precisions_at(rate):
            bundle(size, rate, precision)
    for precision in size.precisions:
        own_states(size, precision, contexts)


@cache
def sources_digest() -> str:
    """Twelve digits that change with the code that makes bundles."""
    digest = hashlib.sha256()
    for source in SOURCES:
        for file in sorted((REPOSITORY / source).rglob("*")):
            if file.suffix in (".py", ".c", ".h", ".cuh"):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def _fill(module: str, name: str, model: str, paths: Mapping[int, Path]) -> None:
    """Compute the states that are missing, all in one go on all cores."""
    if all(path.is_file() for path in paths.values()):
        return
    longest, threads = max(paths), os.cpu_count() or 1
    print(f"{name}: taking in {longest:,} tokens", flush=True)
    work = TokenWork(model, threads, longest, batch=FILL_BATCH)
    next(iter(paths.values())).parent.mkdir(parents=True, exist_ok=True)
    partial = {context: path.with_suffix(".partial" + path.suffix) for context, path in paths.items()}
    with open_stream(name, module, work) as stream:
        stream.ask("fill", {context: str(path) for context, path in partial.items()})
    for context, path in partial.items():
        path.replace(paths[context])


def _network_folder(size: Size, rate: float) -> Path:
    if size.weights is None:
        return size.folder / f"{SUITE_MODEL}-{rate:g}"
    return folder_of(LARGE, configuration(size.weights), rate)


def _make_graph(size: Size, rate: float, folder: Path) -> None:
    """Export the network of a size; one with random weights that lies there already is used again."""
    if size.weights is None:
        make_subject(SUITE_MODEL, rate).graph.save(folder / GRAPH)
    else:
        _check_room(size.weights, folder)
        if not (folder / MODEL).is_file():
            _stage(size, rate, folder, "make")
        _stage(size, rate, folder, "export")
    _note(folder, GRAPH)


def _compile(size: Size, rate: float, folder: Path, precision: str) -> None:
    """Compile at one precision; the graph beside the bundle, as large as the float32 weights, is for verify alone."""
    if not _is_made(folder, precision):
        before = set(folder.glob(DATA))
        _stage(size, rate, folder, f"compile {precision}")
        _remove(dequantised_path(bundle_in(folder, precision)), *(set(folder.glob(DATA)) - before))
        _note(folder, precision)


def _stage(size: Size, rate: float, folder: Path, stage: str) -> None:
    print(f"{size.name} at {rate:.0%} firing: {stage}", flush=True)
    subprocess.run(command(stage, size.weights or 0, folder, rate), cwd=REPOSITORY, check=True)


def _check_room(weights: int, folder: Path) -> None:
    needed, free = ROOM * 4 * weights, shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"making a network of {weights:,} weights takes {needed / 1e9:.0f} GB; {folder} has {free / 1e9:.0f}"
        )


def _is_made(folder: Path, what: str) -> bool:
    """Whether the graph or the bundle is there, made by the code as it is now or by `benchmarks.studies.large`."""
    place, mark = folder / GRAPH if what == GRAPH else bundle_in(folder, what), folder / f"{what}.made"
    return place.exists() and (not mark.is_file() or mark.read_text(encoding="ascii") == sources_digest())


def _note(folder: Path, what: str) -> None:
    (folder / f"{what}.made").write_text(sources_digest(), encoding="ascii")


def _remove(*files: Path) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
