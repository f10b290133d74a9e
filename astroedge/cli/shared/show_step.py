"""Step graphs and bundles for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import DeviceImage, Manifest, WeightRecord
from astroedge.cli.shared.display import number, percent, print_line, print_table, shape, size
from astroedge.parity import USUAL
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.workflows.inspect_step import describe_graph

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

PRUNED_ZEROS = 0.5  # the share of zeros from which a matrix counts as pruned
NAMED = 6  # matrices that a line names at most
JETSONS = (62, 72, 87, 101, 110)  # compute capabilities, times ten, whose machine code no other chip runs


def show_graph(graph: StepGraph) -> None:
    """A step graph: what it takes, gives and carries over, what fires in it, its operators and its digest."""
    record = describe_graph(graph)
    source = _source(graph.spec.source)
    print_line(f"Step graph {graph.name}{f' from {source}' if source else ''}, weights {size(record['weights_bytes'])}")
    show_spec(graph.spec)
    operators = ", ".join(f"{name} × {count}" if count > 1 else name for name, count in record["operators"].items())
    print_line(f"Operators: {operators}")
    show_assets(graph)
    print_line(f"SHA-256: {record['sha256']}")


def show_assets(graph: StepGraph) -> None:
    """What a graph carries for its users and what it was measured on, a line each; nothing where it carries nothing."""
    if graph.assets:
        print_line("Assets: " + ", ".join(f"{name}, {size(len(content))}" for name, content in graph.assets.items()))
    ticks = next(map(len, graph.examples.values()), 0)
    if ticks:
        print_line(f"Examples: {ticks:,} ticks, which int4 weights are rounded by.")


def _source(source: Mapping[str, str]) -> str:
    """`snntorch 1.0.0, torch 2.13.0`: the framework first, then what it stood on."""
    first = " ".join(source[key] for key in ("framework", "version") if key in source)
    others = [f"{name} {version}" for name, version in source.items() if name not in ("framework", "version")]
    return ", ".join(part for part in (first, *others) if part)


def show_spec(spec: StepSpec) -> None:
    """The contract of a tick."""
    tensors = [("input", item, _note(item)) for item in spec.inputs]
    tensors += [("output", item, "") for item in spec.outputs]
    print_table(
        ("", "name", "shape", "dtype", "note"),
        [(kind, item.name, shape(item.shape), item.dtype, note) for kind, item, note in tensors],
    )
    states = [(item.name, shape(item.shape), item.dtype, _initial(item), size(item.nbytes)) for item in spec.states]
    total = size(sum(item.nbytes for item in spec.states))
    print_table(("name", "shape", "dtype", "initial", "size"), states, f"State carried over, {total}")
    spikes = [(item.name, shape(item.shape), percent(item.firing_rate)) for item in spec.spikes]
    print_table(("name", "neurons", "firing rate"), spikes, "Spikes, rates on the export's example data")

    if spec.activations:
        rectified = [(item.name, shape(item.shape), percent(item.firing_rate)) for item in spec.activations]
        print_table(("name", "elements", "not zero"), rectified, "Sparse activations, on the export's example data")
    if spec.allowance != USUAL:
        print_line(f"Accepted at export: {spec.allowance.summary()}.")


def _note(item: TensorSpec) -> str:
    if item.index_range is not None:
        return f"index, {item.index_range[0]} to {item.index_range[1] - 1}"
    if item.value_range is not None:
        return f"{item.value_range[0]} to {item.value_range[1] - 1} in the example data"
    if item.firing_rate is not None:
        return f"sparse, {percent(item.firing_rate)} not zero"
    return "" if item.span is None else f"up to ±{number(item.span)} in the example data"


def _initial(state: StateSpec) -> str:
    return "stored tensor" if state.initial is None else number(state.initial)


def show_bundle(bundle: Bundle) -> None:
    """A bundle: target, contract, kernels with the reason for each, memory, files and digests."""
    manifest = bundle.manifest
    target = manifest.target
    needs = f", needs {', '.join(target.features)}" if target.features else ""
    print_line(f"Bundle of {manifest.model} for {target.name}: {target.arch}, {target.cpu}{needs}")
    probes = ", with probes" if manifest.probes else ""
    print_line(f"Math {manifest.math}{probes}. {weights_summary(manifest)}")
    show_spec(manifest.step)
    _show_matrices(manifest)
    _show_stored(manifest)
    print_line(count_kernels(manifest))
    if pruned := pruned_summary(manifest):
        print_line(pruned)
    _show_device(manifest)
    _show_memory(manifest)
    _show_proof(manifest)


def count_kernels(manifest: Manifest) -> str:
    """How many matrices have each kind of kernel, and of which calls one tick consists, in a sentence each."""
    chosen = Counter(item.kernel for item in manifest.matrices)
    matrices = ", ".join(f"{count} {kernel}" for kernel, count in chosen.most_common())
    kinds = Counter(item.kind for item in manifest.kernels)
    calls = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    return f"Matrices: {matrices or 'none'}. One tick is {len(manifest.kernels)} native calls: {calls}."


def pruned_summary(manifest: Manifest) -> str:
    """Which matrices are mostly zeros and whether these are left out, in a sentence; "" where there is none."""
    found = [item for item in manifest.matrices if item.zeros >= PRUNED_ZEROS]
    if not found:
        return ""
    named = [f"{item.name} {percent(item.zeros)}{' left out' * (item.kernel == 'pruned')}" for item in found]
    more = f" and {len(named) - NAMED} more" * (len(named) > NAMED)
    return f"Zeros among the weights: {', '.join(named[:NAMED])}{more}."


def weights_summary(manifest: Manifest) -> str:
    """What the weights are stored as and how large their file is, and how many were rounded by examples, if any."""
    total, plain = manifest.layout.weights_size, manifest.float32_weights_size
    if all(item.precision == "float32" for item in manifest.stored):
        return f"Weights {manifest.precision}: {size(total)}."
    share = f"{size(total)}, {100 * total / plain:.1f} % of {size(plain)} in float32."
    rounded = [item.examples for item in manifest.stored if item.examples]
    by_examples = f" Rounded by {max(rounded)} ticks of examples: {len(rounded)} weights." if rounded else ""
    return f"Weights {manifest.precision}: {share}{by_examples}"


def _show_stored(manifest: Manifest) -> None:
    """What each weight is stored as, and why where that is not what was asked for."""
    if all((item.precision, item.reason) == ("float32", "") for item in manifest.stored):
        return
    rows = [
        (item.name, f"{item.rows} × {item.columns}", item.precision, size(item.nbytes), _stored_note(item))
        for item in manifest.stored
    ]
    print_table(("weight", "inputs × outputs", "stored as", "size", "note"), rows, "Stored weights")


def _stored_note(item: WeightRecord) -> str:
    return f"rounded by {item.examples} examples" if item.examples else item.reason


def _show_matrices(manifest: Manifest) -> None:
    """The matrices with the kernel chosen for each and why."""
    rates = {item.name: item.firing_rate for item in manifest.activity}
    rows: list[tuple[Any, ...]] = []
    for item in manifest.matrices:
        extent = f"{item.rows} × {item.columns}{f' × {item.calls}' if item.calls > 1 else ''}"
        rate = "–" if item.spikes is None else percent(rates[item.spikes])
        stored = "" if item.precision == "float32" else f" {item.precision}"
        rows.append((item.name, extent, item.kernel, rate, f"{size(item.nbytes)}{stored}", item.reason))
    print_table(("matrix", "inputs × outputs", "kernel", "input fires", "size", "why"), rows, "Matrices")


def _show_device(manifest: Manifest) -> None:
    """The GPU's code: what one tick is there, and for which chips it was built."""
    device = manifest.device
    if device is None:
        return
    print_line(
        f"A GPU ({device.kind}) computes it: one launch of {device.kernel} for many ticks, in up to "
        f"{device.blocks} blocks of {device.block} threads, which wait for each other {device.barriers} times a tick."
    )
    print_line(f"Why so often: {device.reason}")
    rows = [
        (_dotted(item.capability), item.kind, size(item.nbytes), _runs_on(item), item.sha256[:16] + "…")
        for item in device.images
    ]
    print_table(("compute capability", "code", "size", "runs on", "SHA-256"), rows, "Images in the library")


def _runs_on(image: DeviceImage) -> str:
    if image.kind == "ptx":
        return f"those from {_dotted(image.capability)} on, once the driver has compiled it"
    if image.capability in JETSONS:
        return f"{_dotted(image.capability)} alone, as a Jetson's code does"
    return f"those from {_dotted(image.capability)} to {image.capability // 10}.9 that are no Jetsons"


def _dotted(capability: int) -> str:
    return f"{capability // 10}.{capability % 10}"


def _show_memory(manifest: Manifest) -> None:
    layout = manifest.layout
    private = sum(item.nbytes for item in layout.state if item.private)
    place = "a process" if manifest.device is None else "a process, on the GPU"
    rows = [
        ("weights", size(layout.weights_size), f"one copy in {place}, shared by its streams"),
        ("state", size(layout.state_size), f"{size(private)} of it private to the compiler" if private else "a stream"),
        ("workspace", size(layout.workspace_size), "a stream"),
        ("inputs and outputs", size(layout.inputs_size + layout.outputs_size), "a stream"),
        ("library", size(manifest.library.size), manifest.library.name),
    ]
    rows += [(f"asset {item.name}", size(item.size), "") for item in manifest.assets]
    print_table(("memory", "size", ""), rows)


def _show_proof(manifest: Manifest) -> None:
    golden = manifest.golden
    ticks = ", ".join(str(item.tick) for item in golden.ticks)
    print_line(f"Golden trace: {f'hashes at ticks {ticks}' if ticks else 'none'}; seed {golden.seed}")
    for name, value in golden.parity.items():
        print_line(f"  {name}: {number(value)}")
    print_line("Made with " + ", ".join(f"{name} {version}" for name, version in manifest.compiler.items()))
    for name, digest in (
        ("graph", manifest.graph_sha256),
        ("library", manifest.library.sha256),
        ("weights", manifest.weights.sha256),
    ):
        print_line(f"SHA-256 of the {name}: {digest}")
