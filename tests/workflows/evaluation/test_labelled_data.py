"""Labelled data: text is its own answer, sequences come with theirs, and what does not fit is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.workflows.evaluation.labelled_data import read_labelled

FRAMES = StepSpec(
    inputs=(TensorSpec("x", (1, 3), "float32"),), outputs=(TensorSpec("y", (1, 4), "float32"),), states=()
)
BYTES = StepSpec(
    inputs=(TensorSpec("token", (1,), "int64", index_range=(0, 256)),),
    outputs=(TensorSpec("logits", (1, 256), "float32"),),
    states=(),
)
X = np.arange(2 * 5 * 3, dtype=np.float32).reshape(2, 5, 3)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Two sequences of five ticks of three numbers."""
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


def saved(folder: Path, labels: object) -> Path:
    """A file of labels."""
    np.save(folder / "labels.npy", np.asarray(labels))
    return folder / "labels.npy"


def test_every_byte_of_a_text_is_told_from_those_before(tmp_path: Path) -> None:
    """The first follows a line end; the text is one sequence."""
    (tmp_path / "held-out.txt").write_bytes(b"abc\xff")
    data = read_labelled(tmp_path / "held-out.txt", None, BYTES)
    assert data.inputs["token"].dtype == np.int64
    assert data.inputs["token"].tolist() == [[[10], [97], [98], [99]]]
    assert (data.labels.tolist(), data.unit) == ([[97, 98, 99, 255]], "byte")


@pytest.mark.parametrize(("labels", "unit"), [([3, 0], "sequence"), (np.zeros((2, 5), np.uint8), "tick")])
def test_sequences_have_a_class_each_or_one_at_every_tick(frames: Path, labels: object, unit: str) -> None:
    """The batch axis of 1 may be left out of the data."""
    data = read_labelled(frames, saved(frames.parent, labels), FRAMES)
    np.testing.assert_array_equal(data.inputs["x"], X[:, :, None])
    assert (data.labels.tolist(), data.unit) == (np.asarray(labels).tolist(), unit)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([1, 2, 3], r"shape \[3\]; 2 sequences of 5 ticks need \[2\], a class each, or \[2, 5\]"),
        ([0.5, 1.0], "integers"),
        (None, "--labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(frames: Path, labels: object, message: str) -> None:
    """Their number, their dtype, or that they are missing."""
    with pytest.raises(InputError, match=message):
        read_labelled(frames, None if labels is None else saved(frames.parent, labels), FRAMES)


@pytest.mark.parametrize("array", [X[:, :, :2], X.astype(np.float64), X[0, 0], X[:0], X.astype(np.int64)])
def test_data_that_the_step_does_not_take_is_refused(tmp_path: Path, array: np.ndarray) -> None:
    """Shape and dtype are those of the input, behind sequences and ticks; nothing is cast."""
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(InputError, match=r"x"):
        read_labelled(tmp_path / "x.npy", saved(tmp_path, [0, 1]), FRAMES)


def test_arrays_of_different_lengths_are_refused(tmp_path: Path) -> None:
    """Two inputs have the same sequences and ticks."""
    spec = StepSpec((*FRAMES.inputs, TensorSpec("g", (2,), "float32")), FRAMES.outputs, ())
    np.savez(tmp_path / "x.npz", x=X, g=np.zeros((2, 4, 2), np.float32))
    with pytest.raises(InputError, match="common leading axes"):
        read_labelled(tmp_path / "x.npz", saved(tmp_path, [0, 1]), spec)


def test_text_is_for_byte_models_and_has_no_labels(tmp_path: Path) -> None:
    """Any other model wants arrays; an empty text says nothing."""
    text = tmp_path / "t.txt"
    text.write_bytes(b"words")
    with pytest.raises(InputError, match="no language model"):
        read_labelled(text, None, FRAMES)
    with pytest.raises(InputError, match="leave out --labels"):
        read_labelled(text, saved(tmp_path, [0]), BYTES)
    text.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        read_labelled(text, None, BYTES)


def test_a_file_of_labels_that_is_none_is_one_line(frames: Path) -> None:
    """A text file in the place of labels is refused by its name."""
    (frames.parent / "labels.npy").write_text("3 0")
    with pytest.raises(InputError, match=r"labels.npy is not a NumPy file"):
        read_labelled(frames, frames.parent / "labels.npy", FRAMES)


def test_images_are_shown_for_a_number_of_ticks(tmp_path: Path) -> None:
    """Without an axis of ticks each is the same in all of them, and is stored once."""
    np.save(tmp_path / "x.npy", X[:, 0])
    data = read_labelled(tmp_path / "x.npy", saved(tmp_path, [1, 3]), FRAMES, ticks=6)
    assert (data.inputs["x"].shape, data.inputs["x"].strides[1]) == ((2, 6, 1, 3), 0)
    np.testing.assert_array_equal(data.inputs["x"][:, 4, 0], X[:, 0])
    (tmp_path / "text.txt").write_text("a")
    with pytest.raises(InputError, match="leave --ticks out"):
        read_labelled(tmp_path / "text.txt", None, BYTES, ticks=6)
