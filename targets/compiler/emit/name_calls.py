"""Which module of the model each call of the tick belongs to.

TVM keeps no names of what it fuses, so a call is known by what it touches: the product it computes, the spikes and
states it makes, the states and stored weights it reads, or else the last of the calls whose results it reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from itertools import takewhile

import numpy as np
from onnx import numpy_helper

from astroedge.step.graph import StepGraph
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.program.step_program import KernelCall, StepProgram, Value

LARGEST_NAMED = 1 << 22  # bytes of a constant that is looked for among the stored weights


def name_calls(plan: MemoryPlan, program: StepProgram, graph: StepGraph) -> list[str]:
    """The module path of every call of `plan`, "" where nothing tells."""
    made, read = _known_values(program, graph), _stored_names(graph)
    found: dict[Value, str] = {}
    modules = []
    for call in plan.calls:
        if call.cost is not None and call.kind not in ("active-list", "fixed-point", "masks", "strips"):
            module = call.cost.module
        else:
            module = _module(call, made, read, found)
        found.update(dict.fromkeys(call.writes, module))
        modules.append(module or (call.cost.module if call.cost is not None else ""))
    return modules


def _module(call: KernelCall, made: dict[Value, str], read: dict[bytes, str], found: dict[Value, str]) -> str:
    """The module that the surest kind of evidence names."""
    counted = [made[value] for value in call.reads if value in made] if len(call.reads) == 1 else []
    evidence = (
        [made[value] for value in call.writes if value in made],
        [_parent(value.name) for value in call.reads if value.kind == "state"],
        counted,
        [read[content] for value in call.reads if value.kind == "weight" and (content := _content(value)) in read],
    )
    makers = [module for value, module in found.items() if value in call.reads]
    return next(filter(None, map(_common, evidence)), makers[-1] if makers else "")


def _known_values(program: StepProgram, graph: StepGraph) -> dict[Value, str]:
    """The modules of next states and of spikes, whose names are better known than those of states."""
    states = zip(program.nexts, graph.spec.states, strict=True)
    spikes = zip(program.spikes, graph.spec.spikes, strict=True)
    return {value: _parent(item.name) for value, item in (*states, *spikes) if value.kind == "computed"}


def _stored_names(graph: StepGraph) -> dict[bytes, str]:
    """The modules of small stored weights by their content, of those that one module alone has."""
    found: dict[bytes, str | None] = {}
    for item in graph.model.graph.initializer:
        if _parent(item.name) and np.prod(item.dims) > 1 and item.ByteSize() <= LARGEST_NAMED:
            content, module = _digest(numpy_helper.to_array(item)), _parent(item.name)
            found[content] = module if found.get(content, module) == module else None
    return {content: module for content, module in found.items() if module is not None}


def _content(value: Value) -> bytes:
    return b"" if value.data is None or value.nbytes > LARGEST_NAMED else _digest(value.data)


def _digest(array: np.ndarray) -> bytes:
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
