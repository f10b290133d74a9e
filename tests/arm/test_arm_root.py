"""The emulated board itself: bare, and plainly missing where it cannot be made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.support.arm_root import ARM64, ArmRoot, NoArmRootError, arm_root

WHAT_IS_THERE = """
import importlib.util, platform
packages = ("numpy", "torch", "onnx", "onnxruntime", "tvm", "click", "rich", "psutil")
print(platform.machine(), *(name for name in packages if importlib.util.find_spec(name)))
"""


def test_board_has_numpy_and_nothing_else(root: ArmRoot) -> None:
    """Python on the board is an ARM program, and of all packages it sees NumPy alone."""
    finished = root.run(root.python, "-c", WHAT_IS_THERE)
    assert (finished.stdout.split(), finished.stderr) == (["aarch64", "numpy"], "")


def test_missing_emulator_is_said() -> None:
    """Without QEMU the reason names what to install."""
    with pytest.raises(NoArmRootError, match="qemu-user-static"):
        arm_root(replace(ARM64, emulators=("no-such-emulator",)))
