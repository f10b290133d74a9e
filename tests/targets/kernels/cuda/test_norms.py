"""Reductions, layer norm and softmaxes by the CUDA C library have the bits of the CPU's kernels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tvm import tirx

from astroedge.targets.kernels import reduce
from astroedge.targets.kernels.cuda import norms
from tests.support.kernels.cuda_library import CudaLibrary
from tests.support.kernels.harness import run, same_bits

Case = tuple[tirx.PrimFunc, tirx.PrimFunc, list[np.ndarray], np.ndarray]
SIZES = ((1, 5), (70, 33), (3, 512))
"""Vectors and their widths: narrower than the lanes, with a rest, a whole block of threads each and a warp each."""


def _numbers(size: int, dtype: str = "float32") -> np.ndarray:
    """Numbers of many sizes, with a NaN and a −0.0 where there are many."""
    rng = np.random.default_rng(size)
    if dtype != "float32":
        return rng.integers(-1000, 1000, size).astype(dtype)
    x = (rng.standard_normal(size) * 10.0 ** rng.integers(-3, 3, size)).astype(np.float32)
    if size > 1000:
        x[:2] = np.nan, -0.0
    return x


def _cases() -> Iterator[Case]:
    """Functions of the library, the CPU's kernels, what both read, and an array for the result."""
    for outer, width in SIZES:
        x, y = _numbers(outer * width), np.zeros(outer * width, np.float32)
        kinds = ("sum", "mean", "max", "min") if width == 33 else ("mean", "max")
        for dtype in norms.REDUCED:
            for kind in kinds:
                both = (module.reduce_last(kind, outer, width, dtype) for module in (norms, reduce))
                yield (*both, [_numbers(outer * width, dtype)], np.zeros(outer, dtype))
        yield norms.softmax(outer, width), reduce.softmax(outer, width), [x], y
        yield norms.softmax(outer, width, logarithm=True), reduce.log_softmax(outer, width), [x], y
        for affine in (True, False):
            both = (module.layer_norm(outer, width, 1e-5, affine) for module in (norms, reduce))
            yield (*both, [x, *([_numbers(width), _numbers(width)[::-1]] if affine else [])], y)


def test_vectors_are_reduced_as_on_the_cpu() -> None:
    """Every reduction has the CPU's bits at every number of blocks and order of threads, NaN and rests included."""
    cases = list(_cases())
    library = CudaLibrary(case[0] for case in cases)
    for ours, on_cpu, operands, result in cases:
        expected = run(on_cpu, operands, [result])[0]
        for grid, seed in ((1, 0), (5, 7)):
            written = library.run(ours, operands, [np.full_like(result, 77)], grid, seed)[0]
            assert same_bits(written, expected), (ours.attrs, grid, seed)


def test_threads_of_a_softmax_do_not_race() -> None:
    """What one thread leaves for another in the result lies behind a barrier."""
    case = (3, 100)
    functions = [norms.softmax(*case), norms.layer_norm(*case, 1e-3, False)]
    library = CudaLibrary(functions, races=True)
    for function in functions:
        assert np.isfinite(library.run(function, [_numbers(300)], [np.zeros(300, np.float32)], 2, 1)[0]).all()
