"""What a random network is, as plain data: its repr is Python that builds the same network again."""

from __future__ import annotations

from dataclasses import dataclass

INPUT = -1
"""The source of an edge that reads the network's input."""


@dataclass(frozen=True)
class Edge:
    """A connection from `source`, a population or INPUT.

    A population's own spikes and those of later ones arrive a tick late. `delay` ticks are added by a delay line
    written in the style `line`, whose state is kept as `memory` says, in elements of `dtype`.
    """

    source: int
    delay: int = 0
    line: str = "cat"
    memory: str = "buffer"
    dtype: str = "float32"
    bias: bool = False


@dataclass(frozen=True)
class Convolution:
    """How a population reads an image or a sequence; `pool` ("max", "average") halves it, before or after."""

    channels: int
    kernel: int
    stride: int
    padding: int
    pool: str | None
    pools_first: bool


def extent_after(convolution: Convolution, pixels: int) -> int:
    """How many pixels along an axis a convolution and its pool leave of `pixels`."""
    if convolution.pool and convolution.pools_first:
        pixels //= 2
    pixels = (pixels + 2 * convolution.padding - convolution.kernel) // convolution.stride + 1
    return pixels // 2 if convolution.pool and not convolution.pools_first else pixels


@dataclass(frozen=True)
class Population:
    """Neurons of one kind, `cell` one of tests.conformance.neuron_equations.

    `join` says how several sources meet: matrix products added ("sum"), one product of all ("concat"), or a product of
    the added spikes ("add"). `reset` is "subtract", "zero", "value" or "none", `late` takes it from the membrane of the
    tick before, `strict` fires above the threshold only, `spike` is the way in which PyTorch makes spikes, `start` what
    the membrane starts from, `memory` where the state is kept, `echo` where the last spikes are for those who read them
    late, in elements of `echo_dtype`.
    """

    cell: str
    width: int
    edges: tuple[Edge, ...]
    join: str = "sum"
    reset: str = "subtract"
    late: bool = False
    strict: bool = False
    spike: str = "cast"
    threshold: float = 1.0
    start: str = "zero"
    memory: str = "buffer"
    echo: str = "buffer"
    echo_dtype: str = "float32"
    normalised: bool = False
    convolution: Convolution | None = None


@dataclass(frozen=True)
class Net:
    """A network of `populations`, which tick in their order.

    `input` is "spikes", "numbers", "tokens", "image" or "channels", of `width` elements, tokens, or pixels along each
    axis. `outputs` are pairs of what is given out and of which population. `states` is how explicit state is passed:
    "flat", "dict" or "nested". With `exact` every sum is exact in float32.
    """

    input: str
    width: int
    populations: tuple[Population, ...]
    outputs: tuple[tuple[str, int], ...]
    batch: int = 1
    states: str = "flat"
    exact: bool = True
    seed: int = 0

    def read_late(self, index: int) -> bool:
        """Whether some population reads the spikes of population `index` a tick late, or they are an output so."""
        late = any(
            edge.source == index and reader <= index
            for reader, population in enumerate(self.populations)
            for edge in population.edges
        )
        return late or ("late", index) in self.outputs
