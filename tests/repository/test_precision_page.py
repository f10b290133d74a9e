"""The tables of docs/precisions.md: `python -m tests.repository.test_precision_page` prints them from the code."""

from __future__ import annotations

import numpy as np

from astroedge.errors import CompileError
from astroedge.targets.boards.target import resolve_target
from astroedge.targets.kernels.products.pruned_steps import lanes_of
from astroedge.targets.precision.storage import INT8, STORAGES, Storage
from benchmarks.report.markdown import table
from tests.support.places import DOCS

PAGE = DOCS / "precisions.md"
BEGIN, END = "<!-- printed by tests/repository/test_precision_page.py -->", "<!-- until here -->"
MOST = INT8.most_rows or 0
WEIGHTS = {  # a tensor, and how many inputs its matrix has
    "any other float32 matrix": (np.float32([[0.5, -0.25]]), 2),
    "a matrix with an infinity or a NaN": (np.float32([[0.5, np.inf]]), 2),
    "a matrix with a weight beyond 65,504": (np.float32([[0.5, 1e6]]), 2),
    "a matrix of a float16 graph": (np.float16([[0.5, -0.25]]), 2),
    "a matrix of one input": (np.float32([[0.5, -0.25]]), 1),
}


def test_page_has_the_tables_of_the_code() -> None:
    """Both tables of the page are what the code prints now."""
    page = PAGE.read_text(encoding="utf-8")
    assert page.partition(f"{BEGIN}\n")[2].partition(END)[0] == printed()


def printed() -> str:
    """What precisions are, and what each of them stores."""
    header = ("precision", "bits", "numbers", "scales of a column", "inputs summed at a time", "kernels")
    facts = table(header, [(f"`{word}`", *facts_of(storage)) for word, storage in STORAGES.items()])
    rows = [[what, *(outcome(storage, *given) for storage in STORAGES.values())] for what, given in WEIGHTS.items()]
    rows.append(["a convolution", *map(in_convolutions, STORAGES.values())])
    rows.append([f"a matrix of more than {MOST:,} inputs", *map(with_long_sums, STORAGES.values())])
    stored = table(["weights", *(f"`{word}`" for word in STORAGES)], rows)
    return "\n".join(["", *facts, "", *stored, "", ""])


def facts_of(storage: Storage) -> tuple[str, ...]:
    """Its bits, numbers, scales, sums and kernels."""
    numbers = f"integers −{-storage.lowest} to {storage.largest}" if storage.is_integer else "floats"
    scales, summed = "–", str(storage.sum_block)
    if storage.scaled_by_column:
        scales, summed = "one", f"{summed}, the total scaled"
    elif storage.scaled_by_group:
        scales, summed = f"one for {storage.group} inputs", f"{summed}, each sum scaled"
    kernels = {
        "`event_gemv`": True,
        "`event_rows`": True,
        "`dense_gemv`": True,
        "`fixed_gemv`": storage.is_integer,
        "`dot_gemv`": storage.packs_nibbles,
        "`pruned_gemv`": True,
        "`pruned_lanes`": lanes_of(resolve_target("x86-64-v3"), 256, storage) > 0,
        "`embedding`": True,
        "`convolutions/`": storage.in_convolutions is None,
    }
    return str(storage.bits), numbers, scales, summed, ", ".join(name for name, reads in kernels.items() if reads)


def outcome(storage: Storage, tensor: np.ndarray, rows: int) -> str:
    """What a matrix is stored in that should have this precision."""
    return "float32" if storage.problem(tensor, rows) else "✓"


def in_convolutions(storage: Storage) -> str:
    """What a convolution is stored in that should have this precision."""
    return storage.in_convolutions.name if storage.in_convolutions else "✓"


def with_long_sums(storage: Storage) -> str:
    """Whether a matrix with more inputs than the sums of int8 allow is compiled."""
    try:
        storage.check_rows(MOST + 1)
    except CompileError:
        return "refused"
    return "✓"


if __name__ == "__main__":
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(f"{BEGIN}\n")
    PAGE.write_text(f"{before}{BEGIN}\n{printed()}{END}{rest.partition(END)[2]}", encoding="utf-8")
