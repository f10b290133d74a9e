"""Which module of the model each call of the tick belongs to.

TVM keeps no names of what it fuses, so a call is known by what it touches: the product it computes, the spikes and
states it makes, the states and stored weights it reads, or else the last of the calls whose results it reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from astroedge.step.graph import StepGraph
from astroedge.step.tensor_data import array_of
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value

LARGEST_NAMED = 1 << 22  # bytes of a constant that is looked for among the stored weights
SHARED = ("active-list", "fixed-point", "masks", "strips")


def name_calls(plan: MemoryPlan, program: StepProgram, graph: StepGraph) -> list[str]:
    """The module path of every call of `plan`, "" where nothing tells."""
    made, stored = _known_values(program, graph), _stored_values(plan.calls, graph)
    makers: dict[Value, tuple[int, str]] = {}
    modules = []
    for index, call in enumerate(plan.calls):
        module = call.cost.module if _is_own(call) and call.cost else _module(call, made, stored, makers)
        makers.update(dict.fromkeys(call.writes, (index, module)))
        modules.append(module or (call.cost.module if call.cost is not None else ""))
    return modules


def _is_own(call: KernelCall) -> bool:
    """Whether the call is of one product alone: lists are of whoever fires, for all that read them."""
    return call.cost is not None and call.kind not in SHARED


def _module(
    call: KernelCall, made: dict[Value, str], stored: dict[Value, str], makers: dict[Value, tuple[int, str]]
) -> str:
    """The module that the surest kind of evidence names."""
    evidence = (
        [made[value] for value in call.writes if value in made],
        [_parent(value.name) for value in call.reads if value.kind == "state"],
        [made[value] for value in call.reads if value in made] if len(call.reads) == 1 else [],
        [stored[value] for value in call.reads if value in stored],
    )
    _, maker = max(filter(None, (_maker(value, makers) for value in call.reads)), default=(0, ""))
    return next(filter(None, map(_common, evidence)), maker)


def _maker(value: Value, makers: dict[Value, tuple[int, str]]) -> tuple[int, str] | None:
    """The number and the module of the call that made a value; a part has its product's name."""
    if value.whole is None:
        return makers.get(value)
    return makers[value.whole][0], value.name


def _known_values(program: StepProgram, graph: StepGraph) -> dict[Value, str]:
    """The modules of next states and of spikes, whose names are better known than those of states."""
    names = [*(item.name for item in graph.spec.states), *(item.name for item in graph.spec.spikes)]
    values = [*program.nexts, *program.spikes]
    return {value: _parent(name) for value, name in zip(values, names, strict=True) if value.kind == "computed"}


def _stored_values(calls: list[KernelCall], graph: StepGraph) -> dict[Value, str]:
    """The modules of stored weights that calls of no product read, by their numbers, if one module alone has them."""
    read = {value for call in calls if not _is_own(call) for value in call.reads}
    wanted = {value: value.data for value in read if value.data is not None and 0 < value.nbytes <= LARGEST_NAMED}
    sizes = {data.nbytes for data in wanted.values() if data.size > 1}
    modules: dict[bytes, set[str]] = {}
    for item in graph.model.graph.initializer:
        size = int(np.prod(item.dims)) * helper.tensor_dtype_to_np_dtype(item.data_type).itemsize
        if size in sizes and _parent(item.name):
            modules.setdefault(_digest(array_of(item)), set()).add(_parent(item.name))
    named = {value: modules.get(_digest(data), set()) for value, data in wanted.items() if data.nbytes in sizes}
    return {value: next(iter(found)) for value, found in named.items() if len(found) == 1}


def _digest(array: NDArray[Any]) -> bytes:
    return blake2b(np.ascontiguousarray(array).tobytes(), digest_size=16).digest()


def _parent(name: str) -> str:
    """The path of the module that a state, a spike tensor or a weight is in."""
    return name.rpartition(".")[0]


def _common(paths: Iterable[str]) -> str:
    """What the paths have in common; where that is nothing, the first of them."""
    known = [path for path in dict.fromkeys(paths) if path]
    if not known:
        return ""
    levels = zip(*(path.split(".") for path in known), strict=False)
    return ".".join(names[0] for names in takewhile(lambda names: len(set(names)) == 1, levels)) or known[0]
