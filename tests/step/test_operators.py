"""The operators that only ONNX Runtime runs: the table is true, export notes them and compile names their module."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import Tensor, nn
from tvm.relax.frontend.onnx import onnx_frontend

import astroedge
from astroedge.errors import UnsupportedOpError
from astroedge.step.operators import NO_EXACT_KERNEL, NO_IMPORTER
from astroedge.targets.exact import exact_math
from tests.support.builds import build


class Angle(nn.Module):
    """Uses a function without an exact kernel."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.atan(x)


class Leaky(nn.Module):
    """Leaky neurons with one of them inside."""

    def __init__(self, special: nn.Module) -> None:
        super().__init__()
        self.special, self.fc = special, nn.Linear(4, 4)

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        v = 0.5 * v + self.special(self.fc(x))
        return v, v


def test_tables_are_those_of_the_importer_and_of_the_kernels() -> None:
    """Every operator without importer is one of ONNX's that TVM does not know; no function is in two tables."""
    known = onnx_frontend._get_convert_map()
    assert {schema.name for schema in onnx.defs.get_all_schemas()} - set(known) >= NO_IMPORTER
    assert set(known) >= NO_EXACT_KERNEL
    assert not {name.lower() for name in NO_EXACT_KERNEL} & set(exact_math.UNARY)


def test_export_notes_what_compile_will_refuse() -> None:
    """The graph is exported, for ONNX Runtime; the note and the refusal name the operator and its module."""
    zeros = torch.zeros(1, 4)
    graph = astroedge.export(Leaky(Angle()).eval(), (torch.linspace(-1, 1, 4)[None],), (zeros,))
    assert any("Module 'special' uses Atan" in note and "compile will refuse" in note for note in graph.notes)
    with pytest.raises(UnsupportedOpError, match=r"^Module 'special' uses Atan.*math='fast'") as caught:
        build(graph)
    assert "\n" not in str(caught.value)
