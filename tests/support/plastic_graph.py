"""A step whose states are matrices that change where something fired, written in every way that says so, or fails to.

Two streams of `ROWS` neurons before the synapses and `COLUMNS` after them, both given as inputs of 0 and 1.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper

from astroedge.step.graph import StepGraph
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from tests.support import graphs

STREAMS, ROWS, COLUMNS, SLOTS = 2, 40, 75, 9
KEPT = ("either", "both", "sum", "product", "maximum", "unequal", "wired", "gated", "after", "nested", "ring", "counts")
"""The states that provably stay as they are where nothing fired."""

REWRITTEN = ("clipped", "added", "shown", "late", "negated", "mixed")
"""Those of which that cannot be proved, and those that cannot be updated in place."""


def _spec() -> StepSpec:
    """What the step takes, gives and keeps."""
    shapes = dict.fromkeys((*KEPT, *REWRITTEN), (STREAMS, ROWS, COLUMNS))
    shapes["ring"] = (STREAMS, SLOTS, COLUMNS)
    kinds = {"counts": "int32"}
    return StepSpec(
        inputs=(
            TensorSpec("pre", (STREAMS, ROWS), "float32", firing_rate=0.05),
            TensorSpec("post", (STREAMS, COLUMNS), "float32", firing_rate=0.03),
            TensorSpec("x", (STREAMS, ROWS), "float32"),
            TensorSpec("slot", (STREAMS, 1, 1), "int64", value_range=(0, SLOTS)),
        ),
        outputs=(TensorSpec("y", (STREAMS, ROWS, COLUMNS), "float32"),),
        states=tuple(StateSpec(name, shape, kinds.get(name, "float32")) for name, shape in shapes.items()),
    )


def plastic_graph() -> StepGraph:
    """The step: `pre` and `post` are spikes, `x` is what is learnt from, `slot` a number of 0 to SLOTS − 1."""
    nodes: list[object] = []

    def node(kind: str, inputs: str, output: str, **attributes: int) -> str:
        nodes.append(helper.make_node(kind, inputs.split(), [output], **attributes))
        return output

    def choose(state: str, condition: str, changed: str = "") -> None:
        changed = changed or node("Add", f"state.{state} step", f"changed.{state}")
        node("Where", f"{condition} {changed} state.{state}", f"next.{state}")

    node("Unsqueeze", "pre axis2", "row")
    node("Unsqueeze", "post axis1", "column")
    node("Unsqueeze", "x axis2", "learnt")
    node("Mul", "learnt column", "part")
    node("Add", "part tiny", "step")
    fired = [node("Greater", f"{side} half", f"{side}.fired") for side in ("row", "column")]
    either = node("Or", " ".join(fired), "any")
    choose("either", either)
    choose("both", node("And", " ".join(fired), "all"))
    for state, kind in {"sum": "Add", "product": "Mul", "maximum": "Max"}.items():
        choose(state, node("Greater", f"{node(kind, 'row column', f'{state}.spikes')} zero", f"{state}.fired"))
    node("Equal", f"{node('Max', 'row column', 'unequal.spikes')} zero", "silent")
    node("Where", f"silent state.unequal {node('Add', 'state.unequal step', 'changed.unequal')}", "next.unequal")
    choose("wired", node("And", f"wiring {either}", "wired.fired"))
    choose("gated", node("And", f"{node('Greater', 'slot third', 'gate')} {either}", "gated.fired"))
    choose("after", fired[1])
    inner = node("Where", f"{fired[0]} {node('Sub', 'state.nested tiny', 'less')} state.nested", "inner")
    node("Where", f"{fired[1]} {node('Add', 'inner step', 'stepped')} {inner}", "next.nested")
    node("Where", f"{node('Equal', 'slots slot', 'due')} column state.ring", "next.ring")
    node("Mul", "row column", "pairs")
    node("Cast", "all", "pairs.int", to=TensorProto.INT32)
    node("Add", "state.counts pairs.int", "next.counts")
    node("Mul", "pairs tiny", "small")
    node("Add", "state.clipped small", "unclipped")
    node("Clip", "unclipped low high", "next.clipped")
    node("Add", "state.added small", "next.added")
    choose("shown", either)
    node("Identity", "state.shown", "y.shown")
    choose("late", either)
    node("Neg", "next.late", "negative")
    node("Add", "negative state.late", "y.late")
    node("Where", f"{either} step {node('Neg', 'state.negated', 'opposite')}", "next.negated")
    choose("mixed", node("Greater", "state.mixed tiny", "mixed.fired"))
    node("Add", "y.shown y.late", "y")
    wiring = np.random.default_rng(0).random((ROWS, COLUMNS)) < 0.15
    constants = {
        "axis1": np.int64([1]), "axis2": np.int64([2]), "half": np.float32(0.5), "zero": np.float32(0),
        "tiny": np.float32(0.01), "low": np.float32(-1), "high": np.float32(1), "wiring": wiring,
        "third": np.int64(3), "slots": np.arange(SLOTS)[:, None],
    }  # fmt: skip
    return graphs.build("plastic", _spec(), nodes, constants)  # type: ignore[arg-type]
