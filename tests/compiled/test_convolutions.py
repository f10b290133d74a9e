"""Convolutional spiking networks: torch, ONNX Runtime and the compiled step agree, whatever the kernels and batch."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.runtimes import load
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from astroedge.workflows.compile_graph import runs_here
from tests.support import graphs
from tests.support.builds import assert_fires, assert_same_run, build, hashes

TICKS = 60
LEVELS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


class Population(nn.Module):
    """Neurons that leak by 1/8 a tick, fire at 1 and are reset by subtraction."""

    def forward(self, current: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = 0.875 * v + current
        fired = (v >= 1.0).to(v.dtype)
        return fired, v - fired


class Pixels(nn.Module):
    """Two axes: padding, a max pool, groups and a dilation, an average pool, a convolution of a single window."""

    shapes = ((12, 12, 11), (20, 6, 3), (7, 1, 1))

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 12, 5, padding=(2, 1))
        self.second = nn.Conv2d(12, 20, (2, 3), padding=1, dilation=(1, 2), groups=2)
        self.third = nn.Conv2d(20, 7, (3, 1))
        self.neurons = Population()

    def forward(self, x: Tensor, v1: Tensor, v2: Tensor, v3: Tensor) -> tuple[Tensor, ...]:
        s, v1 = self.neurons(self.first(x), v1)
        s, v2 = self.neurons(self.second(nn.functional.max_pool2d(s, 2, padding=1)[:, :, :5, :5]), v2)
        s, v3 = self.neurons(self.third(nn.functional.avg_pool2d(s, 2)), v3)
        return s, v1, v2, v3


class Samples(nn.Module):
    """One axis: a strided convolution, a pool, more than 256 products a window, a branch that is added, a reading."""

    shapes = ((90, 15), (12, 7), (12, 7))

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(3, 90, 4, stride=2, padding=1)
        self.second = nn.Conv1d(90, 12, 3, padding=1)
        self.third = nn.Conv1d(24, 12, 1)
        self.neurons = Population()

    def forward(self, x: Tensor, v1: Tensor, v2: Tensor, v3: Tensor) -> tuple[Tensor, ...]:
        s, v1 = self.neurons(self.first(x), v1)
        a, v2 = self.neurons(self.second(nn.functional.max_pool1d(s, 2)), v2)
        b, v3 = self.neurons(self.third(torch.cat([a, nn.functional.pad(a[..., 1:], (0, 1))], 1)), v3)
        return a + b, v1, v2, v3


INPUTS = {Pixels: (2, 12, 13), Samples: (3, 30)}


@cache
def network(kind: type[nn.Module], on_grid: bool) -> nn.Module:
    """Random weights; on the grid of 1/64, the largest of each output channel 127/64, so that int8 holds them all."""
    torch.manual_seed(1)
    net = kind()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            weight.mul_(3 if name.endswith("weight") else 1)
            if on_grid:
                weight.copy_(torch.round(weight * 64) / 64)
                if weight.ndim > 1:
                    weight.view(len(weight), -1)[:, 0] = 127 / 64
            weight.requires_grad_(False)
    return net.eval()


def events(kind: type[nn.Module], batch: int = 1) -> dict[str, np.ndarray]:
    """One input element in five is active."""
    rng = np.random.default_rng(3)
    return {"x": (rng.random((TICKS, batch, *INPUTS[kind])) < 0.2).astype(np.float32)}


def initial(kind: type[nn.Module], batch: int = 1) -> list[Tensor]:
    """Membranes of zero."""
    return [torch.zeros(batch, *shape) for shape in kind.shapes]  # type: ignore[attr-defined]


@cache
def exported(kind: type[nn.Module], on_grid: bool = True, batch: int = 1) -> StepGraph:
    """The step graph, with firing rates measured on its events."""
    ticks = [(torch.from_numpy(tick),) for tick in events(kind, batch)["x"][:20]]
    state = initial(kind, batch)
    return astroedge.export(network(kind, on_grid), ticks[0], state, output_names=["y"], examples=ticks)


@cache
def bundle(
    kind: type[nn.Module],
    on_grid: bool,
    batch: int = 1,
    target: str = "native",
    kernels: str = "auto",
    precision: str = "float32",
) -> Bundle:
    """The compiled step."""
    return build(exported(kind, on_grid, batch), target, kernels=kernels, precision=precision)


@pytest.mark.parametrize(("kernels", "precision"), [("event", "float32"), ("dense", "float32"), ("event", "int8")])
@pytest.mark.parametrize("kind", [Pixels, Samples])
def test_torch_onnx_runtime_and_the_compiled_step_agree(kind: type[nn.Module], kernels: str, precision: str) -> None:
    """On a grid where every sum is exact, all spikes and membranes are equal at every tick."""
    inputs, compiled = events(kind), bundle(kind, True, kernels=kernels, precision=precision)
    kinds = {matrix.kernel for matrix in compiled.manifest.matrices}
    assert kernels in kinds
    assert {matrix.precision for matrix in compiled.manifest.matrices} == {precision}
    with load(compiled) as session:
        given = assert_same_run(exported(kind), session, inputs)["y"]
        assert_fires(session)
    state = initial(kind)
    for tick, x in enumerate(inputs["x"]):
        y, *state = network(kind, True)(torch.from_numpy(x), *state)
        np.testing.assert_array_equal(given[tick], y.numpy())


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("kind", [Pixels, Samples])
def test_kernel_choice_changes_no_bit(kind: type[nn.Module], precision: str) -> None:
    """With real weights, in two streams at once, event-driven and dense kernels have the same bits."""
    inputs = events(kind, 2)
    event, dense = (bundle(kind, False, 2, kernels=name, precision=precision) for name in ("event", "dense"))
    assert hashes(event, inputs, ["y"]) == hashes(dense, inputs, ["y"])


@pytest.mark.parametrize("kind", [Pixels, Samples])
def test_a_stream_of_a_batch_is_that_stream_alone(kind: type[nn.Module]) -> None:
    """Stream 1 of two gives what it gives by itself."""
    inputs = events(kind, 2)
    with load(bundle(kind, False, 2, kernels="event")) as pair, load(bundle(kind, False)) as single:
        both = pair.run(**inputs)["y"]
        np.testing.assert_array_equal(both[:, 1:], single.run(x=inputs["x"][:, 1:])["y"])
        for name, value in single.states.items():
            np.testing.assert_array_equal(pair.states[name][1:], value)


@pytest.mark.parametrize("level", LEVELS)
def test_instruction_sets_agree(level: str) -> None:
    """SSE, AVX2 and AVX-512 code give the bits of this machine's own code."""
    if not runs_here(resolve_target(level)):
        pytest.skip(f"this processor cannot run {level} code")
    inputs = events(Pixels)
    own, other = (bundle(Pixels, False, target=target) for target in ("native", level))
    assert hashes(own, inputs, ["y"]) == hashes(other, inputs, ["y"])


def _counts() -> StepGraph:
    """Spikes and sums of two are convolved: on rows of an image, on a small one, and pixel by pixel."""
    node = helper.make_node
    shapes = {"rows": (1, 5, 20, 20), "small": (1, 40, 20, 20), "pixels": (1, 3, 20, 20)}
    spec = StepSpec(
        inputs=(TensorSpec("x", (1, 4, 20, 20), "float32"),),
        outputs=tuple(TensorSpec(name, shape, "float32") for name, shape in shapes.items()),
        states=(StateSpec("v", (1, 1), "float32"),),
        spikes=(SpikeSpec("a", "a?", (1, 4, 20, 20), 0.5), SpikeSpec("b", "b?", (1, 4, 20, 20), 0.3)),
    )
    nodes = [
        node("Greater", ["x", "none"], ["a?"]),
        node("Greater", ["x", "half"], ["b?"]),
        node("Cast", ["a?"], ["a"], to=TensorProto.FLOAT),
        node("Cast", ["b?"], ["b"], to=TensorProto.FLOAT),
        node("Add", ["a", "b"], ["both"]),
        node("Conv", ["both", "rows.weight"], ["rows"], pads=[1, 1, 1, 1]),
        node("Conv", ["both", "small.weight"], ["small"], pads=[2, 2, 2, 2]),
        node("Conv", ["a", "pixels.weight"], ["pixels"]),
        node("Identity", ["state.v"], ["next.v"]),
    ]
    rng, kernels = np.random.default_rng(0), {"rows": (5, 4, 3, 3), "small": (40, 4, 5, 5), "pixels": (3, 4, 1, 1)}
    weights = {f"{name}.weight": rng.normal(size=shape).astype(np.float32) for name, shape in kernels.items()}
    return graphs.build("counts", spec, nodes, {"none": np.float32(0), "half": np.float32(0.5), **weights})


def test_products_of_spikes_and_counts_have_one_result() -> None:
    """Fused where a processor can and not where it can't, event-driven and dense: the same bits."""
    inputs = graphs.random_inputs(_counts(), 5)
    levels = [level for level in LEVELS if runs_here(resolve_target(level))] or ["native"]
    ways = [(level, "dense") for level in levels] + [(levels[-1], "event")]
    found = {way: hashes(build(_counts(), way[0], kernels=way[1]), inputs, ["rows", "small", "pixels"]) for way in ways}
    assert all(made == found[ways[0]] for made in found.values())


def _tied() -> StepGraph:
    """One weight tensor in three convolutions: with stride 1, with stride 2, and of three groups of channels."""
    node = helper.make_node
    spec = StepSpec(
        inputs=(
            TensorSpec("x", (1, 2, 8, 16), "float32", firing_rate=0.1),
            TensorSpec("wide", (1, 6, 8, 16), "float32", firing_rate=0.1),
        ),
        outputs=(
            TensorSpec("near", (1, 6, 8, 16), "float32"),
            TensorSpec("far", (1, 6, 8, 8), "float32"),
            TensorSpec("grouped", (1, 6, 8, 16), "float32"),
        ),
        states=(StateSpec("v", (1, 1), "float32"),),
    )
    nodes = [
        node("Conv", ["x", "W"], ["near"], pads=[1, 1, 1, 1]),
        node("Conv", ["x", "W"], ["far"], pads=[1, 1, 1, 1], strides=[1, 2]),
        node("Conv", ["wide", "W"], ["grouped"], pads=[1, 1, 1, 1], group=3),
        node("Identity", ["state.v"], ["next.v"]),
    ]
    weights = graphs.grid_weights(np.random.default_rng(0), 18, 6).T.reshape(6, 2, 3, 3)
    return graphs.build("tied", spec, nodes, {"W": weights})


@pytest.mark.parametrize("kernels", ["event", "dense"])
def test_convolutions_that_share_weights_each_read_them_their_own_way(kernels: str) -> None:
    """Strides and groups decide how weights are packed, so what one convolution reads is not the other's."""
    graph = _tied()
    with load(build(graph, kernels=kernels)) as session:
        given = assert_same_run(graph, session, graphs.random_inputs(graph, 10))
    assert all(np.count_nonzero(array) for array in given.values())
