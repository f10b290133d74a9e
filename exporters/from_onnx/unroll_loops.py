"""Loop and Scan of a known number of turns, written out turn by turn.

A Loop that goes on as data says takes its largest number of turns, if that is known, and behind its last one keeps what
it carries. It cannot be held if it stacks results up: how many there are is then a question of data too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NoReturn

import numpy as np
import onnx
from onnx import helper, numpy_helper

from astroedge.errors import UnsupportedOpError
from astroedge.exporters.from_onnx.inline_body import inline_body
from astroedge.exporters.from_onnx.known_values import Array, KnownValues
from astroedge.step.graph_index import attributes
from astroedge.step.node_builder import NodeBuilder

UNROLLED = 1024
"""How many turns of a loop, or elements of a sequence, a step may hold written out."""
LARGEST = 1 << 15
"""How many nodes may stand for one loop."""


def unrolled(node: onnx.NodeProto, known: KnownValues, taken: set[str]) -> list[onnx.NodeProto] | None:
    """The nodes that stand for a Loop or Scan; None for one whose turns are not known, and for any other node.

    Raises UnsupportedOpError, which names the operator, for more turns than a step can hold.
    """
    if node.op_type == "Loop":
        return _Loop(node, known, taken).written()
    if node.op_type == "Scan":
        return _Scan(node, known, taken).written()
    return None


class _Turns:
    """An operator with a body, on its way to being written out."""

    def __init__(self, node: onnx.NodeProto, known: KnownValues, taken: set[str]) -> None:
        self._node, self._known, self._taken = node, known, taken
        self._options = attributes(node)
        self._body: onnx.GraphProto = self._options["body"]
        self._builder = NodeBuilder(node, taken)
        self._base = next((name for name in node.output if name), node.op_type)

    def _inlined(self, turn: int, arguments: Sequence[str]) -> list[str]:
        """Write the body once more; the names of its results."""
        if turn >= UNROLLED or len(self._builder.nodes) > LARGEST:
            self._refuse(f"more than {turn} turns, written out one by one")
        nodes, results = inline_body(self._body, arguments, f"{self._base}/{turn}", self._taken)
        self._builder.nodes.extend(item for item in nodes if not self._known.learn(item))
        return results

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedOpError(
            f"The graph's {self._node.op_type} that makes {self._base!r} takes {what}, which no step can hold; give a "
            "graph of one tick."
        )

    def _stored(self, value: Array, name: str) -> str:
        """A constant among the nodes."""
        full = self._builder.name(name)
        self._builder.nodes.append(helper.make_node("Constant", [], [full], value=numpy_helper.from_array(value)))
        self._known.values[full] = value
        return full

    def _stack(self, values: Sequence[str], axis: int, output: str) -> None:
        """Put results of all turns side by side along a new axis."""
        axes = self._stored(np.array([axis]), "axis")
        layers = [self._builder.op("Unsqueeze", [value, axes]) for value in values]
        self._builder.op("Concat", layers, output, axis=axis)


class _Loop(_Turns):
    """A Loop; `_carried` is what the turns so far have made of what it carries, `_active` whether it goes on."""

    def written(self) -> list[onnx.NodeProto] | None:
        """The nodes, in order; None where only data tells how many turns a result takes."""
        limit = self._known.values.get(self._node.input[0], np.array(np.iinfo(np.int64).max))
        if self._node.input[0] and self._node.input[0] not in self._known.values:
            return None
        self._carried = list(self._node.input[2:])
        self._active = self._node.input[1] if len(self._node.input) > 1 else ""
        stacks: list[list[str]] = [[] for _ in self._body.output[1 + len(self._carried) :]]
        turn, most = 0, int(limit.reshape(-1)[0])
        while turn < most and self._runs():
            if self._depends() and (stacks or most > UNROLLED or self._carries_sequences()):
                return None
            for stack, value in zip(stacks, self._turn(turn), strict=True):
                stack.append(value)
            turn += 1
        return self._results(stacks)

    def _depends(self) -> bool:
        """Whether data says if the next turn is taken."""
        return bool(self._active) and self._active not in self._known.values

    def _runs(self) -> bool:
        """Whether there is, or may be, another turn."""
        value = self._known.values.get(self._active)
        return value is None or bool(value.reshape(-1)[0])

    def _carries_sequences(self) -> bool:
        return any(not value.type.HasField("tensor_type") for value in self._body.output)

    def _turn(self, number: int) -> list[str]:
        """Write one turn; what it adds to the stacks."""
        index = self._stored(np.array(number, np.int64), "turn")
        condition = self._active or self._stored(np.array(True), "condition")
        depends, before, count = self._depends(), self._carried, len(self._carried)
        following, *made = self._inlined(number, [index, condition, *before])
        self._carried, self._active = made[:count], following
        if depends:
            chosen = self._scalar(condition)
            self._carried = [
                self._builder.op("Where", [chosen, *pair]) for pair in zip(self._carried, before, strict=True)
            ]
            self._active = self._builder.op("And", [chosen, self._scalar(following)])
        return made[count:]

    def _scalar(self, condition: str) -> str:
        return self._builder.op("Reshape", [condition, self._stored(np.array([], np.int64), "shape")])

    def _results(self, stacks: Sequence[Sequence[str]]) -> list[onnx.NodeProto] | None:
        outputs = [*self._node.output, *[""] * (len(self._carried) + len(stacks) - len(self._node.output))]
        for value, output in zip(self._carried, outputs, strict=False):
            if output:
                self._builder.op("Identity", [value], output)
        for stack, output in zip(stacks, outputs[len(self._carried) :], strict=True):
            if output and not stack:
                return None
            if output:
                self._stack(stack, 0, output)
        return self._builder.nodes


class _Scan(_Turns):
    """A Scan of opset 9 or later: states first, then the inputs that it goes through."""

    def written(self) -> list[onnx.NodeProto] | None:
        """The nodes, in order; None where the length of what it goes through is not known."""
        count = self._options["num_scan_inputs"]
        states, sources = list(self._node.input[:-count]), list(self._node.input[-count:])
        if any(source not in self._known.types.shapes for source in sources):
            return None
        axes = self._listed("scan_input_axes", count)
        length = self._known.types.shapes[sources[0]][axes[0]]
        if length > UNROLLED:
            self._refuse(f"{length} turns, written out one by one, at most {UNROLLED}")
        directions = self._listed("scan_input_directions", count)
        layers = [list(self._layers(*item, length)) for item in zip(sources, axes, directions, strict=True)]
        stacks: list[list[str]] = [[] for _ in self._body.output[len(states) :]]
        for turn in range(length):
            made = self._inlined(turn, [*states, *(layer[turn] for layer in layers)])
            states = made[: len(states)]
            for stack, value in zip(stacks, made[len(states) :], strict=True):
                stack.append(value)
        return self._results(states, stacks)

    def _listed(self, name: str, count: int) -> list[int]:
        """One number for each input or result, 0 where the attribute is left out."""
        return list(self._options.get(name, [0] * count))

    def _layers(self, source: str, axis: int, backwards: int, length: int) -> Iterator[str]:
        """What each turn reads of an input."""
        pieces = [source]
        if length > 1:
            sizes = self._stored(np.ones(length, np.int64), "sizes")
            names = [self._builder.name("layer") for _ in range(length)]
            pieces = self._builder.ops("Split", [source, sizes], names, axis=axis)
        axes = self._stored(np.array([axis]), "axis")
        for piece in reversed(pieces) if backwards else pieces:
            yield self._builder.op("Squeeze", [piece, axes])

    def _results(self, states: Sequence[str], stacks: Sequence[Sequence[str]]) -> list[onnx.NodeProto] | None:
        outputs = self._node.output
        for value, output in zip(states, outputs, strict=False):
            if output:
                self._builder.op("Identity", [value], output)
        axes = self._listed("scan_output_axes", len(stacks))
        directions = self._listed("scan_output_directions", len(stacks))
        for stack, axis, backwards, output in zip(stacks, axes, directions, outputs[len(states) :], strict=False):
            if output and not stack:
                return None
            if output:
                self._stack(stack[::-1] if backwards else stack, axis, output)
        return self._builder.nodes
