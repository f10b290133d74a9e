"""What the table of operators says of GPUs is true, and each operator's plainest form has the bits of the processor."""

from __future__ import annotations

import pytest

from astroedge.runtimes import load
from astroedge.step.operators import operators
from astroedge.targets.pass_list import UnknownForm
from tests.support import long_rows
from tests.support.builds import build
from tests.support.device_steps import device_step, same_bits
from tests.support.operator_batches import CARRIED, batches, data_of_operators, library_operators, step_of_operators

# A step of this one alone takes as long as all others together; `make cuda-exactness` has it.
LARGE = {"DeformConv"}
BATCHES = list(batches([name for name in CARRIED if name not in LARGE], 60))


@pytest.mark.parametrize("names", BATCHES, ids=lambda names: f"{names[0]}-{names[-1]}")
def test_operators_have_the_bits_of_the_processor_by_the_kernels_of_the_table(names: list[str]) -> None:
    """Many in one step: those of the table's own kernels call the library, the others do not."""
    graph = step_of_operators(names)
    step, data = device_step(graph), data_of_operators(names, 3)
    assert library_operators(step.made, names) == set(names) & operators(lambda row: row.gpu in ("library", "both"))
    with load(build(graph)) as session:
        wanted = session.run(**data)
    given, _, _ = step.run(data)
    assert same_bits(given, wanted) == []


def test_what_an_assembler_might_contract_passes_the_gates() -> None:
    """Sums of negated numbers, and reciprocals in float64, are the same code where contraction is allowed."""
    build(step_of_operators(["Celu", "Cosh", "Elu"]), "cuda:sm_87")


def test_every_operator_with_rows_has_a_form_with_a_long_one() -> None:
    """None is left out, and no other one is said to have rows."""
    assert long_rows.FORMS.keys() == operators(lambda row: row.gpu in ("rows", "both"))


@pytest.mark.parametrize("name", sorted(long_rows.FORMS))
def test_long_rows_are_refused(name: str) -> None:
    """A form of which one thread would do most is not made to wait for."""
    with pytest.raises(UnknownForm, match=r"One thread of a GPU would store [\d,]+ numbers one after the other"):
        device_step(long_rows.step_of_long_rows(name))
