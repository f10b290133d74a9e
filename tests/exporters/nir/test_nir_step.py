"""NIR files as a whole: loops, layers, nested graphs, the frameworks' own files, damaged ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

nir = pytest.importorskip("nir")

import astroedge  # noqa: E402  (after the check that nir is there)
from astroedge.errors import AstroEdgeError, ExportError, InputError, UnsupportedOpError  # noqa: E402
from astroedge.exporters.nir.nir_step import read_nir  # noqa: E402
from tests.support.nir_files import (  # noqa: E402
    DT,
    SIZE,
    TICKS,
    assert_active,
    chain,
    full,
    grid,
    read,
    run,
    spikes,
    write,
)

X = spikes(TICKS, SIZE)
ENDS = {"input": nir.Input(np.array([SIZE])), "output": nir.Output(np.array([SIZE]))}
WEIGHT, BIAS, RECURRENT = (
    grid(SIZE, SIZE, scale=0.3),
    grid(SIZE, scale=0.1, seed=3),
    grid(SIZE, SIZE, scale=0.2, seed=4),
)


def lif(threshold: float = 0.75) -> object:
    """A LIF that keeps 7/8 of its membrane and adds its input."""
    return nir.LIF(full(8 * DT), full(8), full(0), full(threshold), full(0))


def recurrent_reference(bias: np.ndarray, ticks: int = 1) -> np.ndarray:
    """A layer with recurrent weights that read the spikes of `ticks` ticks ago."""
    v, fired = np.zeros(SIZE), [np.zeros(SIZE)] * ticks
    for x in X:
        v = (v - v / 8 + (WEIGHT @ x + (RECURRENT @ fired[-ticks] + bias))).astype(np.float32)
        fired.append(v > 0.75)
        v = np.where(v > 0.75, 0, v)
    return np.array(fired[ticks:], np.float32)


LATE = DT * (np.arange(SIZE) % 4)
RECURRENT_EDGES = [("input", "w"), ("w", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")]


def test_output_may_declare_axes_of_length_one(tmp_path: Path) -> None:
    """An Output computes nothing: one that declares (1, n, 1) gives the n values that reach it, with a note."""
    path = chain(tmp_path, nir.Linear(WEIGHT), lif(), inputs=(SIZE,), outputs=(1, SIZE, 1))
    step = read_nir(path, DT)
    assert step(*step.example_inputs(), *step.initial_state())[0].shape == (1, SIZE)
    assert any(f"declares shape (1, {SIZE}, 1)" in note for note in step.notes)


def test_recurrent_edge_is_one_tick_late(tmp_path: Path) -> None:
    """Recurrent weights and their bias work on the spikes of the tick before; the exported graph does the same."""
    nodes = {**ENDS, "w": nir.Linear(WEIGHT), "lif": lif(), "rec": nir.Affine(RECURRENT, BIAS)}
    step = read(write(tmp_path, nodes, RECURRENT_EDGES, check=False))
    found = run(step, X)
    assert_active(found)
    np.testing.assert_array_equal(found, recurrent_reference(BIAS))
    assert step.state_names == ["lif.last", "lif.v"]
    graph = astroedge.export(step, step.example_inputs(2), step.initial_state(2))
    assert [state.name for state in graph.spec.states] == step.state_names
    assert graph.spec.states[0].shape == (2, SIZE)


def test_compiled_bundle_spikes_as_the_equations(tmp_path: Path) -> None:
    """A recurrent graph with a delay, compiled, free-runs all ticks with every spike where NumPy has it."""
    nodes = {**ENDS, "w": nir.Linear(WEIGHT), "lif": lif(), "rec": nir.Affine(RECURRENT, BIAS), "late": nir.Delay(LATE)}
    edges = [*RECURRENT_EDGES[:4], ("lif", "late"), ("late", "output")]
    step = read(write(tmp_path, nodes, edges, check=False))
    graph = astroedge.export(step, step.example_inputs(), step.initial_state(), examples=[torch.from_numpy(X[:1])])
    astroedge.compile(graph, "native").save(tmp_path / "net.astro")
    session = astroedge.load(tmp_path / "net.astro")
    found = np.array([session.step(input=x[None])["output"][0] for x in X])
    session.close()
    assert_active(found)
    expected = recurrent_reference(BIAS)
    for element, delay in enumerate(np.rint(LATE / DT).astype(int)):
        np.testing.assert_array_equal(found[delay:, element], expected[: TICKS - delay, element])


def test_nested_graph(tmp_path: Path) -> None:
    """A graph inside the graph, as snnTorch writes its recurrent layers, is the same as the graph laid flat."""
    inner = nir.NIRGraph(
        nodes={**ENDS, "lif": lif(), "rec": nir.Affine(RECURRENT, BIAS)},
        edges=[("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    nodes = {**ENDS, "w": nir.Linear(WEIGHT), "layer": inner}
    step = read(write(tmp_path, nodes, [("input", "w"), ("w", "layer"), ("layer", "output")], check=False))
    assert step.state_names == ["layer.lif.last", "layer.lif.v"]
    np.testing.assert_array_equal(run(step, X), recurrent_reference(BIAS))


def test_delay_in_a_loop_is_its_whole_delay(tmp_path: Path) -> None:
    """A loop through a Delay gets no further tick."""
    nodes = {
        **ENDS,
        "w": nir.Linear(WEIGHT),
        "lif": lif(),
        "late": nir.Delay(full(3 * DT)),
        "rec": nir.Linear(RECURRENT),
    }
    edges = [*RECURRENT_EDGES[:2], ("lif", "late"), ("late", "rec"), ("rec", "lif"), ("lif", "output")]
    found = run(read(write(tmp_path, nodes, edges, check=False)), X)
    assert_active(found)
    np.testing.assert_array_equal(found, recurrent_reference(np.zeros(SIZE), 3))


def test_layers(tmp_path: Path) -> None:
    """Convolution, pooling, scale, flatten and threshold do what PyTorch's do, bias included."""
    image, weight = (2, 8, 6), grid(4, 2, 3, 2, scale=0.3)
    nodes = [
        nir.Conv2d((8, 6), weight, 1, (1, 1), 1, 1, grid(4, scale=0.5)),
        nir.SumPool2d(np.array([2, 3]), np.array([2, 2]), np.array([0, 0])),
        nir.AvgPool2d(np.array([2, 1]), np.array([2, 1]), np.array([0, 0])),
        nir.Flatten(np.array([4, 2, 3]), 0, -1),
        nir.Scale(full(0.5, 24)),
        nir.Threshold(full(0.25, 24)),
        nir.Affine(grid(SIZE, 24, scale=0.3), BIAS),
        lif(),
    ]
    ticks = spikes(TICKS, *image)
    found = run(read(chain(tmp_path, *nodes, inputs=image, outputs=(SIZE,))), ticks)
    x = torch.nn.functional.conv2d(
        torch.from_numpy(ticks), torch.tensor(weight).float(), torch.tensor(nodes[0].bias).float(), padding=1
    )
    x = torch.nn.functional.avg_pool2d(x, (2, 3), 2, divisor_override=1)
    x = torch.nn.functional.avg_pool2d(x, (2, 1)).flatten(1).double().numpy() * 0.5
    driven = (x > 0.25) @ nodes[6].weight.T + BIAS
    v = np.zeros(SIZE)
    for tick, drive in enumerate(driven):
        v = v - v / 8 + drive
        np.testing.assert_array_equal(found[tick], v > 0.75)
        v = np.where(v > 0.75, 0, v).astype(np.float32).astype(np.float64)
    assert_active(found)


def test_conv1d_with_groups(tmp_path: Path) -> None:
    """A grouped Conv1d keeps its groups, stride and dilation."""
    weight = grid(4, 1, 3, scale=0.5)
    node = nir.Conv1d(10, weight, 2, 1, 2, 2, grid(4))
    x = spikes(TICKS, 2, 10)
    found = run(
        read(
            chain(
                tmp_path,
                node,
                nir.LI(np.full((4, 4), DT), np.ones((4, 4)), np.zeros((4, 4))),
                inputs=(2, 10),
                outputs=(4, 4),
            )
        ),
        x,
    )
    expected = torch.nn.functional.conv1d(
        torch.from_numpy(x), torch.tensor(weight).float(), torch.tensor(grid(4)).float(), 2, 1, 2, 2
    )
    np.testing.assert_array_equal(found, expected.numpy())


def write_snntorch(path: Path, neurons: torch.nn.Module) -> torch.nn.Module:
    """A layer of snnTorch's on a grid, and the file that snnTorch's own exporter makes of it."""
    export_to_nir = pytest.importorskip("snntorch.export_nir").export_to_nir
    net = torch.nn.Sequential(on_grid(torch.nn.Linear(SIZE, SIZE)), neurons).eval()
    nir.write(path, export_to_nir(net, torch.from_numpy(X[0])))
    neurons.reset_mem()
    return net


def on_grid(linear: torch.nn.Linear) -> torch.nn.Linear:
    """The same layer with this file's weights."""
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(WEIGHT))
        linear.bias.copy_(torch.tensor(BIAS))
    return linear


def run_torch(net: torch.nn.Module) -> np.ndarray:
    """What a network of a framework gives over all ticks."""
    with torch.no_grad():
        results = [net(torch.from_numpy(x[None])) for x in X]
    return np.array([(result[0] if isinstance(result, tuple) else result).numpy()[0] for result in results])


@pytest.mark.parametrize(
    ("cell", "options", "choices"),
    [
        ("Leaky", {"reset_mechanism": "zero", "reset_delay": False}, {"reset": "value"}),
        ("Leaky", {}, {"reset": "later"}),
        ("Synaptic", {"alpha": torch.full((SIZE,), 0.5)}, {"reset": "later", "current": "new", "input": "held"}),
        ("RLeaky", {"linear_features": SIZE}, {"reset": "later"}),
    ],
)
def test_snntorch_file(tmp_path: Path, cell: str, options: dict[str, object], choices: dict[str, str]) -> None:
    """snnTorch's own file spikes as snnTorch does: its default reset is the one that takes place a tick later."""
    snntorch = pytest.importorskip("snntorch")
    settings = {"beta": torch.full((SIZE,), 0.875), "threshold": torch.full((SIZE,), 0.75), "init_hidden": True}
    neurons = getattr(snntorch, cell)(**settings, **options)
    if cell == "RLeaky":
        on_grid(neurons.recurrent)
    net = write_snntorch(tmp_path / "net.nir", neurons)
    found = run(read_nir(tmp_path / "net.nir", 1e-4, choices), X)
    assert_active(found)
    # tau = dt / (1 - beta) is no exact number, so the two round apart, but not at these thresholds.
    np.testing.assert_array_equal(found, run_torch(net))


def test_source_is_the_package_that_wrote_the_file(tmp_path: Path) -> None:
    """A step graph of a file names NIR, with the version in the file, and PyTorch below it."""
    step = read(chain(tmp_path, lif()), reset="value")
    source = astroedge.export(step, step.example_inputs(), step.initial_state()).spec.source
    assert source == {"framework": "nir", "version": step.version, "torch": torch.__version__}


def test_reset_to_zero_is_doubted(tmp_path: Path) -> None:
    """A reset to 0 in every neuron, which snnTorch writes whatever it does, is noted until it is chosen."""
    path = chain(tmp_path, lif())
    step = read(path)
    graph = astroedge.export(step, step.example_inputs(), step.initial_state())
    assert any("v_reset = 0" in note and "reset=later" in note for note in graph.notes)
    assert read(path, reset="value").notes == []
    moved = nir.LIF(full(8 * DT), full(8), full(0), full(0.75), full(-0.5))
    assert read(chain(tmp_path, lif(), moved), start="zero").notes == []
    with pytest.raises(ExportError, match="reset=later contradicts the v_reset of 'n1'"):
        read(chain(tmp_path, lif(), moved), start="zero", reset="later")


@pytest.mark.parametrize(
    ("cell", "options", "choices"),
    [
        ("LIFNode", {"tau": 8.0, "decay_input": False}, {}),
        ("LIFNode", {"tau": 2.0, "v_reset": -0.5}, {"start": "rest"}),
        ("ParametricLIFNode", {"init_tau": 2.0}, {}),
        ("IFNode", {}, {"input": "held"}),
        ("CUBALIFNode", {"c_decay": 0.5, "v_decay": 0.75}, {"current": "new", "input": "held"}),
    ],
)
def test_spikingjelly_file(tmp_path: Path, cell: str, options: dict[str, float], choices: dict[str, str]) -> None:
    """SpikingJelly's own file spikes as SpikingJelly does, which fires at the threshold itself."""
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    neurons = getattr(neuron, cell)(v_threshold=0.25, **options)
    net = torch.nn.Sequential(on_grid(layer.Linear(SIZE, SIZE)), neurons).eval()
    export_to_nir(net, torch.from_numpy(X[:1]), save_path=tmp_path / "net.nir")
    functional.reset_net(net)
    found = run(read_nir(tmp_path / "net.nir", 1e-4, {"threshold": "reached", **choices}), X)
    assert_active(found)
    np.testing.assert_array_equal(found, run_torch(net))


def test_norse_file(tmp_path: Path) -> None:
    """Norse's own reading of a LIF file spikes as ours does."""
    norse = pytest.importorskip("norse.torch")
    nodes = {**ENDS, "lif": nir.LIF(full(8 * DT), full(1), full(0), full(0.125), full(0))}
    path = write(tmp_path, nodes, [("input", "lif"), ("lif", "output")])
    theirs, state, expected = norse.from_nir(nir.read(path), dt=DT), None, []
    with torch.no_grad():
        for x in X:
            z, state = theirs(torch.from_numpy(x[None]), state)
            expected.append(z.numpy()[0])
    found = run(read(path), X)
    assert_active(found)
    np.testing.assert_array_equal(found, np.array(expected))


@pytest.mark.parametrize(
    ("extra", "edges", "message"),
    [
        ({"a": nir.Linear(WEIGHT)}, [("input", "a"), ("a", "a"), ("a", "output")], "without a neuron"),
        (
            {"a": lif(), "b": lif()},
            [("input", "a"), ("input", "b"), ("a", "b"), ("b", "a"), ("b", "output")],
            "entered at 'a' and 'b'",
        ),
        (
            {"a": lif(), "w": nir.Linear(RECURRENT)},
            [("input", "a"), ("a", "w"), ("w", "a"), ("w", "output")],
            "reads it too",
        ),
        ({"a": lif()}, [("input", "output")], "Nothing leads to"),
        ({"a": lif()}, [("input", "a"), ("input", "output")], "Nothing reads"),
        ({"a": nir.Affine(WEIGHT, BIAS[:3])}, [("input", "a"), ("a", "output")], "bias of shape"),
        ({"a": nir.Linear(WEIGHT[:5])}, [("input", "a"), ("a", "output")], "gives shape"),
        ({"a": nir.Linear(WEIGHT[:, :5])}, [("input", "a"), ("a", "output")], "cannot take an input"),
    ],
)
def test_graph_refused(tmp_path: Path, extra: dict[str, object], edges: list[tuple[str, str]], message: str) -> None:
    """A graph that is wrong, or open as to where its loops are delayed, is an error that names the node."""
    path = write(tmp_path, {**ENDS, **extra}, edges, check=False)
    with pytest.raises(ExportError, match=message):
        read(path)


def test_file_without_v_reset(tmp_path: Path) -> None:
    """Files older than v_reset leave the reset open."""
    import h5py

    path = chain(tmp_path, lif())
    with h5py.File(path, "r+") as file:
        del file["node/nodes/n0/v_reset"]
    with pytest.raises(ExportError, match="reset=value or reset=subtract"):
        read(path)
    assert_active(run(read(path, reset="subtract"), X))


def test_unknown_kind(tmp_path: Path) -> None:
    """A kind of node without a step is named."""
    import h5py

    path = chain(tmp_path, lif())
    with h5py.File(path, "r+") as file:
        del file["node/nodes/n0/type"]
        file["node/nodes/n0/type"] = "Izhikevich"
    with pytest.raises(UnsupportedOpError, match=r"'n0' \(Izhikevich\)"):
        read(path)


@pytest.mark.parametrize("dt", [0.0, -1.0, float("nan"), float("inf")])
def test_dt_must_be_a_time(tmp_path: Path, dt: float) -> None:
    """A tick has a length above 0."""
    with pytest.raises(ExportError, match="dt is"):
        read_nir(chain(tmp_path, lif()), dt)


def test_damaged_file(tmp_path: Path) -> None:
    """A file cut short anywhere, or with bytes overwritten, gives a network or a clean error."""
    whole = chain(tmp_path, nir.Affine(WEIGHT, BIAS), lif()).read_bytes()
    path = tmp_path / "damaged.nir"
    refused = 0
    generator = np.random.default_rng(5)
    for number in range(60):
        content = bytearray(whole)
        if number % 2:
            content = content[: int(generator.integers(len(whole)))]
        else:
            start = int(generator.integers(len(whole) - 8))
            content[start : start + 8] = generator.bytes(8)
        path.write_bytes(content)
        try:
            read(path)
        except AstroEdgeError:
            refused += 1
    assert refused >= 30
    with pytest.raises(InputError, match="no file"):
        read(tmp_path / "none.nir")
