"""Fourier transforms and determinants give what ONNX Runtime gives."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import helper

from astroedge.errors import UnsupportedOpError
from tests.support.builds import build
from tests.support.node_lists import compare, step_of_nodes

RNG = np.random.default_rng(3)
INPUTS = {
    "real": RNG.normal(size=(2, 8, 3, 1)).astype(np.float32),
    "complex": RNG.normal(size=(2, 8, 3, 2)).astype(np.float32),
    "half": RNG.normal(size=(2, 5, 3, 2)).astype(np.float32),
    "signal": RNG.normal(size=(2, 20, 1)).astype(np.float32),
    **{f"m{size}": RNG.normal(size=(2, size, size)).astype(np.float32) for size in (1, 2, 3, 4)},
}
INPUTS["half"][:, [0, 4], :, 1] = 0  # else it would be the half of no real signal
CONSTANTS = {
    "axis": np.array(1), "length": np.array(4), "longer": np.array(16), "step": np.array(3),
    "window": np.hanning(8).astype(np.float32), "frame": np.array(8),
}  # fmt: skip


def test_fourier_transforms_of_every_form() -> None:
    """Of real and complex numbers, forwards and back, all or half of the frequencies, cut and filled up; in pieces."""
    nodes = [
        helper.make_node("DFT", ["real", "", "axis"], ["y_real"]),
        helper.make_node("DFT", ["real", "", "axis"], ["y_half"], onesided=1),
        helper.make_node("DFT", ["complex", "", "axis"], ["y_complex"]),
        helper.make_node("DFT", ["complex", "", "axis"], ["y_back"], inverse=1),
        helper.make_node("DFT", ["complex", "length", "axis"], ["y_cut"]),
        helper.make_node("DFT", ["real", "longer", "axis"], ["y_filled"]),
        helper.make_node("STFT", ["signal", "step", "window"], ["y_pieces"], onesided=1),
        helper.make_node("STFT", ["signal", "step", "", "frame"], ["y_all"], onesided=0),
    ]
    compare(nodes, INPUTS, CONSTANTS, opset=20)


def test_half_of_the_frequencies_back_is_the_signal() -> None:
    """The real numbers whose transform has these frequencies, as NumPy has them."""
    node = helper.make_node("DFT", ["half", "", "axis"], ["y"], inverse=1, onesided=1)
    given = compare([node], INPUTS, CONSTANTS, opset=20)["y"][0, ..., 0]
    expected = np.fft.irfft(INPUTS["half"][..., 0] + 1j * INPUTS["half"][..., 1], axis=1)
    np.testing.assert_allclose(given, expected, atol=1e-6)


def test_determinants_of_small_matrices() -> None:
    """One to four rows, several matrices at once; a larger one is refused by name."""
    compare([helper.make_node("Det", [f"m{size}"], [f"y{size}"]) for size in (1, 2, 3, 4)], INPUTS, {}, tolerance=1e-5)
    five = {"x": np.zeros((5, 5), np.float32)}
    with pytest.raises(UnsupportedOpError, match="Det with a 5×5 matrix"):
        build(step_of_nodes([helper.make_node("Det", ["x"], ["y"])], five, {}, {"y": np.zeros((), np.float32)}))


def test_any_length_is_transformed() -> None:
    """Ten elements and seven, forwards, back and in halves, are NumPy's to float32; ONNX Runtime is off by 1e-3."""
    rng = np.random.default_rng(5)
    inputs = {name: rng.normal(size=(1, length, 2)).astype(np.float32) for name, length in (("ten", 10), ("seven", 7))}
    nodes = [
        helper.make_node("DFT", [name, "", "axis"], [f"y_{name}_{inverse}"], inverse=inverse)
        for name in inputs
        for inverse in (0, 1)
    ]
    given = compare(nodes, inputs, CONSTANTS, opset=20, tolerance=1e-2)
    for name, x in inputs.items():
        numbers = x[..., 0].astype(np.float64) + 1j * x[..., 1]
        for inverse, transform in enumerate((np.fft.fft, np.fft.ifft)):
            expected = transform(numbers, axis=1)
            found = given[f"y_{name}_{inverse}"][0]
            np.testing.assert_allclose(found[..., 0] + 1j * found[..., 1], expected, rtol=0, atol=2e-6)


def test_lengths_whose_matrix_would_be_too_large_are_refused() -> None:
    """A transform of five thousand elements is an error that says what is carried."""
    long, spectrum = {"x": np.zeros((1, 5000, 1), np.float32)}, {"y": np.zeros((1, 5000, 2), np.float32)}
    with pytest.raises(UnsupportedOpError, match="DFT with a length of 5000, and the longest is 4096"):
        build(step_of_nodes([helper.make_node("DFT", ["x"], ["y"])], long, {}, spectrum, 20))
