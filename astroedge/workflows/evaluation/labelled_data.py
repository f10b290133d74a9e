"""Data with known answers: text whose next byte is the answer, or sequences with a class each or at every tick."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from astroedge.errors import InputError
from astroedge.regular_file import open_regular
from astroedge.session import Array
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.workflows.evaluation.generate_text import START, find_codec
from astroedge.workflows.inputs.array_files import read_arrays
from astroedge.workflows.inputs.fit_arrays import Fit
from astroedge.workflows.inputs.numpy_files import read_numpy
from astroedge.workflows.inputs.tokenizer import Tokenizer

SEQUENCES = ("N", "T")
ARRAY_SUFFIXES = (".npy", ".npz")
LOSES = (
    "the tokenizer does not give this text back (characters that it does not know, or changes), so what it leaves out "
    "is not in the bits, but in the bytes"
)


@dataclass(frozen=True)
class LabelledData:
    """`inputs` are arrays (N, T, …) by name: N sequences of T ticks, each from the initial state.

    `labels` are classes, (N,) one for a sequence or (N, T) one for a tick; a tick whose label is negative is not
    counted. `unit` names what has a label: "sequence", "tick", "byte" of a text, or "token" of one of `nbytes` bytes.
    `note` says what of a text its tokens do not say.
    """

    inputs: Mapping[str, Array]
    labels: NDArray[np.int64]
    unit: str
    nbytes: int = 0
    note: str = ""


def read_labelled(
    data: str | os.PathLike[str],
    labels: str | os.PathLike[str] | None,
    spec: StepSpec,
    ticks: int | None = None,
    fit: Fit | None = None,
    tokenizer: bytes | None = None,
) -> LabelledData:
    """Data for a step from a file of arrays, `.npy` or `.npz` with a `.npy` of labels, or from any other file as text.

    An array is (N, T, *shape of the input), or with `ticks` (N, *shape of the input), each of which is the same in so
    many ticks; `fit` says how they are made to fit. Text is for language models, byte-level ones or those with a
    `tokenizer`, and is one sequence that follows a line end, or what the tokenizer puts before every text.

    Raises InputError for what the step does not take and for labels that do not fit; OSError when a file cannot be
    read.
    """
    path = Path(data)
    if path.suffix.lower() not in ARRAY_SUFFIXES:
        if ticks is not None:
            raise InputError(
                f"{path} is no .npy or .npz file that could be shown for {ticks} ticks; leave --ticks out."
            )
        return _read_text(path, labels, spec, tokenizer)
    if labels is None:
        raise InputError(f"{path} holds arrays; give the right answers with --labels, a .npy file of classes.")
    given = read_arrays(path, spec.inputs, fit, SEQUENCES if ticks is None else SEQUENCES[:1])
    inputs = {name: array if ticks is None else _shown(array, ticks) for name, array in given.items()}
    extents = {array.shape[:2] for array in inputs.values()}
    if len(extents) != 1 or 0 in min(extents):
        raise InputError(f"The arrays in {path} need common leading axes (sequences, ticks), none of them empty.")
    answers = _read_labels(Path(labels), extents.pop())
    return LabelledData(inputs, answers, "sequence" if answers.ndim == 1 else "tick")


def _read_text(
    path: Path, labels: str | os.PathLike[str] | None, spec: StepSpec, tokenizer: bytes | None
) -> LabelledData:
    """A text as one sequence: every byte, or token, is to be told from those before it."""
    codec = find_codec(spec, tokenizer)
    if codec is None:
        raise InputError(
            f"{path} is no .npy or .npz file, and the step is no language model that could read it as text, by bytes "
            "or by a tokenizer (export --tokenizer); give arrays (N, T, …)."
        )
    if labels is not None:
        raise InputError(f"{path} is text, whose next {codec.unit} is the answer; leave out --labels.")
    with open_regular(path) as file:
        text = file.read()
    if not text:
        raise InputError(f"{path} is empty; give the text to predict.")
    token = spec.inputs[0]
    if isinstance(codec, Tokenizer):
        return _tokenised(path, text, token, codec)
    read = np.frombuffer(START + text[:-1], np.uint8).astype(token.dtype).reshape(1, -1, *token.shape)
    return LabelledData({token.name: read}, np.frombuffer(text, np.uint8).astype(np.int64)[None], "byte")


def _tokenised(path: Path, content: bytes, token: TensorSpec, codec: Tokenizer) -> LabelledData:
    """A text by its tokens; those that stand before every text are read and not counted."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8, which the model's tokenizer reads; write it as UTF-8.") from error
    tokens = codec.encode(text)
    if not tokens:
        raise InputError(f"The model's tokenizer makes no token of {path}; give a text that it was made for.")
    every = np.array([*codec.start, *tokens], np.int64)
    labels = every[1:].copy()
    labels[: len(codec.start) - 1] = -1
    read = every[:-1].astype(token.dtype).reshape(1, -1, *token.shape)
    note = "" if codec.decode(tokens, special=True) == text else LOSES
    return LabelledData({token.name: read}, labels[None], "token", len(content), note)


def _shown(array: Array, ticks: int) -> Array:
    """The array with an axis of ticks behind its first, along which nothing changes and nothing is stored."""
    try:
        return np.broadcast_to(array[:, None], (len(array), ticks, *array.shape[1:]))
    except ValueError as error:  # more elements than an address can tell apart
        raise InputError(f"No memory holds {ticks} ticks of {len(array)} inputs; show them for fewer.") from error


def _read_labels(path: Path, extents: tuple[int, int]) -> NDArray[np.int64]:
    stored = read_numpy(path)
    if not isinstance(stored, np.ndarray) or stored.dtype.kind not in "iub":
        raise InputError(f"{path} must hold one array of integers, the number of the right class.")
    if stored.shape not in (extents[:1], extents):
        raise InputError(
            f"The labels in {path} have shape {list(stored.shape)}; {extents[0]} sequences of {extents[1]} ticks need "
            f"[{extents[0]}], a class each, or {list(extents)}, one a tick."
        )
    return stored.astype(np.int64)
