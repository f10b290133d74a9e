"""The manifest of a bundle: everything a host must know to run the compiled step, as plain data.

`docs/bundle-format.md` describes the JSON form and `astroedge/schemas/manifest.schema.json` checks it. All offsets and
sizes are bytes; every field starts at a multiple of 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from astroedge.abi.limits import ABI_VERSION
from astroedge.errors import BundleError, GraphError
from astroedge.step.spec import StepSpec

FORMAT = "astroedge-bundle"
WORTH_SKIPPING = 4096  # multiplications in a tick; smaller products take no time to speak of
NO_SPIKES = "input is not a spike tensor"  # the reason for the kernel of a matrix that reads numbers
DESPITE = ", but "  # in the reason for a kernel, before what keeps the inputs' zeros from being skipped
JOINED = " + "  # between the names of products whose weights lie side by side, a row of one beside those of the others
MANIFEST_VERSION = 1
COST_RATES = (0.0, 1 / 64, 1 / 16, 1 / 4, 1.0)  # the firing rates that `Kernel.cycles` are for

Record = TypeVar("Record")


@dataclass(frozen=True)
class BufferField:
    """One array inside a flat buffer."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int
    nbytes: int


@dataclass(frozen=True)
class InputField(BufferField):
    """An input: what is checked before a step, and how the golden trace draws its elements.

    `check_range` refuses values outside `low <= x < high`. `draw` is "index", "spike", "uniform" or "values";
    `draw_parameter` is the 53-bit firing threshold for "spike", the binary exponent of the range for "uniform" and 0
    otherwise. `values` is the table of "values", empty otherwise: the values, as hexadecimal floats, each with the
    53-bit number below which it is drawn, if none before it is (astro_abi.h has the formulas).
    """

    check_nan: bool
    check_range: bool
    low: int
    high: int
    draw: str
    draw_parameter: int
    values: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class StateField(BufferField):
    """A state, public or private to the compiler.

    The initial value is `fill` (a hexadecimal float) in every element, or, when `fill` is None, the bytes at
    `weights_offset` of the weights.
    """

    private: bool
    fill: str | None
    weights_offset: int


@dataclass(frozen=True)
class Layout:
    """The five buffers of a step; the workspace has no named fields but its activity counters."""

    inputs_size: int
    inputs: tuple[InputField, ...]
    outputs_size: int
    outputs: tuple[BufferField, ...]
    state_size: int
    state: tuple[StateField, ...]
    weights_size: int
    weights: tuple[BufferField, ...]
    workspace_size: int


@dataclass(frozen=True)
class Activity:
    """A spike tensor whose non-zero elements every tick adds to the uint64 at `offset` of the workspace.

    `size` is its number of elements in one tick; `firing_rate` the fraction of ones on the export's example data.
    """

    name: str
    size: int
    offset: int
    firing_rate: float


@dataclass(frozen=True)
class Matrix:
    """A matrix product of the step, for reports and synaptic operations.

    `rows` inputs, `columns` outputs, `calls` products in one tick (batch and heads). `spikes` names the activity that
    its input elements are counted in, None for a dense input. `nonzero` counts non-zero weights, None where the matrix
    is itself a state. `kernel` is the kernel chosen and `reason` says why. `precision` is what the weights are stored
    in and `nbytes` their size with their scales. `graded` is True where the inputs are sparse but no spikes of one
    size: they are multiplied, not added.
    """

    name: str
    rows: int
    columns: int
    calls: int
    kernel: str
    reason: str
    spikes: str | None
    nonzero: int | None
    nbytes: int
    precision: str = "float32"
    graded: bool = False

    @property
    def zeros(self) -> float:
        """The share of its weights that are 0; 0.0 where the matrix is itself a state."""
        return 0.0 if self.nonzero is None else 1 - self.nonzero / (self.rows * self.columns)

    @property
    def multiplies_zeros(self) -> bool:
        """Whether its inputs are sparse and no kernel skips their zeros, though that would pay in one so large."""
        worth = self.rows > 1 and self.rows * self.columns * self.calls >= WORTH_SKIPPING
        return self.kernel == "dense" and DESPITE in self.reason and worth


@dataclass(frozen=True)
class WeightRecord:
    """A weight matrix W[rows, columns], convolution kernel or embedding table as it is stored.

    `nbytes` includes the scales. `reason` says why the precision is not the one asked for, or why no examples led to
    the integers; empty where there is nothing to say. `examples` is how many ticks led to them, 0 where they are the
    nearest.
    """

    name: str
    rows: int
    columns: int
    precision: str
    nbytes: int
    reason: str
    examples: int

    @property
    def float32_nbytes(self) -> int:
        """Bytes of the same weights in float32."""
        return 4 * self.rows * self.columns


@dataclass(frozen=True)
class Kernel:
    """One call inside the compiled tick: its symbol, what it is and the operators fused into it.

    `module` is the path of the module that it belongs to, the paths of several `JOINED`, "" where none is known. A call
    reads and writes `nbytes` bytes, and `row` more for each active input, which the activity `spikes` counts; that is
    None where all inputs are read. `cycles` is the compiler's estimate at the firing rates COST_RATES, or one number
    where none counts; empty for none.
    """

    name: str
    kind: str
    operators: tuple[str, ...]
    module: str = ""
    nbytes: int = 0
    spikes: str | None = None
    row: int = 0
    cycles: tuple[int, ...] = ()


@dataclass(frozen=True)
class GoldenTick:
    """SHA-256 of the state buffer after `tick` ticks from a reset, and of that tick's outputs buffer."""

    tick: int
    state: str
    outputs: str


@dataclass(frozen=True)
class Golden:
    """The golden trace: inputs drawn by splitmix64 from `seed`, hashes at chosen ticks, and how it was checked.

    `parity` is the forced comparison with the reference made when the bundle was compiled: ticks, spikes compared,
    spikes that differed within the rounding margin, largest value error.
    """

    seed: int
    ticks: tuple[GoldenTick, ...]
    parity: Mapping[str, float]


@dataclass(frozen=True)
class TargetIdentity:
    """The processor a bundle was compiled for; `features` are the CPU flags (as in /proc/cpuinfo) it needs."""

    name: str
    triple: str
    arch: str
    cpu: str
    features: tuple[str, ...]


@dataclass(frozen=True)
class DeviceImage:
    """A GPU's code in the library: a "cubin" for a chip, or "ptx" for it and later ones.

    `capability` is the chip's compute capability times ten.
    """

    capability: int
    kind: str
    nbytes: int
    sha256: str


@dataclass(frozen=True)
class Device:
    """What computes a tick in the place of the processor: `kind` is "cuda".

    The kernel `kernel` is launched in blocks of `block` threads, of which more than `blocks` gain nothing, and all of
    them wait for each other `barriers` times a tick; `reason` says what was weighed against these waits.
    """

    kind: str
    kernel: str
    block: int
    blocks: int
    barriers: int
    reason: str
    images: tuple[DeviceImage, ...]


@dataclass(frozen=True)
class FileRecord:
    """A file of the bundle: name inside the folder, size in bytes, SHA-256."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The whole description of a bundle; `to_json` and `from_json` are inverse.

    `graph_sha256` is the digest of the graph that was compiled, `dequantised_sha256` that of the same graph with its
    weights as they are stored, None where they are stored as they were.

    `threads` is among how many threads a tick can be divided: the parts of its most divisible call, or 1 if the library
    has no tick for a team of threads. `default_threads` is how many are worth it where the host leaves the choice: 1
    for a step that is over before a sleeping thread has woken up.

    `device` is the GPU's code, None where the processor that loads the library computes the tick.
    """

    model: str
    graph_sha256: str
    target: TargetIdentity
    step: StepSpec
    layout: Layout
    activity: tuple[Activity, ...]
    matrices: tuple[Matrix, ...]
    kernels: tuple[Kernel, ...]
    golden: Golden
    library: FileRecord
    weights: FileRecord
    assets: tuple[FileRecord, ...]
    compiler: Mapping[str, str]
    math: str = "exact"
    precision: str = "float32"
    probes: bool = False
    threads: int = 1
    default_threads: int = 1
    abi_version: int = ABI_VERSION
    dequantised_sha256: str | None = None
    stored: tuple[WeightRecord, ...] = ()
    device: Device | None = None

    @property
    def products(self) -> int:
        """The multiplications of a tick in which every neuron fires."""
        return sum(item.rows * item.columns * item.calls for item in self.matrices)

    @property
    def stamps(self) -> int:
        """The times that are noted in a timed tick: when each kernel begins and when the last ends.

        0 where none is noted: on a GPU, in a probe build and of a step without kernels.
        """
        return len(self.kernels) + 1 if self.kernels and self.device is None and not self.probes else 0

    @property
    def reference_sha256(self) -> str:
        """The digest of the graph that the step must agree with."""
        return self.dequantised_sha256 or self.graph_sha256

    @property
    def float32_weights_size(self) -> int:
        """The size of the weights file if every weight were stored in float32, but for what alignment adds."""
        return self.layout.weights_size + sum(item.float32_nbytes - item.nbytes for item in self.stored)

    def to_json(self) -> dict[str, Any]:
        """The JSON form, versioned; tuples become lists.

        What is known only after linking comes first, then what the library is linked for: `weights` and all the rest;
        `device` is there only where it is not None.
        """
        record = {item.name: _plain(getattr(self, item.name)) for item in fields(self) if item.name != "step"}
        first = {name: record.pop(name) for name in ("abi_version", "library", "assets")}
        weights, step = record.pop("weights"), self.step.to_json()
        if self.device is None:
            del record["device"]
        return {"format": FORMAT, "version": MANIFEST_VERSION, **first, "weights": weights, "step": step, **record}

    @staticmethod
    def from_json(record: Mapping[str, Any]) -> Manifest:
        """Read what `to_json` wrote.

        Raises BundleError for another format or version, and for a record that is not a manifest.
        """
        if not isinstance(record, Mapping) or record.get("format") != FORMAT:
            raise BundleError("manifest.json is not an AstroEdge manifest; is this the folder that compile wrote?")
        if record.get("version") != MANIFEST_VERSION:
            raise BundleError(
                f"The bundle has format version {record.get('version')!r}, this AstroEdge reads {MANIFEST_VERSION}; "
                "it was probably written by another release: compile the graph again or install that release."
            )
        try:
            return _read_manifest(record)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"manifest.json is damaged ({error!r}); compile the graph again.") from error
        except GraphError as error:
            raise BundleError(f"manifest.json is damaged: {error}") from error


@dataclass(frozen=True)
class BundleFiles:
    """The bytes that go with a manifest before it is saved: asset contents by name are in `assets`."""

    library: bytes
    weights: bytes | memoryview
    assets: Mapping[str, bytes] = field(default_factory=dict)


def _plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as JSON values."""
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    return value


def _read(kind: type[Record], record: Mapping[str, Any]) -> Record:
    """Build a flat record; lists become tuples, unknown and missing keys raise TypeError."""
    return kind(**{key: _frozen(value) for key, value in record.items()})


def _frozen(value: Any) -> Any:
    """Lists, and lists in them, as tuples."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _read_all(kind: type[Record], records: list[Mapping[str, Any]]) -> tuple[Record, ...]:
    return tuple(_read(kind, record) for record in records)


def _read_layout(record: Mapping[str, Any]) -> Layout:
    return Layout(
        inputs_size=record["inputs_size"],
        inputs=_read_all(InputField, record["inputs"]),
        outputs_size=record["outputs_size"],
        outputs=_read_all(BufferField, record["outputs"]),
        state_size=record["state_size"],
        state=_read_all(StateField, record["state"]),
        weights_size=record["weights_size"],
        weights=_read_all(BufferField, record["weights"]),
        workspace_size=record["workspace_size"],
    )


def _read_manifest(record: Mapping[str, Any]) -> Manifest:
    golden = record["golden"]
    return Manifest(
        model=record["model"],
        graph_sha256=record["graph_sha256"],
        target=_read(TargetIdentity, record["target"]),
        step=StepSpec.from_json(record["step"]),
        layout=_read_layout(record["layout"]),
        activity=_read_all(Activity, record["activity"]),
        matrices=_read_all(Matrix, record["matrices"]),
        kernels=_read_all(Kernel, record["kernels"]),
        golden=Golden(golden["seed"], _read_all(GoldenTick, golden["ticks"]), dict(golden["parity"])),
        library=_read(FileRecord, record["library"]),
        weights=_read(FileRecord, record["weights"]),
        assets=_read_all(FileRecord, record["assets"]),
        compiler=dict(record["compiler"]),
        math=record["math"],
        precision=record["precision"],
        probes=record["probes"],
        threads=record["threads"],
        default_threads=record["default_threads"],
        abi_version=record["abi_version"],
        dequantised_sha256=record["dequantised_sha256"],
        stored=_read_all(WeightRecord, record["stored"]),
        device=_read_device(record["device"]) if "device" in record else None,
    )


def _read_device(record: Mapping[str, Any]) -> Device:
    rest = {key: value for key, value in record.items() if key != "images"}
    return Device(**rest, images=_read_all(DeviceImage, record["images"]))
