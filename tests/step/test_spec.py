"""The step description: JSON round trips, its schema, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

import astroedge.step.spec
from astroedge.errors import GraphError
from astroedge.step.spec import DTYPES, ActivationSpec, SpikeSpec, StateSpec, StepSpec, TensorSpec

SCHEMA = json.loads((Path(astroedge.__file__).parent / "schemas" / "step.schema.json").read_text())

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
shapes = st.lists(st.integers(1, 9), max_size=4).map(tuple)
dtypes = st.sampled_from(DTYPES)
rates = st.floats(0, 1)
tensors = st.builds(
    TensorSpec,
    names,
    shapes,
    dtypes,
    index_range=st.none() | st.tuples(st.integers(-5, 0), st.integers(1, 1000)),
    span=st.none() | st.floats(0, allow_nan=False),
    firing_rate=st.none() | rates,
    value_range=st.none() | st.tuples(st.integers(-(2**63), 0), st.integers(1, 2**63)),
    values=st.none() | st.lists(st.tuples(st.floats(allow_nan=False), rates), min_size=1, max_size=3).map(tuple),
)
states = st.builds(
    StateSpec,
    names,
    shapes,
    dtypes,
    batch_axis=st.none() | st.integers(0, 3),
    initial=st.none() | st.floats(allow_nan=False),
)
spikes = st.builds(SpikeSpec, names, names, shapes, rates)
activations = st.builds(ActivationSpec, names, names, shapes, rates)


def distinct(items: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Up to three items with different names."""
    return st.lists(items, max_size=3, unique_by=lambda item: item.name).map(tuple)


specs = st.builds(
    StepSpec,
    distinct(tensors),
    distinct(tensors),
    distinct(states),
    distinct(spikes),
    st.dictionaries(names, names, max_size=2),
    distinct(activations),
)
EXAMPLE = StepSpec(
    inputs=(TensorSpec("x", (1, 3), "float32", span=2.5),),
    outputs=(TensorSpec("y", (1, 3), "float32"),),
    states=(StateSpec("v", (1, 3), "float32", initial=-1e30), StateSpec("w", (3,), "int64", None, None)),
    spikes=(SpikeSpec("lif.spike", "ge", (1, 3), 0.125),),
    activations=(ActivationSpec("ff.relu", "relu", (1, 5), 0.25),),
    source={"framework": "torch"},
)


@given(specs)
def test_json_round_trip_keeps_every_field(spec: StepSpec) -> None:
    """A description read back from its JSON text is the same description, whatever its names and numbers."""
    assert StepSpec.from_json(json.loads(json.dumps(spec.to_json(), allow_nan=False))) == spec


@given(specs)
def test_what_is_written_satisfies_the_schema(spec: StepSpec) -> None:
    """Every description that can be made is valid by the schema in the repository."""
    jsonschema.validate(spec.to_json(), SCHEMA, cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), -0.0, 0.1])
def test_fill_survives_json_bit_for_bit(value: float) -> None:
    """Infinities, negative zero and numbers without a short decimal form keep their bits as initial values."""
    state = StateSpec("v", (2,), "float32", initial=value)
    text = json.dumps(state.to_json(), allow_nan=False)
    assert StateSpec.from_json(json.loads(text)).initial.hex() == value.hex()  # type: ignore[union-attr]


def test_nan_fill_survives_json() -> None:
    """A state that starts as NaN still does after a round trip."""
    initial = StateSpec.from_json(StateSpec("v", (2,), "float32", initial=float("nan")).to_json()).initial
    assert initial is not None
    assert initial != initial


def test_graph_value_names_come_from_the_state_name() -> None:
    """A state ties three graph values together by prefixes on its own name."""
    state = StateSpec("blocks.0.astro.H", (1, 2), "float32")
    names = (state.input_name, state.output_name, state.initial_name)
    assert names == ("state.blocks.0.astro.H", "next.blocks.0.astro.H", "initial.blocks.0.astro.H")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_unknown_version_is_refused(version: Any) -> None:
    """A description of another version names the version and says to export again."""
    record = {**EXAMPLE.to_json(), "version": version}
    with pytest.raises(GraphError, match=r"version .*export the model again"):
        StepSpec.from_json(record)


@pytest.mark.parametrize("key", ["inputs", "outputs", "states", "spikes", "source"])
def test_missing_part_is_refused(key: str) -> None:
    """A description that lacks a part is called damaged, not read with a default."""
    record = EXAMPLE.to_json()
    del record[key]
    with pytest.raises(GraphError, match="damaged"):
        StepSpec.from_json(record)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(record, SCHEMA)


@pytest.mark.parametrize("record", [None, [], "step", 7])
def test_something_else_than_an_object_is_refused(record: Any) -> None:
    """JSON that is no object is an error of ours, not a crash."""
    with pytest.raises(GraphError):
        StepSpec.from_json(record)


@pytest.mark.parametrize("key", ["input", "output"])
def test_state_tied_to_other_values_is_refused(key: str) -> None:
    """A record that pairs a state with values of another name is refused instead of being read as if it were right."""
    record = EXAMPLE.states[0].to_json()
    record[key] = record[key] + "x"
    with pytest.raises(GraphError, match="instead of its own"):
        StateSpec.from_json(record)


@pytest.mark.parametrize("part", ["inputs", "outputs", "states"])
def test_two_things_of_one_name_are_refused(part: str) -> None:
    """Names are unique among inputs, among outputs and among states."""
    twice = getattr(EXAMPLE, part)[:1] * 2
    with pytest.raises(GraphError, match=r"Two .* are called"):
        replace(EXAMPLE, **{part: twice})


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn", "int4", "complex64", ""])
def test_other_dtypes_are_refused(dtype: str) -> None:
    """Only the dtypes that a step carries are accepted, and the error lists them."""
    with pytest.raises(GraphError, match="float32"):
        TensorSpec("x", (1,), dtype)
    with pytest.raises(GraphError, match="float32"):
        StateSpec("v", (1,), dtype)


@pytest.mark.parametrize("shape", [(0,), (1, -1), (2, 0, 3)])
def test_open_extents_are_refused(shape: tuple[int, ...]) -> None:
    """Every extent is fixed and positive."""
    with pytest.raises(GraphError, match="fixed and positive"):
        TensorSpec("x", shape, "float32")


def test_sizes_count_elements_and_bytes() -> None:
    """Sizes are those of the dense array; a scalar has one element."""
    assert (TensorSpec("x", (2, 3), "float16").size, TensorSpec("x", (2, 3), "float16").nbytes) == (6, 12)
    assert StateSpec("v", (), "int64").nbytes == 8
