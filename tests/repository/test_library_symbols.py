"""What the libraries of all shipped targets hold: no symbol from outside and no fused multiply-add."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper

from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.boards.target import list_targets, resolve_target
from tests.support import elf, graphs
from tests.support.builds import build, build_of
from tests.support.codes import distinct_codes
from tests.support.fused_products import fused_products

PROCESSORS = [target.name for target in distinct_codes() if not target.gpu]
GPUS = [target.name for target in list_targets() if target.gpu]
OF_A_DEVICE = {f"astro_{name}_device" for name in ("open", "close", "read", "write")} | {"astro_device_message"}
FROM_THE_C_LIBRARY = {
    *("dlopen", "dlsym", "dlerror"),
    *("calloc", "free", "memcpy", "memset", "memmove", "memcmp", "strlen", "vsnprintf", "snprintf"),
    *("getpid", "nanosleep"),
}


@pytest.mark.parametrize("name", GPUS)
def test_library_beside_a_gpu_needs_little_of_the_c_library(name: str) -> None:
    """It opens the driver, keeps what belongs to a stream and writes messages; nothing of CUDA is linked."""
    library = build_of(graphs.recurrent_net, name).library()
    assert elf.machine(library) == resolve_target(name).arch
    defined, undefined = elf.dynamic_symbols(library)
    assert defined == elf.OF_A_STEP | OF_A_DEVICE
    assert {"dlopen", "dlsym"} <= undefined <= FROM_THE_C_LIBRARY


@pytest.mark.parametrize("name", PROCESSORS)
def test_library_needs_nothing_from_outside(name: str) -> None:
    """A compiled network exports the C interface and has no undefined symbol, not even of the C library.

    So a tick can allocate nothing, open nothing and start nothing.
    """
    library = build_of(graphs.recurrent_net, name).library()
    assert elf.machine(library) == resolve_target(name).arch
    assert elf.dynamic_symbols(library) == (elf.OF_A_STEP | elf.OF_A_PROCESSOR, set())


@pytest.mark.parametrize("name", PROCESSORS)
def test_exact_code_fuses_no_product(name: str) -> None:
    """A product that is rounded on one processor is rounded on all: no multiply-add is fused."""
    target = resolve_target(name)
    code = elf.code(build_of(graphs.recurrent_net, name).library())
    assert code
    assert [form for part in code for form in fused_products(target.arch, part)] == []


@pytest.mark.parametrize("name", ["x86-64-v3", "x86-64-v4", "raspberry-pi-4", "raspberry-pi-3-32bit", "riscv64"])
def test_fast_code_does_fuse(name: str) -> None:
    """The same network with `math="fast"` has fused multiply-adds, so the test above would see them."""
    target = resolve_target(name)
    code = elf.code(build_of(graphs.recurrent_net, name, math="fast").library())
    assert [form for part in code for form in fused_products(target.arch, part)]


def test_fast_code_calls_the_c_library_only_where_it_must() -> None:
    """With `math="fast"` a float64 arc tangent is the C library's, but exp, tanh and a sigmoid are the exact ones."""
    nodes = [
        helper.make_node("Exp", ["x"], ["a"]),
        helper.make_node("Tanh", ["a"], ["b"]),
        helper.make_node("Sigmoid", ["b"], ["c"]),
        helper.make_node("Cast", ["c"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Atan", ["wide"], ["angle"]),
        helper.make_node("Cast", ["angle"], ["y"], to=TensorProto.FLOAT),
    ]
    tensors = (TensorSpec("x", (1, 64), "float32"), TensorSpec("y", (1, 64), "float32"))
    spec = StepSpec(inputs=tensors[:1], outputs=tensors[1:], states=())
    library = build(graphs.build("functions", spec, nodes), math="fast").library()
    assert elf.dynamic_symbols(library)[1] == {"atan"}
