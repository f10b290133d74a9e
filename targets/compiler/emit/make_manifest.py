"""The planned step as a manifest: layouts, checks, counters, matrices and kernels."""

from __future__ import annotations

import math as mathematics
from collections import Counter as Multiset
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from importlib.metadata import version

import numpy as np
from tvm.target import codegen

from astroedge import __version__
from astroedge.abi.limits import SPIKE_BITS, UNIFORM_EXPONENTS
from astroedge.bundle.manifest import (
    Activity,
    BufferField,
    FileRecord,
    Golden,
    InputField,
    Kernel,
    Layout,
    Manifest,
    StateField,
    WeightRecord,
)
from astroedge.bundle.weights_memory import make_weights
from astroedge.step.graph import StepGraph
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.compile_request import CompileRequest
from astroedge.targets.compiler.emit.name_calls import name_calls
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.program.step_program import StepProgram
from astroedge.targets.compiler.select.call_costs import all_bytes
from astroedge.targets.compiler.select.choose_kernels import KernelChoice
from astroedge.targets.compiler.threads.plan_team import TeamPlan
from astroedge.targets.precision.quantise_weights import WeightChoice
from astroedge.targets.precision.storage import FLOAT32

UNMEASURED_RATE = 0.1  # of an input that is 0 or 1 and whose examples did not fire: silence proves nothing
DRAWN_INTEGERS = 2**32 - 1  # the widest range of draws
NOT_WRITTEN = FileRecord("", 0, "")


def make_manifest(
    request: CompileRequest,
    spec: StepSpec,
    program: StepProgram,
    choice: KernelChoice,
    plan: MemoryPlan,
    team: TeamPlan | None,
) -> Manifest:
    """Describe the compiled step; file records and golden ticks are filled in once they exist.

    `spec` is the graph's, with the outputs of a probe build; `plan` has the scheduled calls.
    """
    graph, weights = request.graph, request.weights
    source = weights.source_sha256 or graph.digest
    manifest = Manifest(
        model=graph.name,
        graph_sha256=source,
        target=request.target.identity,
        step=spec,
        layout=_layout(graph, spec, program, plan),
        activity=tuple(
            Activity(counter.name, counter.size, plan.places[counter.value].offset, counter.rate)
            for counter in choice.counters
        ),
        matrices=tuple(choice.matrices),
        kernels=_kernels(plan, name_calls(plan, program, graph)),
        golden=Golden(seed=int(source[:16], 16), ticks=(), parity={}),
        library=NOT_WRITTEN,
        weights=NOT_WRITTEN,
        assets=(),
        compiler=_compiler(),
        math=request.math,
        precision=weights.precision,
        probes=request.probes,
        dequantised_sha256=None if weights.source_sha256 is None else graph.digest,
        stored=tuple(_weight_record(item, choice) for item in weights.choices),
    )
    if team is None:
        return manifest
    return replace(manifest, threads=team.threads, default_threads=team.default_threads)


def _compiler() -> dict[str, str]:
    """The versions of what compiles."""
    return {
        "astroedge": __version__,
        "tvm": version("apache-tvm"),
        "llvm": str(codegen.llvm_version_major()),
    }


def _layout(graph: StepGraph, spec: StepSpec, program: StepProgram, plan: MemoryPlan) -> Layout:
    """Where everything lies. Outputs have the shapes of `spec`: the value behind one may be what it is a view of."""
    return Layout(
        inputs_size=plan.sizes["inputs"],
        inputs=tuple(
            input_field(tensor, plan.places[value].offset)
            for tensor, value in zip(graph.spec.inputs, program.inputs, strict=True)
        ),
        outputs_size=plan.sizes["outputs"],
        outputs=tuple(
            BufferField(tensor.name, tensor.shape, tensor.dtype, place.offset, tensor.nbytes)
            for tensor, place in zip(spec.outputs, plan.outputs, strict=True)
        ),
        state_size=plan.sizes["state"],
        state=tuple(_state_field(graph, plan, index) for index in range(len(graph.spec.states))),
        weights_size=plan.sizes["weights"],
        weights=tuple(
            BufferField(value.name, value.shape, value.dtype, plan.places[value].offset, value.nbytes)
            for value in plan.weights
        ),
        workspace_size=plan.sizes["workspace"],
    )


def input_field(tensor: TensorSpec, offset: int) -> InputField:
    """What a host checks of an input at `offset`, and how the golden trace draws it."""
    low, high = tensor.index_range or _drawn_range(tensor)
    draw, parameter = _draw(tensor)
    return InputField(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        offset=offset,
        nbytes=tensor.nbytes,
        check_nan=tensor.dtype.startswith("float"),
        check_range=tensor.index_range is not None,
        low=low,
        high=high,
        draw=draw,
        draw_parameter=parameter,
        values=_drawn_values(tensor) if draw == "values" else (),
    )


def _draw(tensor: TensorSpec) -> tuple[str, int]:
    """How the golden trace draws this input: like the data it was exported with, of which only finite floats."""
    if tensor.values is not None and tensor.index_range is None:
        return "values", 0
    if tensor.index_range is not None or tensor.value_range is not None:
        return "index", 0
    if tensor.firing_rate is not None or not tensor.dtype.startswith("float"):
        return "spike", round((tensor.firing_rate or UNMEASURED_RATE) * 2**SPIKE_BITS)
    span = tensor.span or 0.0
    exponent = mathematics.ceil(mathematics.log2(span)) if 0 < span < mathematics.inf else 0
    low, high = UNIFORM_EXPONENTS[tensor.dtype]
    return "uniform", min(max(exponent, low), high)


def _drawn_values(tensor: TensorSpec) -> tuple[tuple[str, int], ...]:
    """The table of what the examples held, by its shares; with a declared firing rate zero has what that leaves."""
    assert tensor.values is not None
    shares = dict(tensor.values)
    active = sum(share for value, share in shares.items() if value)
    rate = tensor.firing_rate
    if rate is not None and active:
        shares = {0.0: 1 - rate} | {value: share * rate / active for value, share in shares.items() if value}
    table, reached = [], 0.0
    for value, share in sorted(shares.items()):
        reached = min(reached + share, 1.0)
        table.append((float(value).hex(), round(reached * 2**SPIKE_BITS)))
    return (*table[:-1], (table[-1][0], 2**SPIKE_BITS))


def _drawn_range(tensor: TensorSpec) -> tuple[int, int]:
    """The range of integers that are drawn but not checked, as far as one draw reaches; (0, 0) for none."""
    if tensor.value_range is None:
        return 0, 0
    low, high = tensor.value_range
    high = min(high, low + DRAWN_INTEGERS, int(np.iinfo(tensor.dtype).max))
    return min(low, high - 1), high


def _state_field(graph: StepGraph, plan: MemoryPlan, index: int) -> StateField:
    state, place = graph.spec.states[index], plan.states[index]
    stored = plan.initial.get(state.name)
    return StateField(
        name=state.name,
        shape=state.shape,
        dtype=state.dtype,
        offset=place.offset,
        nbytes=state.nbytes,
        private=False,
        fill=float(state.initial).hex() if state.initial is not None else None,
        weights_offset=plan.places[stored].offset if stored is not None else 0,
    )


def _weight_record(item: WeightChoice, choice: KernelChoice) -> WeightRecord:
    """How a weight is stored in the end: as it was to be, or in float32 where no kernel reads it so."""
    size, word = (item.rows, item.columns), item.storage.name
    if item.key in choice.stored:
        return WeightRecord(item.name, *size, word, choice.stored[item.key], item.reason, item.examples)
    reason = item.reason if item.storage.is_plain else f"no kernel reads it as {word}"
    return WeightRecord(item.name, *size, FLOAT32.name, FLOAT32.nbytes(*size), reason, 0)


def _kernels(plan: MemoryPlan, modules: list[str]) -> tuple[Kernel, ...]:
    """One entry per call, numbered within its kind, in the order of the tick."""
    seen: Multiset[str] = Multiset()
    kernels = []
    for call, module in zip(plan.calls, modules, strict=True):
        kernel = Kernel(f"{call.kind}-{seen[call.kind]}", call.kind, call.operators, module, all_bytes(call))
        if call.cost is not None:
            cost = call.cost
            kernel = replace(kernel, nbytes=cost.nbytes, spikes=cost.spikes, row=cost.row, cycles=cost.cycles)
        kernels.append(kernel)
        seen[call.kind] += 1
    return tuple(kernels)


def pack_weights(plan: MemoryPlan) -> memoryview:
    """The bytes of the weights buffer: every weight at its offset, zeros between; nobody can change them."""
    return make_weights(plan.sizes["weights"], partial(_packed, plan)).data


def _packed(plan: MemoryPlan) -> Iterator[memoryview]:
    """The weights buffer in pieces."""
    reached = 0
    for value in (*plan.weights, None):
        offset = plan.sizes["weights"] if value is None else plan.places[value].offset
        yield memoryview(bytes(offset - reached))
        if value is not None and value.data is not None:
            yield np.ascontiguousarray(value.data).reshape(-1).view(np.uint8).data
            reached = offset + value.nbytes
