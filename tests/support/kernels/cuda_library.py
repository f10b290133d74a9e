"""Functions of the CUDA C library, emulated from their source and called with NumPy arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np
from tvm import tirx

from astroedge.targets.cuda.library_call import FIRST_BLOCK, LIBRARY_FUNCTION, LIBRARY_SIZES
from astroedge.targets.kernels.cuda.library_text import library_text
from astroedge.targets.kernels.cuda.products import THREADS
from tests.cuda_emulator.kernels import load_source

C_TYPES = {
    **{"bool": "bool", "int8": "signed char", "uint8": "unsigned char", "uint16": "unsigned short", "int32": "int"},
    **{"int64": "long long", "float32": "float"},
}


class CudaLibrary:
    """What `library_call` made, each in a kernel of its own; sizes that are numbers are arguments of it.

    Blocks are counted from the third on, or what that is of fewer. With `races`, every call is made twice in
    a row, as a step makes others after it, and a race ends it.
    """

    def __init__(self, functions: Iterable[tirx.PrimFunc], races: bool = False) -> None:
        functions = list(functions)
        kernels = dict(_kernel(function, 2 if races else 1) for function in functions)
        names = {str(function.attrs[LIBRARY_FUNCTION]) for function in functions}
        self.text = f"#define {FIRST_BLOCK} 2\n" + library_text(names) + "\n".join(kernels.values())
        self._kernels = load_source(self.text, races=races)

    def run(
        self,
        function: tirx.PrimFunc,
        reads: Sequence[np.ndarray],
        writes: Sequence[np.ndarray],
        grid: int = 3,
        seed: int = 0,
    ) -> list[np.ndarray]:
        """Call a function on these arrays with `grid` blocks in the order of `seed`; returns copies it wrote to."""
        written = [array.copy() for array in writes]
        given = [np.ascontiguousarray(array) for array in reads]
        name = _kernel(function, 1)[0]
        numbers = [int(size) for size in _sizes(function) if _is_number(size)]
        self._kernels.launch(name, grid, THREADS, *given, *written, *numbers, seed=seed)
        return written


def _kernel(function: tirx.PrimFunc, calls: int) -> tuple[str, str]:
    """The name and text of a kernel that calls a function so often."""
    types = [C_TYPES[str(parameter.dtype)] for parameter in function.params]
    parameters = [f"{c_type} *p{place}" for place, c_type in enumerate(types)]
    arguments = [f"p{place}" for place in range(len(types))]
    for place, size in enumerate(_sizes(function)):
        if _is_number(size):
            parameters.append(f"int s{place}")
        arguments.append(f"s{place}" if _is_number(size) else size)
    call = f"{function.attrs[LIBRARY_FUNCTION]}({', '.join(arguments)});"
    name = f"call_{sha256(' '.join((call, *types)).encode()).hexdigest()[:12]}"
    bounds = f"__launch_bounds__({THREADS})"
    return name, f'extern "C" __global__ void {bounds} {name}({", ".join(parameters)}) {{ {call * calls} }}'


def _sizes(function: tirx.PrimFunc) -> list[str]:
    return [str(size) for size in function.attrs[LIBRARY_SIZES]]


def _is_number(size: str) -> bool:
    return size.lstrip("-").isdigit()
