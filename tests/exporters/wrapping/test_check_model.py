"""What is wrong with a model before it is run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from astroedge.errors import ExportError
from astroedge.exporters.wrapping.check_model import check_model


@pytest.mark.parametrize(("holder", "place"), [([nn.GRUCell(3, 3)], "0"), ({"cell": nn.GRUCell(3, 3)}, "cell")])
def test_modules_in_plain_containers_are_refused(holder: object, place: str) -> None:
    """PyTorch does not find them: their state would not be found either, and eval() does not reach them."""
    model = nn.Module()
    model.layers = holder  # type: ignore[assignment]
    message = rf"^Module keeps a GRUCell at 'layers\.{place}', where PyTorch does not find.*nn\.ModuleList"
    with pytest.raises(ExportError, match=message):
        check_model(model.eval())


def test_second_reference_to_a_module_is_no_stray() -> None:
    """A list of modules that are registered elsewhere is only another way to them."""
    model = nn.Module()
    model.first = nn.GRUCell(3, 3)
    model.order = [model.first]  # type: ignore[assignment]
    check_model(model.eval())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_module_compiled_by_torch_jit_is_refused() -> None:
    """TorchScript shows neither its attributes nor its calls; the module that holds it is told which one it is."""
    script = torch.jit.script(nn.GRUCell(3, 3))  # type: ignore[no-untyped-call]
    model = nn.ModuleDict({"plain": nn.GRUCell(3, 3), "compiled": script})
    with pytest.raises(ExportError, match=r"^Module 'compiled' \(RecursiveScriptModule\) is compiled by torch\.jit"):
        check_model(model.eval())


def test_float16_weights_are_refused() -> None:
    """Two runtimes agree on too few digits of a sum in float16 for spikes to be compared."""
    model = nn.Sequential(nn.Linear(3, 3), nn.GRUCell(3, 3).half()).eval()
    with pytest.raises(
        ExportError, match=r"^Module '1' \(GRUCell\) has .* '1\.weight_ih' in float16, .* model\.float\(\)"
    ):
        check_model(model)
