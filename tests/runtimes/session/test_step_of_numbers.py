"""Steps whose inputs are single numbers with unusual names, or that have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import astroedge
from astroedge.bundle.container import Bundle
from astroedge.bundle.manifest import BufferField, InputField, Layout, StateField
from astroedge.errors import InputError
from astroedge.step.spec import StateSpec, StepSpec, TensorSpec
from astroedge.targets.boards.target import resolve_target
from tests.support.bundles import make_bundle, tiny_manifest


def free_bundle(names: tuple[str, ...]) -> Bundle:
    """A step that counts in its state and gives the count, with inputs of the names given."""
    target = resolve_target("native")
    layout = Layout(
        inputs_size=64 * len(names),
        inputs=tuple(
            InputField(name, (), "float32", 64 * index, 4, True, False, 0, 0, "uniform", 0)
            for index, name in enumerate(names)
        ),
        outputs_size=64,
        outputs=(BufferField("count", (), "int64", 0, 8),),
        state_size=64,
        state=(StateField("count", (), "int64", 0, 8, False, (40.0).hex(), 0),),
        weights_size=0,
        weights=(),
        workspace_size=0,
    )
    step = StepSpec(
        inputs=tuple(TensorSpec(name, (), "float32") for name in names),
        outputs=(TensorSpec("count", (), "int64"),),
        states=(StateSpec("count", (), "int64", initial=40.0),),
    )
    tick = "int astroedge_tick(float *i, long long *o, long long *s) { *o = ++*s + (long long)SUM; return 0; }"
    total = " + ".join(f"i[{16 * index}]" for index in range(len(names))) or "0"
    manifest = replace(tiny_manifest(target), layout=layout, step=step, activity=())
    return make_bundle(manifest, tick.replace("SUM", total), b"", target)


def test_step_without_inputs_weights_and_workspace() -> None:
    """A step that reads only its state runs; `steps` says for how long."""
    with astroedge.load(free_bundle(())) as session:
        assert session.step() == {"count": 41}
        assert session.run(steps=3)["count"].tolist() == [42, 43, 44]
        assert session.run(steps=0)["count"].shape == (0,)
        for steps in (None, -1, 2.0):
            with pytest.raises(InputError, match="steps="):
                session.run(steps=steps)
        assert session.activity() == {}


def test_inputs_with_the_names_of_options() -> None:
    """Inputs called self, out and steps are inputs like others."""
    with astroedge.load(free_bundle(("self", "out", "steps"))) as session:
        assert session.step(**{"self": 1.0, "out": 2.0, "steps": 3})["count"] == 47
        three = np.ones(3, np.float32)
        assert session.run(**{"self": three, "out": three, "steps": three})["count"].tolist() == [45, 46, 47]


def test_python_numbers_are_held_exactly_or_refused() -> None:
    """A number too large for float32 is refused; infinity passes; NaN is refused by the native check."""
    with astroedge.load(free_bundle(("x",))) as session:
        for value in (1e39, -(10**400)):
            with pytest.raises(InputError, match="float32 does not hold"):
                session.step(x=value)
        for value in (float("nan"), np.float32("nan")):
            with pytest.raises(InputError, match=r"NaN at \[\]"):
                session.step(x=value)
        session.step(x=float("inf"))
