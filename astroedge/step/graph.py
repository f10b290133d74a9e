"""StepGraph: one tick of a model as an ordinary ONNX file that says what carries over.

`docs/step-graph.md` describes the file; `astroedge/schemas/step.schema.json` checks its metadata.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from astroedge.errors import GraphError
from astroedge.host_package import require
from astroedge.parity import Parity
from astroedge.step.asset_entries import read_entries, write_entries
from astroedge.step.assets import check_assets
from astroedge.step.examples import read_examples, write_examples
from astroedge.step.graph_check import check_graph, initial_fill
from astroedge.step.onnx_file import lighten, map_model, serialise, whole, write_model
from astroedge.step.spec import SPEC_VERSION, StepSpec
from astroedge.step.tensor_data import array_of, sources_of
from astroedge.strict_json import read_json, schema

if TYPE_CHECKING:
    import onnx
else:
    onnx = require("onnx", "reading a step graph")

METADATA_KEY = "astroedge.step"


class StepGraph:
    """An ONNX model of one tick together with the `StepSpec` in its metadata.

    Inputs are the data inputs, then `state.<name>` for each state; outputs are the data outputs, then `next.<name>`
    in the same order. To step, feed `initial_state()` at the first tick and each `next.<name>` back as `state.<name>`
    after it.
    """

    parity: Parity | None = None
    """How export compared the graph with the model; None for a graph read from a file."""
    notes: tuple[str, ...] = ()
    """What export found worth telling, one sentence each; empty for a graph read from a file."""

    def __init__(self, model: onnx.ModelProto, spec: StepSpec) -> None:
        """Take over `model`, write `spec` into its metadata and check both.

        Where large initialisers are references (`tensor_data`), `sources` holds what they lead to.

        `model` belongs to the StepGraph from here on. Raises GraphError when the two don't fit or the model isn't
        valid.
        """
        self.model = model
        self.spec = spec
        self.sources = sources_of(model)
        _write_spec(model, spec)
        self.check()

    @staticmethod
    def load(path: str | os.PathLike[str]) -> StepGraph:
        """Read a step graph from `path`, with its external data, and check it.

        Raises GraphError for a file that is missing, damaged, not a step graph, of an unknown version, or that breaks
        its contract.
        """
        model, _sources = map_model(path)
        return StepGraph(model, _read_spec(model, os.fspath(path)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the graph to `path`; the same graph gives the same bytes, and an older file is replaced whole.

        Weights over 128 MiB go to `weights-<digest>.bin` in the same folder. Raises GraphError when it can't be
        written.
        """
        write_model(self.model, path)

    def check(self) -> None:
        """Check the model against the spec.

        Raises GraphError if it is not valid ONNX, if inputs or outputs differ from the spec in name, order, dtype or
        shape, if a state is never read or lacks its initial value, if a spike tensor doesn't exist, or if an asset or
        the examples are damaged.
        """
        check_graph(self.model, self.spec)
        read_entries(self.model)
        read_examples(self.model, self.spec)

    @property
    def assets(self) -> dict[str, bytes]:
        """The files that the graph carries for its users, by name; `labels.txt` has the names of the classes."""
        return read_entries(self.model)

    def with_assets(self, assets: Mapping[str, bytes]) -> StepGraph:
        """A copy of the graph with further assets, by name, or others in the place of those of the same name.

        Each is a file's content. They go into the file that `save` writes and into the bundles that the graph is
        compiled to, and change nothing that is computed. `labels.txt` has one line for each score in a row of the first
        output; `tokenizer.json` is one of Hugging Face, with no more tokens than there are scores.

        Raises InputError for a name that is no plain file name, for an asset of more than 64 MiB, and for labels and a
        tokenizer that do not fit.
        """
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        graph = StepGraph(model, self.spec)
        graph.parity, graph.notes = self.parity, self.notes
        graph.hold_assets(assets)
        return graph

    def hold_assets(self, assets: Mapping[str, bytes]) -> None:
        """What `with_assets` does, in this graph: for one that nobody else holds, whose weights need no copy then."""
        write_entries(self.model, check_assets({**self.assets, **assets}, self.spec))

    @property
    def examples(self) -> dict[str, np.ndarray]:
        """The example inputs that the graph carries, `(T, …)` for each input by name; nothing where it has none.

        Export keeps the first ticks of its examples, up to 4,096 and 1 MiB, if they are at least 256. `compile` rounds
        int4 weights by them.
        """
        return read_examples(self.model, self.spec)

    def hold_examples(self, ticks: Sequence[Mapping[str, np.ndarray]]) -> None:
        """Carry the inputs of successive ticks as examples, as many as `examples` says, in place of others."""
        write_examples(self.model, self.spec, ticks)

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.model.graph.name

    @property
    def digest(self) -> str:
        """SHA-256 of the file that `save` writes, in hexadecimal."""
        return hashlib.sha256(serialise(self.model)).hexdigest()

    def initial_state(self) -> dict[str, np.ndarray]:
        """The value of each state before the first tick, by the state's name; fresh arrays."""
        stored = {tensor.name: tensor for tensor in self.model.graph.initializer}
        return {
            state.name: initial_fill(state)
            if state.initial is not None
            else np.array(array_of(stored[state.initial_name]))
            for state in self.spec.states
        }

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process is made of: all of it, the weights included."""
        return {**vars(self), "model": whole(self.model), "sources": ()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over what `__getstate__` gave."""
        vars(self).update(state)
        self.sources = lighten(self.model)

    def __repr__(self) -> str:
        """Name and sizes, for people."""
        sizes = (f"{len(getattr(self.spec, kind))} {kind}" for kind in ("inputs", "outputs", "states", "spikes"))
        return f"StepGraph({self.name!r}, {', '.join(sizes)})"


def _write_spec(model: onnx.ModelProto, spec: StepSpec) -> None:
    """Put `spec` into the model's metadata, in the very place of what was there: the same graph is the same file."""
    text = json.dumps(spec.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = text
            return
    model.metadata_props.add(key=METADATA_KEY, value=text)


def _read_spec(model: onnx.ModelProto, path: str) -> StepSpec:
    """The step description in a model's metadata."""
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if not texts:
        raise GraphError(
            f"{path!r} is an ONNX file without a step description (metadata {METADATA_KEY!r}), so nothing says which "
            "of its inputs are state; make it with astroedge.export."
        )
    try:
        record = read_json(texts[0].encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise GraphError(f"The step description in {path!r} is not JSON ({error}); export the model again.") from error
    known = isinstance(record, dict) and record.get("version") == SPEC_VERSION
    wrong = schema("step")(record, "it") if known else None
    if wrong is not None:
        raise GraphError(f"The step description in {path!r} is damaged: {wrong}; export the model again.")
    return StepSpec.from_json(record)
