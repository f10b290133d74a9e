"""Rectified values that are mostly zero are measured, and compiled into products that skip the zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from astroedge.errors import ExportError
from astroedge.exporters import export
from astroedge.exporters.graph.find_activations import find_activations
from astroedge.runtimes import load
from tests.support.builds import build

WIDTH, CODES = 64, 192


class SparseCodes(nn.Module):
    """A leaky memory written and read by squared ReLU codes, of which few are above zero; weights on a 1/64 grid."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.encode, self.decode = nn.Linear(WIDTH, CODES), nn.Linear(CODES, WIDTH, bias=False)
        self.register_buffer("memory", torch.zeros(1, WIDTH))
        for parameter in self.parameters():
            parameter.data = torch.round(parameter.data * 64) / 64
        self.encode.bias.data.fill_(-0.75)

    def forward(self, x: Tensor) -> Tensor:
        """One tick: what is read from the codes joins the memory."""
        code = torch.relu(self.encode(x))
        self.memory = 0.875 * self.memory + self.decode(code.square())
        return self.memory


def frames(ticks: int) -> list[tuple[Tensor]]:
    """Dense random inputs on a grid of 1/4."""
    rng = np.random.default_rng(3)
    return [(torch.from_numpy((rng.integers(-8, 9, (1, WIDTH)) / 4).astype(np.float32)),) for _ in range(ticks)]


def test_a_rectifier_that_lets_little_through_is_an_activation() -> None:
    """The code is found, named after its place in the model and measured; the dense input is not called sparse."""
    graph = export(SparseCodes().eval(), frames(1)[0], examples=frames(80))
    (activation,) = graph.spec.activations
    assert activation.shape == (1, CODES)
    assert 0.02 < activation.firing_rate < 0.4
    assert graph.spec.inputs[0].firing_rate is None


def test_products_of_activations_skip_zeros_and_keep_their_bits() -> None:
    """The decoder reads the squared code by its active elements; forcing the dense kernel gives the same state."""
    graph = export(SparseCodes().eval(), frames(1)[0], examples=frames(80))
    x = np.stack([frame.numpy() for (frame,) in frames(60)])
    states = {}
    for kernels in ("event", "dense"):
        bundle = build(graph, kernels=kernels)
        with load(bundle) as session:
            session.run(x=x)
            states[kernels] = session.state.copy()
            activity = session.activity()
        (decoder,) = [item for item in bundle.manifest.matrices if item.rows == CODES]
        assert decoder.kernel == kernels
        if kernels == "event":
            assert decoder.spikes is not None
            assert 0.02 < activity[decoder.spikes].firing_rate < 0.4
    assert np.array_equal(states["event"], states["dense"])


def test_clip_and_max_at_zero_are_rectifiers_and_others_are_not() -> None:
    """What keeps negative values, or lifts to another bound, leaves no zeros to skip."""
    node = helper.make_node
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("Clip", ["x", "zero", "six"], ["b"]),
        node("Max", ["zero", "x"], ["c"]),
        node("Clip", ["x", "minus", "six"], ["d"]),
        node("Max", ["x", "six"], ["e"]),
        node("Clip", ["x", "", "six"], ["f"]),
    ]
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    bounds = {"zero": 0.0, "six": 6.0, "minus": -1.0}
    stored = [numpy_helper.from_array(np.float32(number), name) for name, number in bounds.items()]
    found = find_activations(helper.make_graph(nodes, "g", [value], [], stored), ["activation"])
    assert [item.tensor for item in found] == ["a", "b", "c"]
    assert len({item.name for item in found} | {"activation"}) == 4


class Counts(nn.Module):
    """Neurons that fire 0 to 4 times a tick, heard at once and, out of a ring buffer, two ticks later."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.now, self.later = nn.Linear(WIDTH, 8), nn.Linear(WIDTH, 8)
        self.v, self.ring, self.place = torch.zeros(1, WIDTH), torch.zeros(2, 1, WIDTH), torch.tensor(0)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One tick; the counts are given out too."""
        self.v = 0.5 * self.v + x
        counts = torch.clamp(torch.round(self.v), 0, 4)
        self.v = self.v - counts
        old = self.ring[self.place]
        self.ring = torch.index_copy(self.ring, 0, self.place[None], counts[None])
        self.place = (self.place + 1) % 2
        return self.now(counts), self.later(old), counts


def test_a_rate_is_the_fraction_that_is_not_zero_whatever_the_values() -> None:
    """Counts are not zero as often as any of their values; what nothing follows through a state is measured."""
    ticks = frames(80)
    graph = export(Counts().eval(), ticks[0], examples=ticks)
    model = Counts().eval()
    counts = torch.stack([model(*tick)[2] for tick in ticks])
    rates = {item.name: item.firing_rate for item in graph.spec.activations}
    assert set(counts.unique().tolist()) >= {0.0, 1.0, 2.0}
    assert rates["activation"] == pytest.approx((counts != 0).float().mean().item())
    assert rates["ring"] == pytest.approx((counts[:-2] != 0).float().sum().item() / counts.numel(), abs=0.01)


def test_an_input_that_is_mostly_zero_is_sparse_and_a_declared_rate_wins() -> None:
    """Event counts are read by their active elements; what the caller declares replaces what the example shows."""
    counts = [(torch.where(x > 1.5, x, 0),) for (x,) in frames(80)]
    (measured,) = export(SparseCodes().eval(), counts[0], examples=counts).spec.inputs
    assert measured.firing_rate == pytest.approx(np.mean([(x != 0).float().mean() for (x,) in counts]))
    (declared,) = export(SparseCodes().eval(), frames(1)[0], firing_rates={"x": 0.03}).spec.inputs
    assert declared.firing_rate == 0.03


@pytest.mark.parametrize(("rates", "problem"), [({"y": 0.1}, "no input"), ({"x": 0.0}, "above 0")])
def test_a_wrong_declaration_is_refused(rates: dict[str, float], problem: str) -> None:
    """A rate for an unknown input, or one that is no fraction, is an error."""
    with pytest.raises(ExportError, match=problem):
        export(SparseCodes().eval(), frames(1)[0], firing_rates=rates)
