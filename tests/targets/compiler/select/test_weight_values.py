"""Weights are packed once for each kind of kernel, named after their product, and counted."""

from __future__ import annotations

import numpy as np

from astroedge.targets.compiler.program.step_program import Value
from astroedge.targets.compiler.select.weight_values import WeightValues
from astroedge.targets.precision.quantise_weights import StoredWeights, WeightChoice, matrix_key
from astroedge.targets.precision.storage import FLOAT32, INT4, INT8, Storage
from astroedge.targets.precision.weight_format import store

WEIGHTS = np.random.default_rng(0).normal(size=(70, 12)).astype(np.float32)


def stored(storage: Storage) -> tuple[WeightValues, Value, str]:
    """The packer for one matrix in a precision, the matrix as a step program has it, and its key."""
    form = store(WEIGHTS, storage)
    matrix = form.dequantise()
    key = matrix_key(matrix)
    weights = StoredWeights(storage.name, "0" * 64, (WeightChoice("W", 70, 12, key, storage, ""),), {key: form})
    return WeightValues(weights), Value("weight_0", matrix.shape, "float32", "weight", matrix), key


def test_a_weight_is_packed_once_however_many_products_read_it() -> None:
    """The second product gets the very values of the first, and their bytes count once."""
    values, matrix, key = stored(INT8)
    first = values.for_event("layer", matrix)
    assert values.for_event("other", matrix) is first
    assert [(value.name, value.dtype, value.kind) for value in first] == [
        ("layer.weight", "int8", "weight"),
        ("layer.scales", "float32", "weight"),
    ]
    assert values.nbytes == {key: 70 * 12 + 4 * 12}


def test_another_kind_of_kernel_has_a_copy_of_its_own() -> None:
    """Row-major weights and weights in tiles both lie in the file, and both count."""
    values, matrix, key = stored(INT4)
    event, dense = values.for_event("layer", matrix), values.for_dense("layer", matrix, 16)
    assert event[0] is not dense[0]
    assert values.nbytes == {key: sum(value.nbytes for value in (*event, *dense))}


def test_weights_that_no_rule_changed_stay_as_they_are() -> None:
    """An event-driven product reads the float32 value itself, under its own name; a state is never packed."""
    values = WeightValues(StoredWeights())
    matrix = Value("weight_0", (70, 12), "float32", "weight", WEIGHTS)
    assert values.for_event("layer", matrix) == (matrix,)
    assert matrix.name == "layer.weight"
    state = Value("H", (70, 12), "float32", "state")
    assert values.for_event("readout", state) == (state,)
    assert (state.name, values.storage(state), values.nbytes) == ("H", FLOAT32, {})
