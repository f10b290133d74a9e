"""What fusion leaves is computed in vector loops, with the bits of NumPy, or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, tirx, topi

from astroedge.errors import CompileError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.schedule.vectorize import schedule_blocks
from tests.support.kernels import reference_math
from tests.support.kernels.harness import CORTEX_A72, RUNNABLE, X86_64_V3, assembly, operator, run, same_bits

TARGET = resolve_target("x86-64-v3")
ONE = tirx.const(1.0, "float32")


def _placeholders(arrays: Sequence[np.ndarray]) -> list[te.Tensor]:
    return [te.placeholder(array.shape, str(array.dtype), name=f"x{i}") for i, array in enumerate(arrays)]


def _compute(
    function: Callable[..., Any], *arrays: np.ndarray, target: dict[str, object] = RUNNABLE[0]
) -> list[np.ndarray]:
    """The scheduled form of a TE function of the arrays, run; one array a result."""
    inputs = _placeholders(arrays)
    made = function(*inputs)
    outputs = list(made) if isinstance(made, (list, tuple)) else [made]
    func = schedule_blocks(operator(inputs, outputs), TARGET)
    shapes = [tuple(int(extent) for extent in output.shape) for output in outputs]
    empty = [np.zeros(int(np.prod(shape)), str(output.dtype)) for shape, output in zip(shapes, outputs, strict=True)]
    results = run(func, [array.reshape(-1) for array in arrays], empty, target)
    return [result.reshape(shape) for result, shape in zip(results, shapes, strict=True)]


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 4), columns=st.integers(1, 70), target=st.sampled_from(RUNNABLE))
def test_a_neuron_step_has_the_bits_of_numpy(rows: int, columns: int, target: dict[str, object]) -> None:
    """Decay, drive, threshold and reset over a batch, with spikes as truth values: two results, one loop."""
    v, drive, bias = _numbers(rows, columns), _numbers(rows, columns) * 2, _numbers(columns)
    decay = np.float32(0.9)

    def step(v: te.Tensor, drive: te.Tensor, bias: te.Tensor) -> list[te.Tensor]:
        membrane = topi.add(topi.multiply(v, tirx.const(0.9, "float32")), topi.add(drive, bias))
        spike = topi.greater_equal(membrane, ONE)
        return [spike, topi.subtract(membrane, topi.cast(spike, "float32"))]

    spike, rest = _compute(step, v, drive, bias, target=target)
    membrane = v * decay + (drive + bias)
    assert np.array_equal(spike, membrane >= 1)
    assert same_bits(rest, membrane - (membrane >= 1).astype(np.float32))


def test_a_gate_read_twice_is_computed_once() -> None:
    """A value with two readers is kept in a register, so chains of such values stay small and right."""
    x, y = _numbers(3, 20), _numbers(3, 20)

    def chain(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        for _ in range(6):
            gate = topi.sigmoid(topi.add(x, y))
            x = topi.multiply(gate, topi.add(gate, x))
        return x

    expected = x
    for _ in range(6):
        gate = reference_math.sigmoid(expected + y)
        expected = gate * (gate + expected)
    assert same_bits(_compute(chain, x, y)[0], expected)


def _shifted(a: te.Tensor) -> te.Tensor:
    """Each element's right neighbour, the last one's own value: a computed array read beside the own point."""
    return te.compute(a.shape, lambda i: tirx.if_then_else(i < a.shape[0] - 1, a[i + 1], a[i]), "shifted")


MOVES: dict[str, tuple[Callable[..., Any], Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "join columns": (lambda a, b: topi.concatenate([a, b], 1), lambda a, b: np.hstack([a, b]), ((4, 20), (4, 13))),
    "join rows": (lambda a, b: topi.concatenate([a, b], 0), lambda a, b: np.vstack([a, b]), ((4, 20), (2, 20))),
    "pad": (lambda a: topi.nn.pad(a, [1, 1], [1, 2]), lambda a: np.pad(a, ((1, 1), (1, 2))), ((4, 20),)),
    "transpose": (lambda a: topi.transpose(a, (1, 0)), lambda a: a.T, ((4, 20),)),
    "reshape": (lambda a: topi.reshape(topi.negative(a), (2, 40)), lambda a: -a.reshape(2, 40), ((4, 20),)),
    "slice": (lambda a: topi.strided_slice(a, [0, 3], [4, 17]), lambda a: a[:, 3:17], ((4, 20),)),
    "every second": (lambda a: topi.strided_slice(a, [0, 0], [4, 20], [1, 2]), lambda a: a[:, ::2], ((4, 20),)),
    "flip": (lambda a: topi.flip(a, 1), lambda a: a[:, ::-1], ((4, 20),)),
    "broadcast": (lambda a: topi.broadcast_to(a, (3, 4, 20)), lambda a: np.broadcast_to(a, (3, 4, 20)), ((20,),)),
    "split": (lambda a: list(topi.split(a, [5], 1)), lambda a: np.split(a, [5], 1), ((4, 20),)),
    "a number": (lambda a: topi.add(a, ONE), lambda a: a + np.float32(1), ((),)),
    "a column for all": (lambda a, b: topi.multiply(a, b), lambda a, b: a * b, ((4, 20), (4, 1))),
    "axes that do not join": (lambda a, b: topi.add(a, b), lambda a, b: a + b, ((3, 4, 5), (3, 1, 5))),
    "shift": (lambda a: _shifted(topi.negative(a)), lambda a: -np.append(a[1:], a[-1]), ((20,),)),
    "zero planes": (lambda a: topi.trilu(a, tirx.const(0, "int32"), True), np.triu, ((6, 20),)),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
def test_moved_elements_arrive(name: str) -> None:
    """Whatever an operator does with places, the elements are NumPy's."""
    function, expected, shapes = MOVES[name]
    arrays = [_numbers(*shape) if shape else np.array(0.7, np.float32) for shape in shapes]
    right = expected(*arrays)
    for result, wanted in zip(_compute(function, *arrays), right if isinstance(right, list) else [right], strict=True):
        assert result.shape == wanted.shape
        assert same_bits(result, np.ascontiguousarray(wanted, np.float32))


def test_rows_are_gathered_by_index() -> None:
    """An embedding reads the rows that its indices name."""
    table, index = _numbers(9, 33), np.array([4, 0, 8, 4], np.int32)
    assert same_bits(_compute(lambda t, i: topi.take(t, i, axis=0, mode="clip"), table, index)[0], table[index])


@pytest.mark.parametrize("axis", [0, 1])
def test_sums_run_in_ascending_order(axis: int) -> None:
    """A reduction adds one element after the other from 0."""
    x = _numbers(37, 21)
    expected = np.zeros(x.shape[1 - axis], np.float32)
    for part in x if axis == 0 else x.T:
        expected = expected + part
    assert same_bits(_compute(lambda a: topi.sum(a, axis=axis), x)[0], expected)


def test_the_largest_is_found_at_its_first_place() -> None:
    """argmax has two results of which one is kept, and takes the first of equal ones."""
    x = np.array([[1, 3, 3, 2], [5, 5, 0, 5], [-2, -1, -1, -9]], np.float32)
    assert _compute(lambda a: topi.argmax(a, axis=1), x)[0].tolist() == [1, 0, 1]


def test_a_reduction_that_others_read_elsewhere_is_kept_on_the_stack() -> None:
    """A softmax over the first axis needs its largest values and sums for every row."""
    x = _numbers(6, 9)
    powers = reference_math.exp(x - x.max(axis=0))
    total = np.zeros(9, np.float32)
    for row in powers:
        total = total + row
    assert same_bits(_compute(lambda a: topi.nn.softmax(a, axis=0), x)[0], powers / total)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (1, 1), (2, 1)])
def test_convolution_adds_channels_then_rows_then_columns(stride: int, padding: int) -> None:
    """A plain convolution, padding included, sums in ascending order of channel, row and column."""
    image, weights = _numbers(1, 3, 9, 11), _numbers(4, 3, 3, 3)
    result = _compute(lambda a, w: topi.nn.conv2d(a, w, stride, padding, 1, "NCHW"), image, weights)[0]
    padded = np.pad(image, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    expected = np.zeros_like(result)
    height, width = result.shape[2:]
    for channel, row, column in np.ndindex(3, 3, 3):
        window = padded[:, channel, row : row + stride * height : stride, column : column + stride * width : stride]
        expected = expected + window[:, None, :height, :width] * weights[None, :, channel, row, column, None, None]
    assert same_bits(result, expected)


def test_pooling_divides_by_what_it_counted() -> None:
    """An average over a window at the border."""
    x = _numbers(1, 2, 8, 8)
    result = _compute(lambda a: topi.nn.pool2d(a, (2, 2), (2, 2), (1, 1), (0, 0, 0, 0), "avg"), x)[0]
    parts = x.reshape(1, 2, 4, 2, 4, 2)
    total = ((parts[:, :, :, 0, :, 0] + parts[:, :, :, 0, :, 1]) + parts[:, :, :, 1, :, 0]) + parts[:, :, :, 1, :, 1]
    assert same_bits(result, total / np.float32(4))


@pytest.mark.guard
@pytest.mark.parametrize("target", [X86_64_V3, CORTEX_A72], ids=["x86-64-v3", "cortex-a72"])
def test_loops_are_vectors(target: dict[str, object]) -> None:
    """A fused chain over a batch with a broadcast operand has no scalar float arithmetic and no call.

    A guard: slow code computes the same numbers.
    """
    arrays = (_numbers(4, 64), _numbers(64))
    inputs = _placeholders(arrays)
    func = schedule_blocks(operator(inputs, [topi.tanh(topi.add(topi.multiply(inputs[0], inputs[1]), ONE))]), TARGET)
    code = assembly(func, target)
    assert "call" not in code
    assert "\tbl\t" not in code
    assert not any(scalar in code for scalar in ("vmulss", "vaddss", "fmul\ts", "fadd\ts"))


def test_an_operator_that_is_a_loop_of_its_own_is_refused() -> None:
    """A scan has no blocks to schedule; the message names it."""
    inputs = _placeholders([_numbers(4, 20)])
    with pytest.raises(CompileError, match="cumsum"):
        schedule_blocks(operator(inputs, [topi.cumsum(inputs[0], 1)]), TARGET)


def test_a_result_too_large_for_the_stack_is_refused() -> None:
    """A kernel has no allocator, so what one of its loops leaves for the next must be small."""
    inputs = _placeholders([_numbers(4, 300)])
    with pytest.raises(CompileError, match="bytes between two of its loops"):
        schedule_blocks(operator(inputs, [topi.nn.softmax(inputs[0], axis=0)]), TARGET)
