"""The C host: the same bundle without Python, to the same bits, and no crash on a damaged one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BufferField, Golden, InputField, Layout, StateField, TargetIdentity
from astroedge.errors import BundleError, IncompatibleError, InputError, LinkError, VerificationError
from astroedge.runtimes.checking.golden import trace
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.link.linker import Linker, find_linker, run_compiler
from tests.support import elf
from tests.support.bundles import (
    SEED,
    TINY_TICK,
    draw_ticks,
    make_bundle,
    make_golden,
    make_tiny_bundle,
    tiny_manifest,
    weights_bytes,
)
from tests.support.c_host import SOURCES, build_c_host, build_checked_host
from tests.support.teams import team_bundle

STRICT = ["-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wconversion", "-pedantic"]
Host = Callable[..., "subprocess.CompletedProcess[bytes]"]


def build(linker: Linker, folder: Path, *options: str) -> Path:
    """Build astro-run from the sources as the Makefile does; warnings are errors."""
    return build_c_host(linker, folder, *STRICT, *options)


def host_of(program: Path) -> Host:
    """A function that runs the program on a bundle."""

    def run(bundle: Path, *arguments: str, records: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [str(program), str(bundle), *arguments]
        return subprocess.run(command, check=False, capture_output=True, input=records, timeout=60)

    return run


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The host for this machine."""
    return host_of(build(find_linker(resolve_target("native")), tmp_path_factory.mktemp("host"), "-O2"))


@pytest.fixture(scope="module")
def checked_host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    """The host built with address and undefined-behaviour checks, which end it at the first wrong access."""
    try:
        return host_of(build_checked_host(tmp_path_factory.mktemp("checked")))
    except LinkError:
        pytest.skip("needs gcc with sanitizers")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    """The tiny layer with an asset."""
    return make_tiny_bundle(assets={"labels.txt": b"a\n"})


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path) -> Path:
    """The same on disk."""
    bundle.save(tmp_path / "tiny.astro")
    return tmp_path / "tiny.astro"


def failure(result: subprocess.CompletedProcess[bytes]) -> str:
    """The one line a failing host prints."""
    text = result.stderr.decode()
    assert text.startswith("astro-run: "), text
    assert text.count("\n") == 1, text
    assert result.stdout == b""
    return text


def test_builds_for_a_board(tmp_path: Path) -> None:
    """The host cross-compiles for aarch64 without a warning."""
    program = build(find_linker(resolve_target("raspberry-pi-4")), tmp_path, "-O2")
    assert elf.machine(program.read_bytes()) == "aarch64"


def test_golden_trace_agrees(host: Host, folder: Path) -> None:
    """The C host proves the bundle by the trace Python made."""
    result = host(folder, "--golden")
    assert (result.returncode, result.stderr) == (0, b"")
    assert b"all 4 golden ticks agree" in result.stdout


def test_hashes_equal_those_of_python(host: Host, bundle: Bundle, folder: Path) -> None:
    """A free run on drawn inputs has the same hashes as in Python, at every tick that is printed."""
    with astroedge.load(bundle) as session:
        expected = [f"{t.tick} {t.state} {t.outputs}" for t in trace(session, SEED, (1, 10, 100, 777))]
    assert host(folder, "--hash", "777").stdout.decode().splitlines() == expected


def test_records_from_standard_input(host: Host, bundle: Bundle, folder: Path) -> None:
    """Raw input records give the raw output records of the same ticks."""
    layout, inputs = bundle.manifest.layout, draw_ticks(60)
    records = np.zeros((60, layout.inputs_size), np.uint8)
    for field in layout.inputs:
        records[:, field.offset : field.offset + field.nbytes] = inputs[field.name].reshape(60, -1).view(np.uint8)
    result = host(folder, "--raw", records=records.tobytes())
    assert (result.returncode, result.stderr) == (0, b"")
    outputs = np.frombuffer(result.stdout, np.uint8).reshape(60, layout.outputs_size)
    with astroedge.load(bundle) as session:
        expected = session.run(**inputs)
    for field in layout.outputs:
        found = outputs[:, field.offset : field.offset + field.nbytes]
        assert np.array_equal(found, expected[field.name].reshape(60, -1).view(np.uint8))


@pytest.mark.parametrize("threads", ["1", "2", "5"])
def test_threads_of_the_c_host(host: Host, checked_host: Host, tmp_path: Path, threads: str) -> None:
    """With any number of threads the C host has the bits of one thread in Python, and ends without a leak."""
    bundle = team_bundle()
    bundle.save(tmp_path / "stirred.astro")
    with astroedge.load(bundle, threads=1) as session:
        expected = [f"{t.tick} {t.state} {t.outputs}" for t in trace(session, SEED, (1, 10, 100, 200))]
    for program in (host, checked_host):
        result = program(tmp_path / "stirred.astro", "--hash", "200", "--threads", threads)
        assert (result.returncode, result.stderr) == (0, b"")
        assert result.stdout.decode().splitlines() == expected


def test_more_threads_than_a_step_takes_are_refused(host: Host, folder: Path) -> None:
    """A step too small to be divided says so; numbers that no team has are wrong usage."""
    result = host(folder, "--golden", "--threads", "2")
    assert result.returncode == InputError.exit_code
    assert "too small to be divided" in failure(result)
    assert host(folder, "--golden", "--threads", "1").returncode == 0
    for threads in ("0", "65", "x", "-1"):
        assert host(folder, "--golden", "--threads", threads).returncode == 2


def test_refused_records(host: Host, bundle: Bundle, folder: Path) -> None:
    """A NaN, a token out of range and half a record end the host with the input's exit code and one line."""
    record = np.zeros(bundle.manifest.layout.inputs_size, np.uint8)
    record[64:68].view(np.float32)[0] = np.nan
    for content, words in (
        (record.tobytes(), "Element 0 of input x is a NaN"),
        (b"\xff" * 8 + bytes(184), "input token must be from 0 to 15"),
        (bytes(100), "has 100 bytes and must have 192"),
    ):
        result = host(folder, "--raw", records=content)
        assert result.returncode == InputError.exit_code
        assert words in failure(result)


@pytest.mark.parametrize(
    "arguments", [(), ("--golden", "x"), ("--hash",), ("--hash", "0"), ("--hash", "-3"), ("--hash", "9x")]
)
def test_usage(host: Host, folder: Path, arguments: tuple[str, ...]) -> None:
    """Wrong options print the usage."""
    result = host(folder, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(b"usage:")


def test_flipped_byte_is_refused_without_a_wrong_access(checked_host: Host, folder: Path) -> None:
    """One changed byte anywhere in manifest, library or weights is found before anything of it is used."""
    assert checked_host(folder, "--golden").returncode == 0
    for path in (path for path in folder.iterdir() if path.is_file()):
        content = path.read_bytes()
        for place in {0, 1, 20, 79, len(content) - 1, *range(0, len(content), len(content) // 12)}:
            damaged = bytearray(content)
            damaged[place] ^= 0x20
            path.write_bytes(damaged)
            result = checked_host(folder, "--golden")
            assert result.returncode == BundleError.exit_code, (path.name, place, result.stderr)
            failure(result)
        path.write_bytes(content)


def test_cut_and_missing_files_are_refused_without_a_wrong_access(checked_host: Host, folder: Path) -> None:
    """Files of any other length, down to none, and links are refused."""
    for path in (path for path in folder.iterdir() if path.is_file()):
        content = path.read_bytes()
        for damaged in (b"", content[:1], content[:50], content[:100], content[:-1], content + b"\0"):
            path.write_bytes(damaged)
            result = checked_host(folder, "--golden")
            assert result.returncode == BundleError.exit_code, (path.name, len(damaged), result.stderr)
        path.unlink()
        assert checked_host(folder, "--golden").returncode == BundleError.exit_code
        path.symlink_to("/dev/zero")
        assert checked_host(folder, "--golden").returncode == BundleError.exit_code
        path.unlink()
        path.write_bytes(content)
    assert checked_host(folder / "nothing", "--golden").returncode == BundleError.exit_code


def test_manifest_of_another_version_is_refused(host: Host, folder: Path) -> None:
    """A manifest with a right digest and an unknown version is refused."""
    content = (folder / "manifest.json").read_bytes().replace(b'"version": 1,', b'"version": 2,', 1)
    blank = content[:13] + b"0" * 64 + content[77:]
    (folder / "manifest.json").write_bytes(content[:13] + sha256(blank).hexdigest().encode() + content[77:])
    result = host(folder, "--golden")
    assert result.returncode == BundleError.exit_code
    assert "version" in failure(result)


def test_other_processors_are_refused(host: Host, tmp_path: Path) -> None:
    """A bundle for the other architecture, or one that needs a missing CPU feature, is refused as incompatible."""
    native = resolve_target("native")
    other = "raspberry-pi-4" if native.arch == "x86_64" else "x86-64-v3"
    make_tiny_bundle(other).save(tmp_path / "other.astro")
    identity = TargetIdentity("native", native.triple, native.arch, native.cpu, (*native.features, "warpdrive"))
    manifest = replace(tiny_manifest(native), target=identity)
    make_bundle(manifest, TINY_TICK, weights_bytes(), native).save(tmp_path / "future.astro")
    for name, words in (("other", "another processor"), ("future", "feature warpdrive")):
        result = host(tmp_path / f"{name}.astro", "--golden")
        assert result.returncode == IncompatibleError.exit_code
        assert words in failure(result)


def test_wrong_golden_trace_is_not_verified(host: Host, bundle: Bundle, tmp_path: Path) -> None:
    """A bundle that computes something else than its trace says is told from the first tick that differs."""
    native = resolve_target("native")
    ticks = list(bundle.manifest.golden.ticks)
    ticks[1:] = [replace(item, outputs="0" * 64) for item in ticks[1:]]
    for golden, words in ((Golden(SEED, tuple(ticks), {}), "at tick 10:"), (Golden(SEED, (), {}), "no golden trace")):
        manifest = replace(tiny_manifest(native), golden=golden)
        make_bundle(manifest, TINY_TICK, weights_bytes(), native).save(tmp_path / "wrong.astro")
        result = host(tmp_path / "wrong.astro", "--golden")
        assert result.returncode == VerificationError.exit_code
        assert words in failure(result)


def drawn(name: str, dtype: str, offset: int, draw: str, parameter: int = 0, low: int = 0, high: int = 0) -> InputField:
    """An input of 40 elements that is drawn in a certain way."""
    lowest = -1.0 if np.dtype(dtype).kind in "if" else 9.0
    table = ((lowest.hex(), 2**51), ((0.0).hex(), 2**51), ((0.0).hex(), 2**52), ((2.0).hex(), 2**53))
    return InputField(
        *(name, (5, 8), dtype, offset, 40 * np.dtype(dtype).itemsize, False, False, low, high, draw, parameter),
        values=table if draw == "values" else (),
    )


def test_every_way_to_draw_gives_the_bits_of_python(host: Host, tmp_path: Path) -> None:
    """Every dtype and every kind of draw, at the limits of its parameter, is drawn alike in C and in Python."""
    kinds = [
        ("int64", "index", 0, -(2**62), -(2**62) + 2**32 - 1),
        ("int32", "index", 0, -5, 2**31),
        ("int8", "index", 0, -128, 128),
        ("uint8", "index", 0, 3, 256),
        ("bool", "index", 0, 0, 2),
        *((dtype, "spike", 2**52, 0, 0) for dtype in ("bool", "int8", "uint8", "int32", "int64", "float16", "float32")),
        *(
            (dtype, "values", 0, 0, 0)
            for dtype in ("int8", "int16", "uint32", "int64", "float16", "float32", "float64")
        ),
        ("bool", "spike", 0, 0, 0),
        ("bool", "spike", 2**53, 0, 0),
        *(("float32", "uniform", exponent, 0, 0) for exponent in (-126, -110, -1, 0, 1, 127)),
        *(("float16", "uniform", exponent, 0, 0) for exponent in range(-14, 16)),
    ]
    fields = tuple(
        drawn(f"x{index}", dtype, 320 * index, draw, parameter, low, high)
        for index, (dtype, draw, parameter, low, high) in enumerate(kinds)
    )
    size = 320 * len(fields)
    layout = Layout(
        inputs_size=size,
        inputs=fields,
        outputs_size=64,
        outputs=(BufferField("y", (1,), "int64", 0, 8),),
        state_size=size,
        state=(StateField("copy", (size,), "uint8", 0, size, False, (0.0).hex(), 0),),
        weights_size=0,
        weights=(),
        workspace_size=0,
    )
    step = StepSpec(
        inputs=tuple(TensorSpec(field.name, field.shape, field.dtype) for field in fields),
        outputs=(TensorSpec("y", (1,), "int64"),),
        states=(StateSpec("copy", (size,), "uint8"),),
    )
    tick = f"#include <string.h>\nint astroedge_tick(void *i, void *o, void *s) {{ memcpy(s, i, {size}); return 0; }}"
    native = resolve_target("native")
    manifest = replace(tiny_manifest(native), layout=layout, step=step, activity=())
    with astroedge.load(make_bundle(manifest, tick, b"", native)) as session:
        golden = make_golden(session, 99, (1, 2, 50))
    make_bundle(replace(manifest, golden=golden), tick, b"", native).save(tmp_path / "draws.astro")
    result = host(tmp_path / "draws.astro", "--golden")
    assert (result.returncode, result.stderr) == (0, b"")


HASH_MAIN = """
#include <stdio.h>
#include <stdlib.h>
#include "sha256.h"
int main(void)
{
    static unsigned char content[300];
    for (int size = 0; size < 300; size++) {
        char whole[65], parts[65];
        sha256 state;
        content[size] = (unsigned char)(size * 7);
        sha256_of(content, (size_t)size, whole);
        sha256_start(&state);
        for (int at = 0; at < size; at += 1 + at % 71)
            sha256_add(&state, content + at, (size_t)(size - at < 1 + at % 71 ? size - at : 1 + at % 71));
        sha256_finish(&state, parts);
        printf("%s %s\\n", whole, parts);
    }
    return 0;
}
"""


def test_sha256_of_every_length(tmp_path: Path) -> None:
    """Digests of all lengths around the block size, at once and in parts, are those of Python's hashlib."""
    (tmp_path / "main.c").write_text(HASH_MAIN)
    sources = [f"-I{SOURCES}", "main.c", str(SOURCES / "sha256.c")]
    run_compiler(find_linker(resolve_target("native")), ["-O2", *sources, "-o", "hash"], tmp_path)
    lines = subprocess.run([tmp_path / "hash"], check=True, capture_output=True, text=True).stdout.splitlines()
    content = bytes(size * 7 % 256 for size in range(300))
    for size, line in enumerate(lines):
        digest = sha256(content[:size]).hexdigest()
        assert line == f"{digest} {digest}", size
    assert len(lines) == 300
