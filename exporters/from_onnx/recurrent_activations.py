"""The activations that ONNX's recurrent operators may name, written with operators of their own.

Which of them takes an alpha or a beta, and the values where a graph gives none, are those of ONNX Runtime, which is
where ONNX's document leaves them open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from astroedge.exporters.from_onnx.known_values import DType
from astroedge.step.node_builder import NodeBuilder

PARAMETERS: dict[str, tuple[float, ...]] = {
    "Affine": (0.0, 0.0),
    "Elu": (1.0,),
    "HardSigmoid": (0.2, 0.5),
    "LeakyRelu": (0.01,),
    "Relu": (),
    "ScaledTanh": (0.0, 0.0),
    "Sigmoid": (),
    "Softplus": (),
    "Softsign": (),
    "Tanh": (),
    "ThresholdedRelu": (0.0,),
}
"""Every activation with the alpha, or alpha and beta, that it has where none is given."""


@dataclass(frozen=True)
class Activation:
    """One activation of a gate; `parameters` are its alpha and beta, as far as it has them."""

    name: str
    parameters: tuple[float, ...] = ()

    def write(self, builder: NodeBuilder, x: str, dtype: DType) -> str:
        """Append the nodes that apply it to the value `x` of `dtype`; the name of the result."""
        if self.name == "Affine":
            return self._scaled(builder, x, dtype, *self.parameters)
        if self.name == "ScaledTanh":
            alpha, beta = self.parameters
            return self._scaled(builder, builder.op("Tanh", [self._scaled(builder, x, dtype, beta)]), dtype, alpha)
        given: dict[str, Any] = dict(zip(("alpha", "beta"), self.parameters, strict=False))
        return builder.op(self.name, [x], **given)

    def _scaled(self, builder: NodeBuilder, x: str, dtype: DType, factor: float, offset: float = 0.0) -> str:
        scaled = x if factor == 1 else builder.op("Mul", [x, builder.constant(factor, dtype, "factor")])
        return scaled if offset == 0 else builder.op("Add", [scaled, builder.constant(offset, dtype, "offset")])


def read_activations(
    names: Sequence[str], alphas: Sequence[float], betas: Sequence[float]
) -> Iterator[Activation | None]:
    """The activations in order, None for an unknown one; each takes the next alpha and beta that it has a use for."""
    known = {name.lower(): name for name in PARAMETERS}
    given = [iter(alphas), iter(betas)]
    for name in names:
        full = known.get(name.lower())
        if full is None:
            yield None
            continue
        usual = PARAMETERS[full]
        yield Activation(full, tuple(next(values, value) for values, value in zip(given, usual, strict=False)))
