"""From what a user types to a model that can be exported: a checkpoint, a trained network, or a factory.

    char_lm.safetensors          a checkpoint of a model in astroedge.models
    zoo:l2mu-har                 a trained network of the package astroedge-zoo
    nets/keywords.py:make        a function in a file
    mypackage.nets:make          a function in an installed module

A factory takes no arguments and returns the module, or (module, example inputs), or (module, example inputs, states) as
`astroedge.export` takes them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from astroedge.errors import AstroEdgeError, ExportError
from astroedge.host_package import require
from astroedge.nearest_name import did_you_mean
from astroedge.step.assets import LABELS
from astroedge.step.examples import LEAST_TICKS
from astroedge.zoo_record import find_record

CHECKPOINT_SUFFIX = ".safetensors"
ZOO_PREFIX = "zoo:"
FILE_PREFIX = "astroedge_model_file_"

# What a byte-level checkpoint without an example reads when its firing rates are measured: plain English prose.
BYTES = 256  # the vocabulary of a network whose tokens are bytes
ENGLISH = b"""
A neuron that stays silent sends nothing, so nothing has to be computed for it. Most of the time most neurons are
silent. This is why a small board can carry a large network: the weights of the few neurons that fired are added, and
all the others are left where they are. An astrocyte listens to many of these neurons at once and answers slowly; what
it remembers changes how easily they fire for seconds afterwards. The following example shows how a list is sorted. If
the argument is omitted, the default value is used; otherwise, a new object is returned (see below for details).
"""


@dataclass(frozen=True)
class ModelSource:
    """A model with the arguments of `astroedge.export` that come with it; `inputs` is None where nothing gives them.

    `examples` are the inputs of successive ticks on which firing rates are measured, None for `inputs` alone. `assets`
    are files that the graph is to carry, contents by name.
    """

    model: Any
    inputs: Any = None
    states: Any = None
    examples: Sequence[Sequence[Any]] | None = None
    output_names: Sequence[str] | None = None
    assets: Mapping[str, bytes] = field(default_factory=dict)


def load_model(source: str) -> ModelSource:
    """The model that `source` names.

    Raises ExportError for a source of no known form, a file, module or factory that is not there, and a factory that
    fails or returns something else; InputError for a file that is no checkpoint and for a name that the zoo does not
    have; MissingDependencyError where the zoo is not installed.
    """
    check_source(source)
    require("torch", "exporting a model")
    if source.startswith(ZOO_PREFIX):
        return _load_trained(source.removeprefix(ZOO_PREFIX))
    if source.endswith(CHECKPOINT_SUFFIX):
        return _load_checkpoint(source)
    place, _, name = source.rpartition(":")
    return _call_factory(_find_factory(_import(place), name, place), source)


def check_source(source: str) -> None:
    """Refuse, as `load_model` does, what cannot name a model or names a file or a trained network that is not there.

    It imports nothing heavy, so that a slip of the keyboard is told at once.
    """
    place, separator, name = source.rpartition(":")
    if source.startswith(ZOO_PREFIX):
        find_record(source.removeprefix(ZOO_PREFIX))
    elif source.endswith(CHECKPOINT_SUFFIX):
        _check_file(source)
    elif not separator or not place or not name.isidentifier():
        raise ExportError(
            f"{source!r} names no model; give a checkpoint (.safetensors), path/to/file.py:factory, "
            "package.module:factory or zoo:NAME."
        )
    elif _is_file(place):
        _check_file(place)


def _is_file(place: str) -> bool:
    return place.endswith(".py") or os.sep in place


def _check_file(path: str) -> None:
    if not Path(path).is_file():
        raise ExportError(f"There is no file {path}; check the path of the model.")


def _load_checkpoint(path: str) -> ModelSource:
    """An AstroSNN's step with its state as arguments, one stream, and the ticks of the checkpoint's example.

    Without one, a network over bytes reads English; what the tokens of another stand for is unknown, so it gets some
    that are too few to be carried as examples, which weights are rounded by.
    """
    import torch

    from astroedge.models import AstroSNNStep, load_checkpoint
    from astroedge.models.checkpoint import load_example

    step = AstroSNNStep(load_checkpoint(path))
    tokens = load_example(path)
    if tokens is None:
        vocabulary = step.model.config.vocabulary
        tokens = torch.tensor(list(ENGLISH if vocabulary == BYTES else ENGLISH[: LEAST_TICKS - 1])) % vocabulary
    examples = [(token,) for token in tokens[:, None]]
    return ModelSource(step, examples[0], tuple(step.initial_state()), examples, ["logits"])


def _load_trained(name: str) -> ModelSource:
    """A trained network with the ticks of its example, one stream, and the names of its classes as an asset."""
    from astroedge.models.trained import load_trained

    found = load_trained(name)
    states = tuple(found.model.initial_state(1))  # type: ignore[operator]
    lines = "".join(f"{label}\n" for label in found.record.labels)
    assets = {LABELS: lines.encode()} if lines else {}
    return ModelSource(found.model, found.examples[0], states, found.examples, assets=assets)


def _import(place: str) -> ModuleType:
    """The module at a path ending in .py or of a dotted name; its own folder is searched first, as by `python`."""
    is_file = _is_file(place)
    sys.path.insert(0, os.fspath(Path(place).resolve().parent) if is_file else os.getcwd())
    try:
        load = (lambda: _import_file(Path(place))) if is_file else (lambda: importlib.import_module(place))
        module: ModuleType = _run(load, place)
        return module
    finally:
        sys.path.pop(0)


def _import_file(path: Path) -> ModuleType:
    # Not under the file's own name, which may be that of a module imported later: profile.py, queue.py.
    spec = importlib.util.spec_from_file_location(f"{FILE_PREFIX}{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ExportError(f"{path} is no Python file; give path/to/file.py:factory.")
    module = importlib.util.module_from_spec(spec)
    # There while it runs, so that dataclasses, pickle and torch find the module of its classes.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _find_factory(module: ModuleType, name: str, place: str) -> Callable[[], Any]:
    factory = getattr(module, name, None)
    if callable(factory):
        return factory  # type: ignore[no-any-return]
    known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
    hint = did_you_mean(name, known) or "write a function that returns the model."
    raise ExportError(f"{place} has no function {name!r}; {hint}")


def _call_factory(factory: Callable[[], Any], source: str) -> ModelSource:
    made = _run(factory, source)
    parts = made if isinstance(made, tuple) else (made,)
    if not 1 <= len(parts) <= 3 or not callable(parts[0]):
        raise ExportError(
            f"{source} returned {type(made).__name__}; return the module, (module, example inputs) or (module, example "
            "inputs, states)."
        )
    return ModelSource(*parts)


def _run(action: Callable[[], Any], source: str) -> Any:
    """Run the user's code; what it raises becomes one line that says where."""
    try:
        return action()
    except AstroEdgeError:
        raise
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
        own = [frame for frame in frames if "importlib" not in frame.filename]
        where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        if isinstance(error, SystemExit):
            raise ExportError(
                f"{source} exits{where} (code {error.code}) instead of giving a model; put what belongs to a script "
                "under `if __name__ == '__main__':`."
            ) from error
        reason = (str(error).strip().splitlines() or [""])[0]
        raise ExportError(
            f"{source} failed{where} ({type(error).__name__}: {reason}); run it in Python for the whole traceback."
        ) from error
