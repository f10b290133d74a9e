"""A step of what some processors have no instruction for: conversions between all dtypes, division, rounding."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from onnx import NodeProto, helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from tests.support import graphs

INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
WIDTH = 512
TICKS = 4


def conversions() -> StepGraph:
    """x_<a> as every other dtype b; x_<a> / d_<a> and its remainder of integers; floats rounded and their roots."""
    nodes: list[NodeProto] = []
    outputs: list[TensorSpec] = []

    def add(operator: str, reads: list[str], name: str, dtype: str, **attributes: int) -> None:
        nodes.append(helper.make_node(operator, reads, [name], **attributes))
        outputs.append(TensorSpec(name, (1, WIDTH), dtype))

    for source, wanted in permutations((*INTEGERS, *FLOATS), 2):
        if source == "float64" and wanted != "float32":  # no step for every processor has these
            continue
        to = helper.np_dtype_to_tensor_dtype(np.dtype(wanted))
        add("Cast", [f"x_{source}"], f"{source}_as_{wanted}", wanted, to=to)
    for dtype in INTEGERS:
        add("Div", [f"x_{dtype}", f"d_{dtype}"], f"quotient_{dtype}", dtype)
        add("Mod", [f"x_{dtype}", f"d_{dtype}"], f"remainder_{dtype}", dtype)
    for dtype in FLOATS:
        for operator in ("Floor", "Ceil", *(() if dtype == "float64" else ("Round", "Sqrt"))):
            add(operator, [f"x_{dtype}"], f"{operator}_{dtype}", dtype)
    names = [f"{letter}_{dtype}" for letter in "xd" for dtype in INTEGERS] + [f"x_{dtype}" for dtype in FLOATS]
    inputs = tuple(TensorSpec(name, (1, WIDTH), name[2:]) for name in names)
    return graphs.build("conversions", StepSpec(inputs=inputs, outputs=tuple(outputs), states=()), nodes)


def numbers_to_convert() -> dict[str, np.ndarray]:
    """Ticks of data: any bits at all, small numbers and halves between whole ones; no NaN and no divisor 0."""
    rng = np.random.default_rng(11)
    data = {}
    for dtype in INTEGERS:
        size = np.dtype(dtype).itemsize
        for letter in "xd":
            drawn = np.frombuffer(rng.bytes(TICKS * WIDTH * size), dtype) >> rng.integers(
                0, 8 * size, TICKS * WIDTH
            ).astype(dtype)
            data[f"{letter}_{dtype}"] = drawn.reshape(TICKS, 1, WIDTH)
        data[f"d_{dtype}"][data[f"d_{dtype}"] == 0] = 1
    for dtype in FLOATS:
        drawn = (
            np.frombuffer(rng.bytes(TICKS * WIDTH * np.dtype(dtype).itemsize), dtype).reshape(TICKS, 1, WIDTH).copy()
        )
        drawn[:, :, ::2] = (drawn[:, :, ::2].view(f"i{drawn.itemsize}") % 2001 - 1000) / 2
        data[f"x_{dtype}"] = np.where(np.isnan(drawn), np.array(0.3, dtype), drawn)
    return data
