"""Every instruction of the emulator on a real GPU: `python -m tests.cuda_emulator.on_gpu`.

Prints what gives other bits there than the reference, which the emulator agrees with; compute capability 8.0 or later.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.cuda_emulator.driver_calls import Driver
from tests.cuda_emulator.instruction_module import (
    FORMS,
    drawn_operands,
    empty_results,
    instruction_module,
    wrong_results,
)


def run_instructions(library: Path | str) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Drawn operands, and what a driver's GPU makes of them."""
    driver = Driver(library)
    try:
        operands, results = drawn_operands(), empty_results()
        given, to = driver.upload(operands), driver.upload(results)
        driver.launch(driver.load(instruction_module(), "all"), 1, operands.shape[1], given, to)
        driver.wait()
        return operands, driver.download(to, results)
    finally:
        driver.close()


if __name__ == "__main__":
    wrong = wrong_results(*run_instructions("libcuda.so.1"))
    sys.stdout.write("\n".join([*wrong, f"{len(FORMS)} instructions, {len(wrong)} differ", ""]))
    sys.exit(bool(wrong))
