"""Functions of the CUDA C library that each block of threads may call for itself."""

from __future__ import annotations

import numpy as np
from tvm import tirx

from astroedge.targets.cuda.library_call import ALONE, EACH_BLOCK, FIRST_BLOCK, LIBRARY_FUNCTION, LIBRARY_SIZES
from astroedge.targets.kernels.cuda import norms
from astroedge.targets.kernels.cuda.library_text import library_text
from astroedge.targets.kernels.cuda.products import THREADS, RowsProduct, embedding_row
from astroedge.targets.precision.storage import FLOAT32
from tests.cuda_emulator.kernels import load_source
from tests.support.kernels.cuda_library import C_TYPES

BLOCKS = 3
DRAW = np.random.default_rng(5)


def _numbers(*shape: int) -> np.ndarray:
    return DRAW.standard_normal(shape).astype(np.float32)


CASES: dict[str, tuple[tirx.PrimFunc, list[np.ndarray], int]] = {
    "reduce": (norms.reduce_last("sum", 70, 33, "float32"), [_numbers(70, 33)], 70),
    "softmax": (norms.softmax(5, 300), [_numbers(5, 300)], 1500),
    "norm": (norms.layer_norm(70, 33, 1e-5), [_numbers(70, 33), _numbers(33), _numbers(33)], 2310),
    "embedding": (embedding_row(2, 9, 200, FLOAT32, "int64"), [np.array([8, 3], np.int64), _numbers(9, 200)], 400),
    "finish": (RowsProduct(1, 600, 300, 1, True, True, True).finish(), [_numbers(1, 3, 300)], 300),
}
"""A function, what it reads, and how many numbers it writes."""


def _kernel(name: str, first: str, offset: str) -> str:
    """A kernel that calls the function of a case, whose first block is `first`, for results from `offset` on."""
    function, reads, _ = CASES[name]
    types = [C_TYPES[str(parameter.dtype)] for parameter in function.params]
    arguments = [f"p{place}" for place in range(len(reads))] + [f"p{len(reads)} + {offset}"]
    arguments += [first if size == FIRST_BLOCK else str(size) for size in function.attrs[LIBRARY_SIZES]]
    parameters = ", ".join(f"{c_type} *p{place}" for place, c_type in enumerate(types))
    call = f"{function.attrs[LIBRARY_FUNCTION]}({', '.join(arguments)});"
    return f'extern "C" __global__ void {name}_{offset[0]}({parameters}) {{ {call} }}'


def test_each_block_makes_all_results() -> None:
    """With the word for it every block writes what all of them write together, and no block another's."""
    kernels = [
        text for name in CASES for text in (_kernel(name, "0", "0"), _kernel(name, EACH_BLOCK, f"b * {CASES[name][2]}"))
    ]
    names = {str(function.attrs[LIBRARY_FUNCTION]) for function, _, _ in CASES.values()}
    text = "\n".join([library_text(names), "#define b ((int)blockIdx.x)", *kernels])
    library = load_source(text, races=True)
    for name, (function, reads, size) in CASES.items():
        assert bool(function.attrs[ALONE])
        together, apart = np.full(size, 7, np.float32), np.full((BLOCKS, size), 7, np.float32)
        library.launch(f"{name}_0", BLOCKS, THREADS, *reads, together, seed=3)
        library.launch(f"{name}_b", BLOCKS, THREADS, *reads, apart, seed=3)
        assert all(one.tobytes() == together.tobytes() for one in apart), name
