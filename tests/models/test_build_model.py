"""Models from names and JSON arguments."""

from __future__ import annotations

from typing import Any

import pytest

from astroedge.errors import InputError
from astroedge.models import L2MU, RWKV4, AstroSNNStep, SpikeGPT
from astroedge.models.build_model import build_model


@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        ("L2MU", {"widths": [6, 8, 4], "memory": 5}, L2MU),
        ("AstroSNN", {"vocabulary": 17, "width": 12, "layers": 1, "heads": 2, "feed_forward": 8}, AstroSNNStep),
        ("RWKV4", {"width": 8, "layers": 1}, RWKV4),
        ("SpikeGPT", {"width": 8, "layers": 1}, SpikeGPT),
    ],
)
def test_a_model_is_the_step_with_its_arguments(name: str, arguments: dict[str, Any], kind: type) -> None:
    """Constructors' arguments and fields of configurations both arrive, and the module is the step."""
    model = build_model(name, arguments)
    assert type(model) is kind
    assert model.initial_state(3)[0].shape[0] == 3  # type: ignore[operator]


@pytest.mark.parametrize(("name", "arguments"), [("LIFE", {}), ("load_checkpoint", {}), ("L2MU", {"width": 3})])
def test_what_cannot_be_built_is_named(name: str, arguments: dict[str, Any]) -> None:
    """An unknown model and an argument that it does not take are errors with their names."""
    with pytest.raises(InputError, match=name):
        build_model(name, arguments)
