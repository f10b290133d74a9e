"""How fast convolutions of published spiking networks are beside ONNX Runtime, layer by layer.

    make bench-convolutions        or        python -m benchmarks.studies.convolutions

Every shape of convolution of the networks in `NETWORKS`, at the image sizes they are used with, once for an analogue
input and at firing rates of 10 and 30 %, on one core. The step is the spikes, the convolution and a leaky state of the
mean of each channel; AstroEdge and ONNX Runtime take turns on the same inputs. Compared is the least processor time of
each, since what disturbs a run only makes it longer. Writes `results/convolutions.json` and `results/convolutions.md`
beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
from time import thread_time
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

import astroedge
from astroedge.step.graph import StepGraph
from astroedge.step.spec import SpikeSpec, StateSpec, StepSpec, TensorSpec
from astroedge.targets import compile_step, link_bundle
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.convolutions.convolution import Convolution
from benchmarks.places import RESULTS
from benchmarks.timing.machine import describe

RATES = (0.1, 0.3)
ROUNDS, INPUTS = 12, 6

Layer = tuple[int, int, int, int, int]
"""Input channels, output channels, kernel, stride, rows and columns of the image."""


def _stages(stem: Layer, widths: tuple[int, ...], size: int, downsample: bool) -> list[Layer]:
    """A residual network: its stem, then for each width the two convolutions of a block and its 1 × 1 shortcut."""
    layers, before = [stem], widths[0]
    for width in widths:
        stride = 1 if width == before else 2
        layers += [(before, width, 3, stride, size)] if stride == 2 else []
        layers += [(before, width, 1, stride, size)] if stride == 2 and downsample else []
        size //= stride
        layers.append((width, width, 3, 1, size))
        before = width
    return layers


VGG11 = ((64, 128, 2), (128, 256, 4), (256, 256, 4), (256, 512, 8), (512, 512, 8), (512, 512, 16))
NETWORKS: dict[str, list[Layer]] = {
    "SEW-ResNet18/34, SpikingResNet18 at 224²": _stages((3, 64, 7, 2, 224), (64, 128, 256, 512), 56, True),
    "SEW-ResNet18/34, SpikingResNet18 at 32²": _stages((3, 64, 7, 2, 32), (64, 128, 256, 512), 8, True),
    "MS-ResNet18 at 32²": _stages((3, 64, 3, 1, 32), (64, 128, 256, 512), 32, True),
    "VGG11 at 32²": [(3, 64, 3, 1, 32), *((i, o, 3, 1, 32 // by) for i, o, by in VGG11)],
    "VGG11 at 224²": [(3, 64, 3, 1, 224), *((i, o, 3, 1, 224 // by) for i, o, by in VGG11)],
    "Spikformer's stem at 32²": [(3, 48, 3, 1, 32), (48, 96, 3, 1, 32), (96, 192, 3, 1, 32), (192, 384, 3, 1, 16)],
    "DVSGestureNet at 128²": [(2, 128, 3, 1, 128), *((128, 128, 3, 1, 128 // 2**n) for n in range(1, 5))],
    "FireNet at 128²": [(2, 32, 3, 1, 128), (32, 32, 3, 1, 128), (32, 2, 1, 1, 128)],
}


def main() -> None:
    """Time every layer, print the table and write both files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), help="some of them only; writes no results")
    names = parser.parse_args().networks
    machine = describe()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    wanted = dict.fromkeys(layer for name in names for layer in NETWORKS[name])
    layers = [measure(layer) for layer in wanted]
    report = {"machine": machine, "threads": 1, "networks": {name: NETWORKS[name] for name in names}, "layers": layers}
    print(render(report))
    if names == list(NETWORKS):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "convolutions.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (RESULTS / "convolutions.md").write_text(render(report), encoding="utf-8")


def measure(layer: Layer) -> dict[str, Any]:
    """What the layer takes in both runtimes, by firing rate; the rate of an analogue input is written as 1."""
    channels, outputs, kernel, stride, size = layer
    conv = Convolution(1, channels, size, size, outputs, (kernel, kernel), (stride, stride), padding=(kernel // 2,) * 4)
    rates = (1.0, *RATES) if channels > 2 else RATES  # frames of events are mostly zero
    times = {}
    for rate in rates:
        ours, theirs, chosen = compare(conv, rate)
        times[str(rate)] = {"astroedge": ours, "onnxruntime": theirs, "kernel": chosen}
        print(f"{layer} at {rate:.0%}: {theirs / ours:.2f} ({chosen})", flush=True)
    return {"layer": layer, "times": times}


def compare(conv: Convolution, rate: float) -> tuple[float, float, str]:
    """Least microseconds of a tick in AstroEdge and in ONNX Runtime, and the kernel that was chosen."""
    graph, target = layer_graph(conv, rate), resolve_target("native")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    reference = onnxruntime.InferenceSession(graph.model.SerializeToString(), options, ["CPUExecutionProvider"])
    state = {f"state.{name}": value for name, value in graph.initial_state().items()}
    step = compile_step(graph, target, math="exact", kernels="auto", probes=False)
    rng = np.random.default_rng(0)
    drawn = [rng.random((1, conv.channels, conv.height, conv.width)) for _ in range(INPUTS)]
    inputs = [(x if rate == 1 else x < rate).astype(np.float32) for x in drawn]
    ours, theirs = [], []
    with astroedge.load(link_bundle(step, target)) as session:
        for index in range(ROUNDS):
            x = inputs[index % INPUTS]
            for _ in range(2):  # the first brings the weights back into the caches
                begin = thread_time()
                session.step(x=x)
                end = thread_time()
            ours.append(end - begin)
            for _ in range(2):
                begin = thread_time()
                reference.run(None, {"x": x, **state})
                end = thread_time()
            theirs.append(end - begin)
        chosen = session.manifest.matrices[0].kernel
    return min(ours) * 1e6, min(theirs) * 1e6, chosen


def layer_graph(conv: Convolution, rate: float) -> StepGraph:
    """`y = v_next = v / 2 + mean(conv(x))`; with a rate below 1, of the spikes that are 1 where x > 1/2."""
    images = (1, conv.channels, conv.height, conv.width)
    means = (1, conv.outputs, 1, 1)
    shape = (conv.outputs, conv.channels, *conv.kernel)
    weights: NDArray[np.float32] = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    fires = rate < 1
    spec = StepSpec(
        inputs=(TensorSpec("x", images, "float32"),),
        outputs=(TensorSpec("y", means, "float32"),),
        states=(StateSpec("v", means, "float32"),),
        spikes=(SpikeSpec("spike", "fired", images, rate),) if fires else (),
    )
    spiking = [
        helper.make_node("Greater", ["x", "half"], ["fired"]),
        helper.make_node("Cast", ["fired"], ["spikes"], to=TensorProto.FLOAT),
    ]
    form: dict[str, Any] = {"kernel_shape": conv.kernel, "strides": conv.strides, "pads": conv.padding}
    nodes = [
        *(spiking if fires else []),
        helper.make_node("Conv", ["spikes" if fires else "x", "W"], ["current"], **form),
        helper.make_node("GlobalAveragePool", ["current"], ["mean"]),
        helper.make_node("Mul", ["state.v", "half"], ["left"]),
        helper.make_node("Add", ["left", "mean"], ["y"]),
        helper.make_node("Identity", ["y"], ["next.v"]),
    ]
    shapes = {"x": images, "state.v": means, "y": means, "next.v": means}
    x, old, y, new = (helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in shapes.items())
    stored = [numpy_helper.from_array(weights, "W"), numpy_helper.from_array(np.array(0.5, np.float32), "half")]
    model = helper.make_graph(nodes, "convolution", [x, old], [y, new], stored)
    return StepGraph(helper.make_model(model, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), spec)


def render(report: dict[str, Any]) -> str:
    """The report as a Markdown table for each network."""
    machine = report["machine"]
    ratios = {tuple(item["layer"]): _ratios(item["times"]) for item in report["layers"]}
    every = [ratio for layer in ratios.values() for rate, (ratio, _) in layer.items() if rate != "1.0"]
    lines = [
        "# Convolutions of spiking networks",
        "",
        f"Made by `make bench-convolutions` on {machine['cpu']} ({machine['cores']} cores, {machine['kernel']}), one "
        "core. ONNX Runtime's processor time over AstroEdge's: above 1 AstroEdge is faster. In bold where the kernel "
        "is event-driven.",
        "",
        f"Where spikes come in: {np.median(every):.2f} in the median of {len(every)}, {min(every):.2f} at least.",
    ]
    for name, layers in report["networks"].items():
        lines += [
            "",
            f"## {name}",
            "",
            "| channels | kernel | image | analogue | " + " | ".join(f"{rate:.0%}" for rate in RATES) + " |",
            "|---|---|---|---|" + "---|" * len(RATES),
        ]
        for channels, outputs, kernel, stride, size in dict.fromkeys(map(tuple, layers)):
            own = ratios[channels, outputs, kernel, stride, size]
            cells = " | ".join(_cell(own.get(rate)) for rate in ("1.0", *map(str, RATES)))
            shape = f"{kernel} × {kernel}" + (f" / {stride}" if stride > 1 else "")
            lines.append(f"| {channels} → {outputs} | {shape} | {size} × {size} | {cells} |")
    return "\n".join(lines) + "\n"


def _ratios(times: dict[str, Any]) -> dict[str, tuple[float, str]]:
    return {rate: (item["onnxruntime"] / item["astroedge"], item["kernel"]) for rate, item in times.items()}


def _cell(found: tuple[float, str] | None) -> str:
    if found is None:
        return "–"
    ratio, kernel = found
    return f"**{ratio:.2f}**" if kernel == "event" else f"{ratio:.2f}"


if __name__ == "__main__":
    main()
