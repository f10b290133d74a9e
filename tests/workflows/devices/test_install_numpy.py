from __future__ import annotations

import pytest

from astroedge.errors import DeviceError
from astroedge.workflows.devices.install_numpy import numpy_archive
from astroedge.workflows.devices.remote_board import describe_board
from tests.support.arm_board import CPUINFO, MODEL


def test_no_wheel_for_a_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that NumPy has no wheel for is named with processor and C library, whether pip is online or not."""
    monkeypatch.setenv("PIP_RETRIES", "0")
    texts = {
        **{"system": "Linux\n6.12", "machine": "aarch64", "bits": "2", "cpuinfo": CPUINFO, "model": MODEL},
        **{"libc": "glibc 2.17", "python": "3.99.1 64\nnumpy -\nastroedge -\n"},
    }
    board = describe_board(texts, "pi")
    assert board.python.works(True)
    assert not board.python.works(False)
    with pytest.raises(DeviceError, match=r"No NumPy can be fetched for pi \(Python 3.99.1, aarch64, glibc 2.17\)"):
        numpy_archive(board, "pi")
