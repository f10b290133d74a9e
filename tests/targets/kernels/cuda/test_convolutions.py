"""Convolutions by the CUDA C library have the bits of the one order of additions, as those of a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from tvm import tirx

from astroedge.targets.kernels.convolutions.convolution import Convolution
from astroedge.targets.kernels.convolutions.dense_conv import (
    ConvTile,
    copy_from_runs,
    copy_to_planes,
    dense_conv,
    pack_dense_conv,
    planes_size,
    runs_size,
)
from astroedge.targets.kernels.cuda.convolutions import WindowForm, WindowSums, pack_taps, pack_windows
from astroedge.targets.precision.storage import FLOAT16, FLOAT32, INT8
from astroedge.targets.precision.weight_format import store as quantise
from astroedge.targets.precision.weight_format import store_integers
from tests.support.kernels.cuda_library import CudaLibrary
from tests.support.kernels.harness import run, same_bits
from tests.support.kernels.reference_convolution import convolve, matrix

SHAPES = (
    Convolution(1, 6, 7, 9, 6, (3, 3), padding=(1, 1, 1, 1), groups=6),  # depthwise
    Convolution(2, 4, 6, 6, 200, (3, 3), padding=(1, 0, 1, 2), strides=(2, 1)),
    Convolution(1, 60, 5, 6, 70, (3, 3), padding=(1, 1, 1, 1)),  # blocks of whole kernel rows
    Convolution(1, 100, 4, 5, 33, (3, 4), padding=(0, 1, 0, 1)),  # of some columns of a row
    Convolution(1, 300, 3, 3, 12, (2, 2)),  # of some channels of a column
    Convolution(3, 8, 1, 40, 24, (1, 5), padding=(0, 4, 0, 4), dilation=(1, 2), groups=2),
    Convolution(1, 20, 1, 50, 40, (1, 1)),
)
FORMS = (*(WindowForm("event", each) for each in (1, 2, 4)), WindowForm("dense"), WindowForm("single"))
STORAGES = (FLOAT32, INT8, FLOAT16)


@dataclass(frozen=True)
class Case:
    """A convolution in every form: what it reads, and its result."""

    sums: dict[str, WindowSums]
    operands: list[np.ndarray]
    expected: np.ndarray

    def functions(self) -> list[tirx.PrimFunc]:
        """One for each form."""
        return [self.sums[form.name].function(form) for form in FORMS]


def _case(place: int, conv: Convolution, graded: bool) -> Case:
    rng, storage = np.random.default_rng(place), STORAGES[(place + graded) % 3]
    weights = rng.standard_normal((conv.outputs, conv.group_inputs, *conv.kernel)).astype(np.float32)
    x = (rng.random((conv.batch, conv.channels, conv.height, conv.width)) < 0.3).astype(np.float32)
    if graded:
        x *= rng.standard_normal(x.shape).astype(np.float32)
    stored = quantise(matrix(weights), storage)
    if place == len(SHAPES) - 1:  # whole numbers of the graph
        stored = store_integers(quantise(matrix(weights), INT8).values)
        storage = stored.storage
    rounded = np.ascontiguousarray(stored.values.astype(np.float32).T).reshape(weights.shape)
    expected = convolve(x, rounded, conv)
    data, scales = pack_windows(stored, conv)
    operands = [x, data, pack_taps(conv)]
    if scales is not None:
        operands, expected = [*operands, scales], expected * scales[:, None, None]
    sums = {form.name: WindowSums(conv, graded, form.name == "event", storage, scales is not None) for form in FORMS}
    return Case(sums, operands, expected)


@cache
def _cases() -> list[Case]:
    return [_case(place, conv, graded) for place, conv in enumerate(SHAPES) for graded in (False, True)]


def test_convolutions_follow_the_order() -> None:
    """Every form gives the documented bits: groups, strides, dilation, padding and all blocks of a sum."""
    library = CudaLibrary(function for case in _cases() for function in case.functions())
    for case in _cases():
        for place, function in enumerate(case.functions()):
            grid, seed = ((1, 0), (3, 1), (5, 7))[place % 3]
            unwritten = np.full(case.expected.size, 77, np.float32)
            result = library.run(function, case.operands, [unwritten], grid, seed)[0]
            assert same_bits(result, case.expected), (case.sums, FORMS[place])


def test_a_convolution_has_the_bits_of_the_cpu_kernel() -> None:
    """What the library makes of images is what a CPU's dense kernel makes of them."""
    conv, tile = SHAPES[2], ConvTile(2, 1)
    stored = quantise(np.random.default_rng(3).standard_normal((conv.taps, conv.outputs)).astype(np.float32), FLOAT32)
    x = np.random.default_rng(4).standard_normal((1, conv.channels, conv.pixels)).astype(np.float32)
    planes = run(copy_to_planes(conv), [x.ravel()], [np.zeros(planes_size(conv), np.float32)])
    packed = pack_dense_conv(stored, conv, tile)[0]
    runs = run(dense_conv(conv, tile), [*planes, packed], [np.zeros(runs_size(conv), np.float32)])
    result = [np.zeros(conv.outputs * conv.out_pixels, np.float32)]
    expected = run(copy_from_runs(conv), runs, result)[0]
    forms = (WindowForm("event", 2), WindowForm("dense"))
    functions = [WindowSums(conv, True, form.name == "event").function(form) for form in forms]
    library, operands = CudaLibrary(functions), [x, pack_windows(stored, conv)[0], pack_taps(conv)]
    assert all(same_bits(library.run(function, operands, result)[0], expected) for function in functions)


def test_threads_of_a_convolution_do_not_race() -> None:
    """The warps of a block list their windows apart from each other, and leave that memory to the next call."""
    case = _cases()[0]
    library = CudaLibrary(case.functions(), races=True)
    for function in case.functions():
        result = library.run(function, case.operands, [np.zeros(case.expected.size, np.float32)], 2, 1)[0]
        assert same_bits(result, case.expected)


def test_lanes_have_several_outputs_where_there_are_many_windows() -> None:
    """Few windows leave a warp 32 outputs each; many windows share the work of listing among more outputs."""
    wide, few = Convolution(1, 16, 40, 40, 128, (3, 3)), Convolution(1, 16, 5, 5, 128, (3, 3))
    assert WindowSums(wide, False, True).form(64) == WindowForm("event", 4)
    assert WindowSums(few, False, True).form(64) == WindowForm("event", 1)
    assert WindowSums(SHAPES[0], False, False).form(64) == WindowForm("single")
