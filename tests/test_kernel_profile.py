"""Kernels of a profile as data: a DataFrame of them, where pandas is installed."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

from astroedge.errors import MissingDependencyError
from astroedge.kernel_profile import Instrumented, KernelTime, KernelTimes

ITEM = KernelTime("event-gemv-0", "hidden", "matmul", "event", 1, 80.0, 0.8, 640.0, 64, 6.4, 8e9, None)
KERNELS = KernelTimes(
    Instrumented(130.0, 100.0, 1.3, 100.0, 20.0),
    (ITEM, replace(ITEM, name="copy-0", module="", kind="other", time=20.0, share=0.2, inputs=None, active=None)),
)


def test_a_kernel_is_named_by_module_and_operator() -> None:
    """Where no module is known the operator stands alone."""
    assert [item.title for item in KERNELS.items] == ["hidden: matmul", "matmul"]


def test_rows_say_what_a_time_is_of() -> None:
    """Active inputs are in the note of a kernel that has some."""
    notes = [row[5] for row in KERNELS.rows() if row[0] == "kernel"]
    assert "6.4 of 64 inputs active" in notes[0]
    assert "active" not in notes[1]


def test_a_dataframe_needs_pandas() -> None:
    """A row for each kernel; without pandas one line says how to get it."""
    if find_spec("pandas") is None:
        with pytest.raises(MissingDependencyError, match="pip install pandas"):
            KERNELS.to_dataframe()
        return
    frame = KERNELS.to_dataframe()
    assert list(frame["module"]) == ["hidden", ""]
    assert frame["time"].sum() == 100.0
