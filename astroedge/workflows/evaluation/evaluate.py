"""What precision costs: a PyTorch model, its graph in ONNX Runtime and bundles on the same labelled data."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import Manifest
from astroedge.errors import InputError
from astroedge.runtimes import load
from astroedge.step.assets import LABELS, TOKENIZER, check_labels, label_names
from astroedge.step.spec import StepSpec
from astroedge.workflows.evaluation.labelled_data import LabelledData, read_labelled
from astroedge.workflows.evaluation.score_step import Stream, Tally, count_classes, score
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
class ClassScore:
    """A class by its name: how many units have it as their label, and how many of these each contender got right."""

    label: str
    counted: int
    right: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """The contenders in order, on `counted` labelled units ("sequence", "tick", "byte", "token") of the file `data`.

    `note` says what is doubtful of all of them. `classes` are those that are somebody's label, where they have names.
    """

    data: str
    unit: str
    counted: int
    readout: str
    contenders: tuple[Contender, ...]
    note: str = ""
    classes: tuple[ClassScore, ...] = ()

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
    read = read_labelled(data, labels, spec, ticks, fit, _common_asset(TOKENIZER, opened, graph, reference))
    names = _common_names(opened, graph, reference) if read.unit in ("sequence", "tick") else []
    tallies: list[Tally] = []

    def judge(stream: Stream) -> dict[str, float]:
        tallies.append(Tally(count_classes(spec)))
        return score(stream, read, readout, tallies[-1])

    contenders = []
    if model is not None:
        say("PyTorch")
        contenders.append(Contender("PyTorch", "float32", None, None, judge(_model_stream(model, spec))))
    if reference is not None:
        say("ONNX Runtime")
        contenders.append(Contender("ONNX Runtime", "float32", None, None, judge(_graph_stream(reference))))
    for path, manifest in manifests.items():
        say(os.fspath(path))
        if elsewhere is not None:
            metrics = judge(elsewhere(path, read))
        else:
            with load(path, device=_place(manifest, manifests.values(), device)) as session:
                metrics = judge(session)
        contenders.append(_contender(path, manifest, reference, metrics))
    counted, classes = int((read.labels >= 0).sum()), _classes(names, tallies)
    return Evaluation(os.fspath(data), read.unit, counted, readout, tuple(contenders), read.note, classes)


def _place(manifest: Manifest, every: Iterable[Manifest], device: int | None) -> int | None:
    """The GPU that computes a bundle: none for one for a processor that stands beside one for a GPU."""
    return None if manifest.device is None and any(item.device is not None for item in every) else device


def _common_names(bundles: dict[PathLike, Bundle], graph: PathLike | None, reference: StepGraph | None) -> list[str]:
    """The names of the classes that all contenders have, none where no contender has any."""
    content = _common_asset(LABELS, bundles, graph, reference)
    if content is None:
        return []
    names = label_names(content)
    for bundle in bundles.values():
        check_labels(names, bundle.manifest.step.outputs[0])
    return names


def _classes(names: list[str], tallies: list[Tally]) -> tuple[ClassScore, ...]:
    """What became of each class that is somebody's label."""
    return tuple(
        ClassScore(name, int(tallies[0].counted[index]), tuple(int(tally.right[index]) for tally in tallies))
        for index, name in enumerate(names)
        if tallies[0].counted[index]
    )


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


def _common_asset(
    name: str, bundles: dict[PathLike, Bundle], graph: PathLike | None, reference: StepGraph | None
) -> bytes | None:
    """The asset of all contenders, of which some may have none; InputError where two have different ones."""
    found = {os.fspath(path): bundle.find_asset(name) for path, bundle in bundles.items()}
    if graph is not None and reference is not None:
        found[os.fspath(graph)] = reference.assets.get(name)
    held = {name: content for name, content in found.items() if content is not None}
    if len(set(held.values())) > 1:
        first, *others = held
        other = next(name for name in others if held[name] != held[first])
        raise InputError(f"{other} has another {name} than {first}; evaluate them apart.")
    return next(iter(held.values()), None)


def _interface(step: StepSpec) -> list[tuple[str, tuple[int, ...], str]]:
    return [(item.name, item.shape, item.dtype) for item in (*step.inputs, step.outputs[0])]


def _model_stream(source: str, spec: StepSpec) -> Stream:
    from astroedge.workflows.evaluation.torch_stream import TorchStream
    from astroedge.workflows.inputs.model_source import load_model

    return TorchStream(load_model(source), spec)


def _graph_stream(graph: StepGraph) -> Stream:
    from astroedge.runtimes.checking.reference import ReferenceSession

    return ReferenceSession(graph)


def _contender(path: PathLike, manifest: Manifest, reference: StepGraph | None, metrics: dict[str, float]) -> Contender:
    own = (manifest.graph_sha256, manifest.reference_sha256)
    note = "" if reference is None or reference.digest in own else "compiled from another graph"
    size, plain = manifest.layout.weights_size, manifest.float32_weights_size
    return Contender(Path(path).name, manifest.precision, size, plain, metrics, note)
