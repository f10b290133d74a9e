"""Instructions that compute: every one of the tables beside what PTX says, written in Python."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from astroedge.errors import MissingDependencyError
from astroedge.targets.cuda.nvrtc import find_nvrtc, load_nvrtc
from tests.cuda_emulator.build_driver import build_driver
from tests.cuda_emulator.driver_calls import settings
from tests.cuda_emulator.instruction_module import FORMS, instruction_text, wrong_results
from tests.cuda_emulator.instruction_reference import NAN
from tests.cuda_emulator.on_gpu import run_instructions
from tests.cuda_emulator.ptx_floats import float_instructions
from tests.cuda_emulator.ptx_integers import integer_instructions


@pytest.fixture(scope="module")
def given_and_made(tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Operands and results, by the fake driver."""
    folder = tmp_path_factory.mktemp("instructions")
    with settings(folder):
        return run_instructions(build_driver(folder))


def test_every_instruction_computes_what_ptx_says(
    given_and_made: tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> None:
    """Bit for bit, also where numbers overflow, are no numbers, or shifts are too long; a wrong bit would be told."""
    operands, results = given_and_made
    assert wrong_results(operands, results) == []
    wrong = results.copy()
    wrong[3, 7] ^= 1
    assert [line.split()[0] for line in wrong_results(operands, wrong)] == [FORMS[3].name]


def test_every_instruction_of_the_tables_is_compared() -> None:
    """What can be translated and is not in the comparison would be believed unseen."""
    known = {name for name, _ in (*integer_instructions(), *float_instructions())}
    assert known == {form.name for form in FORMS}


def test_results_that_are_no_numbers_are_those_of_a_gpu(
    given_and_made: tuple[NDArray[np.uint64], NDArray[np.uint64]],
) -> None:
    """Processors differ in the bits of a NaN; the emulator has the chip's, so that nobody counts on the host's."""
    operands, results = given_and_made
    for t, minus_one in (("f32", 0xBF800000), ("f64", 0xBFF0000000000000)):
        (place,) = (place for place, form in enumerate(FORMS) if form.name == f"sqrt.rn.{t}")
        assert results[place, operands[0].tolist().index(minus_one)] == NAN[t]


def test_nvidias_assembler_takes_every_instruction() -> None:
    """NVRTC hands it text in `asm` as it is: an instruction that does not exist would be an error there."""
    try:
        nvrtc = load_nvrtc(find_nvrtc())
    except MissingDependencyError as error:
        pytest.skip(str(error))
    ways = ".reg .b64 %in, %out; mov.u64 %in, %0; mov.u64 %out, %1;"
    text = f"{{ {ways} {instruction_text()} }}".replace("%", "%%").replace("%%0", "%0").replace("%%1", "%1")
    kernel = 'extern "C" __global__ void all(void *in, void *out) { asm volatile(R"(TEXT)" :: "l"(in), "l"(out)); }'
    assert nvrtc.compile(kernel.replace("TEXT", " ".join(text.split())), "sm_87", ["--std=c++17"]).cubin
