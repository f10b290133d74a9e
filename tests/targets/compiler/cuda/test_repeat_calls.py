"""Small calls that each block makes for itself: which, what for, and what becomes of states and outputs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from tvm import te, tirx

from astroedge.targets.compiler.cuda.divide_calls import DeviceForm
from astroedge.targets.compiler.cuda.levels import levels_of
from astroedge.targets.compiler.cuda.repeat_calls import OWN_BYTES, Repeats, place_own, repeat_calls
from astroedge.targets.compiler.program.plan_memory import Place
from astroedge.targets.compiler.program.schedule_calls import copy_kernel
from astroedge.targets.compiler.program.step_program import OWN, KernelCall, StepProgram, Value
from astroedge.targets.families.gpu_costs import GpuCosts, gpu_costs
from astroedge.targets.kernels.cuda.products import RowsProduct

NUMBERS = count()
JETSON, SERVER = gpu_costs(("sm_87",), 4), gpu_costs(("sm_90",), 132)


def value(size: int, kind: str = "computed") -> Value:
    """A new vector of float32."""
    return Value(f"{kind}{next(NUMBERS)}", (1, size), "float32", kind)


def neuron(current: Value, old: Value) -> KernelCall:
    """A call of element-wise work that makes spikes and the next state."""
    size = current.shape[1]
    x, v = (te.placeholder((1, size), "float32", name=name) for name in "xv")
    new = te.compute((1, size), lambda i, j: x[i, j] + v[i, j], "new")
    spikes = te.compute((1, size), lambda i, j: tirx.Cast("float32", new[i, j] > 1), "spikes")
    function = te.create_prim_func([x, v, spikes, new]).without_attr("global_symbol").with_attr("s_tir", True)
    return KernelCall(function, (current, old), (value(size), value(size)), "element-wise", ("neuron",))


def product(left: Value, columns: int) -> KernelCall:
    """A call of the library that reads the whole of `left`."""
    rows = left.shape[1]
    function = RowsProduct(1, rows, columns, 1, True, True, True).product(
        RowsProduct(1, rows, columns, 1, True, True, True).form(0.1, JETSON)
    )
    weights = Value("w", (rows, columns), "float32", "weight")
    return KernelCall(function, (left, weights), (value(columns),), "event-gemv", ("matmul",))


def layers(size: int, threads: int = 256, depth: int = 3) -> tuple[StepProgram, list[DeviceForm]]:
    """Layers of neurons, between them products for so many threads; the last spikes are the output."""
    current, states, nexts = value(size, "input"), [], []
    given = current
    calls: list[KernelCall] = []
    for number in range(depth):
        states.append(value(size, "state"))
        calls.append(neuron(current, states[-1]))
        spikes, new = calls[-1].writes
        nexts.append(new)
        if number < depth - 1:
            calls.append(product(spikes, size))
            current = calls[-1].writes[0]
    forms = [
        DeviceForm(None, False, threads) if call.kind == "event-gemv" else DeviceForm(call.function, True, size)
        for call in calls
    ]
    return StepProgram([given], states, [spikes], nexts, [], [], calls), forms


def repeated(size: int, costs: GpuCosts, threads: int = 256, depth: int = 3) -> tuple[StepProgram, Repeats]:
    """What becomes of layers."""
    program, forms = layers(size, threads, depth)
    return repeat_calls(program, forms, {}, costs, copy_kernel)


def kinds(program: StepProgram, choose: Callable[[KernelCall], bool]) -> list[str]:
    """The kinds of what calls write."""
    return [item.kind for call in program.calls if choose(call) for item in call.writes]


def test_small_neurons_are_made_by_each_block() -> None:
    """The product behind them is in their level; the output's and the last layer's neurons are made once."""
    program, found = repeated(256, JETSON)
    assert kinds(program, lambda call: call.kind == "element-wise") == [OWN] * 4 + ["computed"] * 2
    assert (found.calls, found.before - found.after) == (2, 2)
    levels = levels_of(program.calls, {}, {})
    assert levels[:2] == [0, 0]
    assert levels[2:4] == [1, 1]


def test_states_are_copied_after_all_blocks_have_read_the_old_ones() -> None:
    """A copy writes what the next tick reads, in a later level than the call that reads the old state."""
    program, _ = repeated(256, JETSON)
    copies = [call for call in program.calls if call.kind == "copy"]
    assert [call.writes[0] for call in copies] == program.nexts[:2]
    assert all(call.reads[0].kind == OWN for call in copies)
    in_place = dict(zip(program.nexts, program.states, strict=True))
    levels = levels_of(program.calls, {}, in_place)
    at = dict(zip((call.writes[0] for call in program.calls), levels, strict=True))
    for copy, old in zip(copies, program.states, strict=False):
        reader = next(call for call in program.calls if old in call.reads)
        assert at[copy.writes[0]] > at[reader.writes[0]]


def test_work_that_takes_longer_than_a_wait_is_shared() -> None:
    """Where all of it takes a block longer than waiting, all blocks share a call and wait, and that is said."""
    program, found = repeated(2048, JETSON)
    assert OWN not in kinds(program, lambda call: True)
    assert (found.calls, found.before) == (0, found.after)
    assert "no call takes less than it saves" in found.text()
    _, few = repeated(256, JETSON)
    assert "each block makes 2 small calls for itself" in few.text()
    assert "saves 2 of" in few.text()


def test_targets_differ() -> None:
    """Where many blocks take long to wait for each other, and a thread is fast, more work is repeated."""
    many = [repeated(1024, costs, threads=60_000)[1].calls for costs in (JETSON, SERVER)]
    assert many == [0, 2]


def test_a_block_has_little_memory() -> None:
    """What is alive at the same time fits into it, and bytes are used again."""
    program, found = repeated(256, SERVER, depth=40)
    assert found.calls == 39
    places: dict[Value, Place] = {}
    in_place = dict(zip(program.nexts, program.states, strict=True))
    nbytes = place_own(program.calls, places, levels_of(program.calls, {}, in_place))
    assert 0 < nbytes <= OWN_BYTES < 39 * 2 * 1024
    assert {place.buffer for place in places.values()} == {OWN}
