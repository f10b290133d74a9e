"""What precision costs: a PyTorch model, its graph in ONNX Runtime and bundles on the same labelled data."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.step.assets import TOKENIZER
from astroedge.step.spec import StepSpec
from astroedge.workflows.evaluation.labelled_data import LabelledData, read_labelled
from astroedge.workflows.evaluation.score_step import Stream, count_classes, score
from astroedge.workflows.inputs.fit_arrays import Fit

if TYPE_CHECKING:
    from astroedge.step.graph import StepGraph

Progress = Callable[[str], None]
PathLike = str | os.PathLike[str]
Elsewhere = Callable[[PathLike, LabelledData], Stream]
EVALUATION_FORMAT = "astroedge-eval"
EVALUATION_VERSION = 1


@dataclass(frozen=True)
class Contender:
    """What was scored: `precision` of its weights; of a bundle the bytes of its weights file, and of that in float32.

    `note` says what makes a comparison doubtful, such as another graph.
    """

    name: str
    precision: str
    weights_bytes: int | None
    float32_bytes: int | None
    metrics: dict[str, float]
    note: str = ""


@dataclass(frozen=True)
class Evaluation:
    """The contenders in order, on `counted` labelled units ("sequence", "tick", "byte", "token") of the file `data`.

    `note` says what is doubtful of all of them.
    """

    data: str
    unit: str
    counted: int
    readout: str
    contenders: tuple[Contender, ...]
    note: str = ""

    def change(self, contender: Contender, metric: str) -> float:
        """How a contender differs from the first: accuracy as a difference, all else relative to the first's."""
        first, own = self.contenders[0].metrics[metric], contender.metrics[metric]
        return own - first if metric == "accuracy" else own / first - 1

    def to_json(self) -> dict[str, Any]:
        """The JSON form, versioned, as `schemas/eval.schema.json` describes it."""
        return {"format": EVALUATION_FORMAT, "version": EVALUATION_VERSION, **asdict(self)}


def evaluate(
    bundles: Sequence[PathLike],
    data: PathLike,
    labels: PathLike | None = None,
    *,
    graph: PathLike | None = None,
    model: str | None = None,
    readout: str = "sum",
    ticks: int | None = None,
    device: int | None = None,
    elsewhere: Elsewhere | None = None,
    progress: Progress | None = None,
    fit: Fit | None = None,
) -> Evaluation:
    """Score bundles on labelled data (see `labelled_data` and `score_step`), beside what they were made from.

    `graph` is the path of the step graph they were compiled from, run in ONNX Runtime; `model` names the PyTorch model
    as `astroedge export` takes it. With `ticks` the data has no axis of ticks, and each is shown so long. `device` is
    the GPU that computes the bundles for one, as in `astroedge.load`; those for a processor may stand beside them.
    `elsewhere` gives the stream of a bundle that another machine runs on the data. `progress` is called with a line
    before each contender; `fit` says how arrays are made to fit.

    Raises InputError for data the steps do not take and for bundles of different steps; BundleError, GraphError or
    ExportError for what cannot be loaded; OSError for a file that cannot be read.
    """
    say = progress or (lambda line: None)
    opened = {path: Bundle.load(path) for path in bundles}
    manifests = {path: bundle.manifest for path, bundle in opened.items()}
    reference = None if graph is None else _load_graph(graph)
    spec = _common_step(manifests, graph, reference)
    count_classes(spec)
    read = read_labelled(data, labels, spec, ticks, fit, _common_tokenizer(opened, graph, reference))
    has_gpu = any(manifest.device is not None for manifest in manifests.values())
    contenders = []
    if model is not None:
        say("PyTorch")
        contenders.append(_score_model(model, spec, read, readout))
    if reference is not None:
        say("ONNX Runtime")
        contenders.append(_score_graph(reference, read, readout))
    for path, manifest in manifests.items():
        say(os.fspath(path))
        if elsewhere is not None:
            metrics = score(elsewhere(path, read), read, readout)
        else:
            on_processor = has_gpu and manifest.device is None
            with load(path, device=None if on_processor else device) as session:
                metrics = score(session, read, readout)
        contenders.append(_contender(path, manifest, reference, metrics))
    counted = int((read.labels >= 0).sum())
    return Evaluation(os.fspath(data), read.unit, counted, readout, tuple(contenders), read.note)


def _load_graph(path: PathLike) -> StepGraph:
    from astroedge.step.graph import StepGraph

    return StepGraph.load(path)


def _common_step(manifests: dict[PathLike, Manifest], graph: PathLike | None, reference: StepGraph | None) -> StepSpec:
    """The step of all contenders; InputError where one takes other inputs or gives another first output."""
    steps = {os.fspath(path): manifest.step for path, manifest in manifests.items()}
    if graph is not None and reference is not None:
        steps[os.fspath(graph)] = reference.spec
    (name, first), *others = steps.items()
    for other, step in others:
        if _interface(step) != _interface(first):
            raise InputError(
                f"{other} takes other inputs than {name} or gives another output first, so one file of data cannot "
                "serve both; evaluate them apart."
            )
    return first


def _common_tokenizer(
    bundles: dict[PathLike, Bundle], graph: PathLike | None, reference: StepGraph | None
) -> bytes | None:
    """The tokenizer of all contenders, of which some may have none; InputError where two have different ones."""
    found = {os.fspath(path): bundle.find_asset(TOKENIZER) for path, bundle in bundles.items()}
    if graph is not None and reference is not None:
        found[os.fspath(graph)] = reference.assets.get(TOKENIZER)
    held = {name: content for name, content in found.items() if content is not None}
    if len(set(held.values())) > 1:
        first, *others = held
        other = next(name for name in others if held[name] != held[first])
        raise InputError(f"{other} has another tokenizer than {first}; evaluate them apart.")
    return next(iter(held.values()), None)


def _interface(step: StepSpec) -> list[tuple[str, tuple[int, ...], str]]:
    return [(item.name, item.shape, item.dtype) for item in (*step.inputs, step.outputs[0])]


def _score_model(source: str, spec: StepSpec, data: LabelledData, readout: str) -> Contender:
    from astroedge.workflows.evaluation.torch_stream import TorchStream
    from astroedge.workflows.inputs.model_source import load_model

    return Contender("PyTorch", "float32", None, None, score(TorchStream(load_model(source), spec), data, readout))


def _score_graph(graph: StepGraph, data: LabelledData, readout: str) -> Contender:
    from astroedge.runtimes.checking.reference import ReferenceSession

    return Contender("ONNX Runtime", "float32", None, None, score(ReferenceSession(graph), data, readout))


def _contender(path: PathLike, manifest: Manifest, reference: StepGraph | None, metrics: dict[str, float]) -> Contender:
    own = (manifest.graph_sha256, manifest.reference_sha256)
    note = "" if reference is None or reference.digest in own else "compiled from another graph"
    size, plain = manifest.layout.weights_size, manifest.float32_weights_size
    return Contender(Path(path).name, manifest.precision, size, plain, metrics, note)
