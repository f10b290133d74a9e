"""What a session takes for inputs and for arrays to write to, what it refuses, and that a refusal changes nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from astroedge.errors import InputError
from astroedge.runtimes.session.compiled import CompiledSession
from tests.support.bundles import FEATURES, READOUTS, TOKENS, draw_ticks, one_tick


def test_run_takes_any_memory_layout(session: CompiledSession) -> None:
    """Inputs that are not contiguous, or read only, are packed right."""
    inputs = draw_ticks(20)
    expected = session.run(**inputs)
    session.reset()
    wide = {name: np.repeat(array, 2, axis=0)[::2] for name, array in inputs.items()}
    wide["x"] = np.asfortranarray(inputs["x"])
    wide["token"].flags.writeable = False
    found = session.run(**wide)
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_python_numbers_for_inputs_of_size_one(session: CompiledSession) -> None:
    """A Python number or a NumPy scalar of the right dtype stands for an input of size 1."""
    tick = one_tick()
    expected = session.step(**{**tick, "token": np.array([7])})
    for token in (7, np.int64(7), np.array([7], np.int64)):
        session.reset()
        assert np.array_equal(session.step(**{**tick, "token": token})["y"], expected["y"])


class Subclass(np.ndarray[Any, Any]):
    """An array type of someone else, such as numpy.memmap is."""


def test_subclasses_of_arrays_are_arrays(session: CompiledSession) -> None:
    """An array subclass of the right shape and dtype is taken."""
    tick = one_tick()
    expected = session.step(**tick)
    session.reset()
    assert np.array_equal(session.step(**{**tick, "x": tick["x"].view(Subclass)})["y"], expected["y"])


class TensorLike:
    """What another library's array is to NumPy: an object that makes one of itself, or raises."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.array is None:
            raise RuntimeError("I am on a GPU")
        return self.array


def test_lists_and_arrays_of_other_libraries_are_taken(session: CompiledSession) -> None:
    """Numbers in lists and what makes an array of itself give the bits of the same NumPy arrays, in step and run."""
    tick = one_tick()
    expected = session.step(**tick)["y"]
    for convert in (np.ndarray.tolist, TensorLike):
        session.reset()
        given = {name: convert(np.asarray(value)) for name, value in tick.items()}
        assert np.array_equal(session.step(**given)["y"], expected)
        session.reset()
        rows = {name: convert(np.asarray(value)[None]) for name, value in tick.items()}
        assert np.array_equal(session.run(**rows)["y"], expected[None])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "wrong name": ({"tokens": 1, "token": None}, r"no input 'tokens'; did you mean 'token'\?"),
    "missing": ({"gate": None}, "'gate' is missing"),
    "extra": ({"y": np.zeros(3)}, "no input 'y'"),
    "wrong shape": ({"x": np.zeros(FEATURES, np.float32)}, r"float32 \(1, 8\).*float32 \(8,\)"),
    "transposed": ({"x": np.zeros((FEATURES, 1), np.float32)}, r"\(8, 1\)"),
    "scalar array": ({"token": np.array(3)}, r"int64 \(1,\) or a Python number and got int64 \(\)"),
    "wider float": ({"x": np.zeros((1, FEATURES))}, r"float64 \(1, 8\)"),
    "narrower integer": ({"token": np.array([3], np.int32)}, "int32"),
    "other byte order": ({"x": np.zeros((1, FEATURES), ">f4")}, ">f4"),
    "NumPy scalar of another dtype": ({"token": np.int32(3)}, "int32 scalar"),
    "NumPy scalar for many elements": ({"x": np.float32(3)}, "float32 scalar"),
    "rows of two lengths": ({"x": [[0.0] * FEATURES, [0.0]]}, "list"),
    "list of another shape": ({"x": [0.0] * FEATURES}, r"float32 \(8,\)"),
    "list of too large numbers": ({"x": [[1e39] * FEATURES]}, "list"),
    "list of floats for an integer": ({"token": [3.0]}, "list"),
    "list of too large integers": ({"token": [2**63]}, "list"),
    "tensor of another dtype": ({"x": TensorLike(np.zeros((1, FEATURES)))}, "float64"),
    "tensor that makes no array": ({"x": TensorLike(None)}, "TensorLike"),
    "number for many elements": ({"x": 1.0}, "float 1.0"),
    "float for an integer": ({"token": 3.0}, "float 3.0"),
    "bool for an integer": ({"token": True}, "bool True"),
    "text": ({"token": "3"}, "str '3'"),
    "None": ({"token": ...}, "ellipsis"),
    "number too large": ({"token": 2**63}, "int64 does not hold"),
    "token out of range": ({"token": TOKENS}, rf"'token' is {TOKENS} at \[0\]; it must be from 0 to {TOKENS - 1}"),
    "negative token": ({"token": np.array([-1])}, r"is -1 at \[0\]"),
    "NaN": ({"x": np.array([[0, 1, 2, np.nan, 4, 5, 6, 7]], np.float32)}, r"'x' holds a NaN at \[0, 3\]"),
    "NaN in float16": ({"gate": np.array([0, np.nan], np.float16)}, r"'gate' holds a NaN at \[1\]"),
}


@pytest.mark.parametrize(("change", "match"), REFUSED.values(), ids=REFUSED)
def test_refused_input_leaves_the_state(session: CompiledSession, change: dict[str, Any], match: str) -> None:
    """Each wrong input is one clear line that names it, and state and counts are as before."""
    session.step(**one_tick())
    state, activity = session.state.copy(), session.activity()
    inputs = {name: value for name, value in {**one_tick(), **change}.items() if value is not None}
    with pytest.raises(InputError, match=match) as caught:
        session.step(**inputs)
    assert "\n" not in str(caught.value)
    assert np.array_equal(session.state, state)
    assert session.activity() == activity
    session.step(**one_tick())


RUN_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "wrong name": ({"token_": np.zeros((9, 1), np.int64), "token": None}, "did you mean 'token'"),
    "one tick's shape": ({"token": np.zeros(9, np.int64)}, r"\(9, 1\).*got int64 \(9,\)"),
    "number": ({"token": 3}, "leading axis"),
    "different lengths": ({"x": np.zeros((8, 1, FEATURES), np.float32)}, r"\(9, 1, 8\).*\(8, 1, 8\)"),
    "wrong dtype": ({"x": np.zeros((9, 1, FEATURES))}, "float64"),
    "NaN in a later tick": ({"gate": np.full((9, 2), [0, np.nan], np.float16)}, r"NaN at \[1\] in tick 0"),
    "token in a later tick": ({"token": np.array([[0]] * 8 + [[99]])}, r"is 99 at \[0\] in tick 8 of this run"),
    "number of ticks twice": ({"steps": 9}, "steps= is for"),
}


@pytest.mark.parametrize(("change", "match"), RUN_REFUSED.values(), ids=RUN_REFUSED)
def test_refused_run_leaves_the_state(session: CompiledSession, change: dict[str, Any], match: str) -> None:
    """A run is refused as a whole, before its first tick, even when only its last tick is wrong."""
    state = session.state.copy()
    inputs = {name: value for name, value in {**draw_ticks(9), **change}.items() if value is not None}
    with pytest.raises(InputError, match=match) as caught:
        session.run(**inputs)
    assert "\n" not in str(caught.value)
    assert np.array_equal(session.state, state)
    assert session.activity()["lif.spikes"].ticks == 0


def test_outputs_are_fresh_or_the_arrays_given(session: CompiledSession) -> None:
    """A step's outputs are its own; with `out` they go into the caller's arrays, and only into those named."""
    first = session.step(**one_tick())
    kept = {name: array.copy() for name, array in first.items()}
    given = {"y": np.empty((1, READOUTS), np.float32)}
    assert session.step(**one_tick(), out=given) is given
    assert all(np.array_equal(first[name], kept[name]) for name in kept)
    session.reset()
    session.step(**one_tick())
    assert np.array_equal(session.step(**one_tick())["y"], given["y"])


BAD_OUT: list[tuple[Any, str]] = [
    ({"z": np.zeros(3)}, r"no output 'z'\. It has y"),
    ([1], "dict of arrays .* list"),
    (np.zeros((1, READOUTS), np.float32), "dict of arrays .* ndarray"),
    ({"y": np.zeros((1, READOUTS))}, "float32"),
    ({"y": np.zeros((READOUTS,), np.float32)}, "float32"),
    ({"y": [0.0]}, "NumPy array"),
    ({"y": np.broadcast_to(np.float32(0), (1, READOUTS))}, "writeable"),
]


@pytest.mark.parametrize(("out", "match"), BAD_OUT)
def test_wrong_out_is_refused_before_the_tick(session: CompiledSession, out: Any, match: str) -> None:
    """An `out` that outputs do not fit is refused and the state is unchanged."""
    state = session.state.copy()
    with pytest.raises(InputError, match=match):
        session.step(**one_tick(), out=out)
    assert np.array_equal(session.state, state)
