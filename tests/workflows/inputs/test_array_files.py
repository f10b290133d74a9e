from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroedge.errors import InputError
from astroedge.step.spec import TensorSpec
from astroedge.workflows.inputs.array_files import Array, check_suffix, encode_arrays, read_arrays, read_csv

X = TensorSpec("x", (1, 3), "float32")
TOKEN = TensorSpec("token", (1,), "int64", index_range=(0, 9))
GATE = TensorSpec("gate", (2,), "bool")
EVERY = (X, TOKEN, GATE)
ARRAYS: dict[str, Array] = {
    "x": np.array([[[0.1, -2.5e-8, 3e20]], [[np.inf, -0.0, 1 / 3]]], np.float32),
    "token": np.array([[3], [8]]),
    "gate": np.array([[True, False], [False, False]]),
}


def write(path: Path, text: str) -> Path:
    """A text file."""
    path.write_text(text, encoding="utf-8")
    return path


def same(left: dict[str, Array], right: dict[str, Array]) -> bool:
    """Equal names, shapes, dtypes and bits."""
    kinds = [{name: (item.shape, item.dtype, item.tobytes()) for name, item in each.items()} for each in (left, right)]
    return kinds[0] == kinds[1]


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
def test_arrays_of_several_names_come_back_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    """What is written is read back with its bits: infinities, minus zero, tiny and large numbers."""
    path = tmp_path / f"data{suffix}"
    path.write_bytes(encode_arrays(suffix, ARRAYS, EVERY))
    assert same(read_arrays(path, EVERY), ARRAYS)


def test_one_array_comes_back_from_npy(tmp_path: Path) -> None:
    """A .npy file has no names: it is the only input's."""
    path = tmp_path / "x.npy"
    path.write_bytes(encode_arrays(".npy", {"x": ARRAYS["x"]}, [X]))
    assert same(read_arrays(path, [X]), {"x": ARRAYS["x"]})


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3))
def test_every_float32_survives_csv(values: list[float]) -> None:
    """The digits written are enough to read the same float32."""
    array = np.array([[values]], np.float32)
    lines = encode_arrays(".csv", {"x": array}, [X]).decode().splitlines()
    assert next(read_csv(lines, [X], "test"))["x"].tobytes() == array.tobytes()


def test_columns_are_found_by_name_in_any_order(tmp_path: Path) -> None:
    """The first line says which column is which; empty lines are skipped."""
    path = write(tmp_path / "data.csv", "token,gate[1],gate[0],x[2],x[0],x[1]\n\n7,0,1,3,1,2\n")
    found = read_arrays(path, EVERY)
    assert found["x"].tolist() == [[[1, 2, 3]]]
    assert found["token"].tolist() == [[7]]
    assert found["gate"].tolist() == [[True, False]]


def test_numbers_alone_are_taken_in_the_order_of_the_inputs(tmp_path: Path) -> None:
    """Without a line of names the columns are all elements in order."""
    found = read_arrays(write(tmp_path / "data.csv", "1,2,3,7,1,0\n4,5,6,8,0,1\n"), EVERY)
    assert found["x"].tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
    assert found["token"].tolist() == [[7], [8]]


def test_lines_are_answered_as_they_come() -> None:
    """A tick is there as soon as its line is: nothing later is read first."""
    asked: list[int] = []

    def lines() -> Sequence[str]:
        for number in range(3):
            asked.append(number)
            yield f"{number},0,0\n"

    ticks = read_csv(lines(), [X], "test")
    assert next(ticks)["x"][0, 0] == 0
    assert asked == [0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2\n", r"data.csv, line 1: 2 values and there must be 3"),
        ("1,2,3\n4,5,6,7\n", r"line 2: 4 values"),
        ("1,2,three\n", r"line 1: could not convert string to float: 'three'"),
        ("x[0],x[1],x[2]\n1,,3\n", r"line 2: could not convert"),
        ("x[0],x[1],y\n1,2,3\n", r"unknown column 'y'; the columns are x\[0\], x\[1\], x\[2\]"),
        ("x[0],x[0],x[2]\n1,2,3\n", r"lacks or repeats a column"),
        ("x[0],x[1],x[2]\n", r"holds no line of numbers"),
        ("", r"holds no line of numbers"),
    ],
)
def test_csv_that_does_not_fit_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    """The message says which line and what is wrong with it."""
    with pytest.raises(InputError, match=message):
        read_arrays(write(tmp_path / "data.csv", text), [X])


@pytest.mark.parametrize(
    ("spec", "cell", "message"),
    [
        (TOKEN, "2.5", "invalid literal"),
        (TensorSpec("t", (1,), "int8"), "128", "takes -128 to 127"),
        (TensorSpec("g", (1,), "bool"), "2", "takes 0 or 1"),
    ],
)
def test_csv_value_its_dtype_cannot_hold_is_refused(spec: TensorSpec, cell: str, message: str) -> None:
    """Nothing is rounded or wrapped on the way in."""
    with pytest.raises(InputError, match=message):
        next(read_csv([cell], [spec], "test"))


def test_nan_in_csv_reaches_the_step_as_nan() -> None:
    """A NaN is a number here; it is the step that refuses it."""
    assert np.isnan(next(read_csv(["nan,1,2"], [X], "test"))["x"][0, 0])


@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04 cut short"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_file_that_is_no_numpy_file_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    """Damage is one clear error, whatever NumPy raises."""
    path = tmp_path / f"data{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a NumPy file of plain arrays"):
        read_arrays(path, [X])


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    """An array of Python objects would run code when read; it is refused."""
    np.save(tmp_path / "data.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="plain arrays"):
        read_arrays(tmp_path / "data.npy", [X])


def test_wrong_names_in_npz_are_refused(tmp_path: Path) -> None:
    """The names must be the inputs', no more and no fewer."""
    np.savez(tmp_path / "data.npz", x=ARRAYS["x"], wrong=ARRAYS["x"])
    with pytest.raises(InputError, match=r"holds x, wrong and must hold x, token"):
        read_arrays(tmp_path / "data.npz", [X, TOKEN])


def test_one_array_for_several_is_refused(tmp_path: Path) -> None:
    """A .npy file can neither be read nor written where there are several arrays."""
    np.save(tmp_path / "data.npy", ARRAYS["x"])
    with pytest.raises(InputError, match=r"one array and 3 are needed"):
        read_arrays(tmp_path / "data.npy", EVERY)
    with pytest.raises(InputError, match=r"one array and the step gives 3"):
        encode_arrays(".npy", ARRAYS, EVERY)


def test_unknown_suffix_is_refused() -> None:
    """A format is known by its suffix alone."""
    with pytest.raises(InputError, match=r"does not end in \.npy, \.npz, \.csv"):
        check_suffix(Path("data.txt"))
    assert check_suffix(Path("DATA.CSV")) == ".csv"


@pytest.mark.parametrize("text", ["1e300,0,0", "1e400,0,0", "0,-1e39,0"])
def test_a_number_that_is_too_large_for_its_dtype_is_refused(text: str) -> None:
    """It would become infinity, which nobody wrote; infinity itself is a number."""
    with pytest.raises(InputError, match="does not hold so large a number"):
        next(read_csv([text], [X], "test"))
    assert np.isinf(next(read_csv(["inf,-Infinity,0"], [X], "test"))["x"][0, :2]).all()


def test_what_is_no_text_of_cells_is_one_line() -> None:
    """A cell without end is refused as any other damage is."""
    with pytest.raises(InputError, match="no text of numbers"):
        next(read_csv(["1" * 200_000], [X], "test"))
