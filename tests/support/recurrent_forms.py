"""Recurrent operators in all their forms, many of them in one ONNX graph as somebody else's tools write it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from tests.support.foreign_onnx import model_of, value

LENGTH, BATCH, WIDTH, HIDDEN = 3, 2, 3, 4
ROWS = {"LSTM": 4 * HIDDEN, "GRU": 3 * HIDDEN, "RNN": HIDDEN}


@dataclass(frozen=True)
class Form:
    """One call: `lengths` are those of the streams, "fed" for an input; `wanted` says which results are asked for."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    bias: bool = True
    initial: bool = True
    computed: bool = False
    peepholes: bool = False
    lengths: list[int] | str | None = None
    wanted: tuple[bool, bool, bool] = (True, True, True)

    @property
    def ways(self) -> int:
        """Directions."""
        return 2 if self.options.get("direction") == "bidirectional" else 1


def recurrent_step(forms: Sequence[Form], layout: int = 0) -> onnx.ModelProto:
    """A step in which all `forms` read the sequence `x`, beside a state `ticks` that counts.

    First states are `h1` and `c1`, in both directions `h2` and `c2`. Lengths that are fed are `lengths`, and computed
    weights are scaled by `scale`.
    """
    random, stored = np.random.default_rng(3), {"one": np.ones(1, np.float32)}
    nodes, outputs = [helper.make_node("Add", ["ticks", "one"], ["ticks_out"])], [value("ticks_out", [1])]
    for place, form in enumerate(forms):
        rows = ROWS[form.kind]
        shapes = {"w": (rows, WIDTH), "r": (rows, HIDDEN), "b": (2 * rows,), "p": (3 * HIDDEN,)}
        names = {name: f"{name}_{place}" for name in shapes}
        stored |= {
            names[name]: (random.standard_normal((form.ways, *shape)) / 2).astype(np.float32)
            for name, shape in shapes.items()
        }
        if form.computed:
            nodes.append(helper.make_node("Mul", [names["w"], "scale"], [f"scaled_{place}"]))
            names["w"] = f"scaled_{place}"
        if isinstance(form.lengths, list):
            stored[f"lengths_{place}"] = np.array(form.lengths, np.int32)
        lengths = {"list": f"lengths_{place}", "str": "lengths"}.get(type(form.lengths).__name__, "")
        states = [f"{name}{form.ways}" if form.initial else "" for name in ("h", "c")]
        inputs = ["x", names["w"], names["r"], names["b"] if form.bias else "", lengths, *states]
        count = 2 if form.kind == "LSTM" else 1
        inputs = [*inputs[: 5 + count], *([names["p"]] if form.peepholes else [])]
        made = [f"{name}_{place}" * asked for name, asked in zip(("y", "yh", "yc"), form.wanted, strict=True)]
        options = form.options | {"layout": layout}
        nodes.append(helper.make_node(form.kind, inputs, made[: 1 + count], hidden_size=HIDDEN, **options))
        axes: list[int | str] = ["open"] * 4
        outputs += [value(name, axes[: 4 if name == made[0] else 3]) for name in made[: 1 + count] if name]
    fed = [*(value(name, list(shape)) for name, shape in _shapes(layout).items()), value("ticks", [1])]
    return model_of(nodes, [*fed, value("lengths", [BATCH], TensorProto.INT32)], outputs, **stored)


def ticks(layout: int = 0) -> list[dict[str, np.ndarray]]:
    """Three ticks of its inputs; lengths from none to all."""
    random = np.random.default_rng(5)
    return [
        {name: random.standard_normal(shape).astype(np.float32) for name, shape in _shapes(layout).items()}
        | {"lengths": np.array(lengths, np.int32)}
        for lengths in ([0, 3], [2, 1], [3, 3])
    ]


def _shapes(layout: int) -> dict[str, tuple[int, ...]]:
    """Those of the inputs that are numbers."""
    states = {
        f"{name}{ways}": (BATCH, ways, HIDDEN) if layout else (ways, BATCH, HIDDEN)
        for name in ("h", "c")
        for ways in (1, 2)
    }
    return {"x": (BATCH, LENGTH, WIDTH) if layout else (LENGTH, BATCH, WIDTH), "scale": (1,), **states}
