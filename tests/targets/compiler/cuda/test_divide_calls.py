"""How a GPU makes calls: by the library, by all threads, by one, or not at all where one would take too long."""

from __future__ import annotations

import re

import pytest
from onnx import helper

from astroedge.errors import CompileError
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets import compile_step
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.compiler.cuda.divide_calls import divide_calls
from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.kernels.cuda.products import count_active
from astroedge.targets.kernels.reduce import softmax
from astroedge.targets.kernels.scan import cumulative_sum
from tests.support import graphs
from tests.support.device_steps import BOARD


def call(kind: str, function: object, *shape: int) -> KernelCall:
    """A call of a kernel on one array with one result like it."""
    x, y = (Value(name, shape, "float32", "computed") for name in "xy")
    return KernelCall(function, (x,), (y,), kind, (kind,))


def test_each_call_has_a_form() -> None:
    """A function of the library has none of ours; independent rows are divided; a short scan is one thread's."""
    forms = divide_calls(
        [
            call("count", count_active(16, "float32"), 16),
            call("softmax", softmax(6, 8), 6, 8),
            call("cumulative_sum", cumulative_sum(1, 12, 1, False, "float32"), 12),
        ]
    )
    assert [(form.function is None, form.divided, form.parts) for form in forms] == [
        (True, False, 128), (False, True, 6), (False, False, 1),
    ]  # fmt: skip


def test_who_makes_a_call_is_said() -> None:
    """Each block for itself, and why, or one thread for which the others wait; NVRTC's release is said too."""
    most = helper.make_node("ReduceMax", ["long", "last"], ["most"], name="/most")
    below = helper.make_node("Sub", ["long", "most"], ["below"], name="/below")
    scan = (helper.make_node("CumSum", [name, "axis"], [f"sums.{name}"], name=f"/{name}") for name in ("long", "short"))
    sizes = {"long": 200, "short": 12}
    spec = StepSpec(
        inputs=tuple(TensorSpec(name, (1, size), "float32") for name, size in sizes.items()),
        outputs=(
            *(TensorSpec(f"sums.{name}", (1, size), "float32") for name, size in sizes.items()),
            TensorSpec("below", (1, 200), "float32"),
        ),
        states=(),
    )
    step = compile_step(
        graphs.build("scans", spec, [*scan, most, below], {"axis": 1, "last": [1]}),
        resolve_target(BOARD),
        math="exact",
        kernels="auto",
        probes=False,
    )
    kinds = [kernel.kind for kernel in step.manifest.kernels if "cumulative_sum" in kernel.kind]
    assert sorted(kinds) == ["cumulative_sum", "cumulative_sum by one thread"]
    assert "max by each block" in [kernel.kind for kernel in step.manifest.kernels]
    assert step.device is not None
    assert step.device.barriers == 1
    assert "each block makes 1 small call for itself" in step.device.record.reason
    assert re.fullmatch(r"1[12]\.\d+\.\d+", step.manifest.compiler["nvrtc"])


def test_long_serial_work_is_refused_by_the_name_of_its_module() -> None:
    """The message names operator and module, says why, and that the processor of the board computes it."""
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 6000), "float32"),), outputs=(TensorSpec("y", (1, 6000), "float32"),), states=()
    )
    node = helper.make_node("CumSum", ["x", "axis"], ["y"], name="/head/CumSum")
    graph = graphs.build("scan", spec, [node], {"axis": 1})
    with pytest.raises(CompileError) as caught:
        compile_step(graph, resolve_target(BOARD), math="exact", kernels="auto", probes=False)
    assert str(caught.value) == (
        "Module '/head' uses CumSum in a form that a GPU does not carry (One thread of a GPU would store 12,000 "
        "numbers one after the other (cumulative_sum)): use the board's CPU target: jetson-orin-nano."
    )


def test_fast_math_is_for_processors() -> None:
    """A GPU computes exactly or not at all."""
    graph = graphs.lif_layer()
    with pytest.raises(CompileError, match="math='fast' is for processors"):
        compile_step(graph, resolve_target(BOARD), math="fast", kernels="auto", probes=False)
