"""ExecuTorch with XNNPACK in 8 bits: dynamic for linear layers, static for convolutions."""

from __future__ import annotations

from pathlib import Path

import torch

from benchmarks.peers.executorch_xnnpack import PACKAGES, buffered, lower, program_tick
from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Tick, Work

CALIBRATION_TICKS = 100

PEER = Peer(
    name="executorch int8",
    precision="int8",
    recipe="PT2E with XNNPACKQuantizer, weights symmetric int8 by output channel. Linear layers: activations int8 as "
    "they come (dynamic). Convolutions: static, ranges from 100 ticks of example inputs. Everything else in float32, "
    "lowered and stepped as in float32.",
    module=__name__,
    packages=(*PACKAGES, "torchao"),
)


def start(work: Work) -> Tick:
    """The step module with quantised linear layers and convolutions."""

    def make(path: Path) -> None:
        lower(work, quantised(work), path)

    return program_tick(work, work.kept(".pte", list(PEER.versions().values()), make))


def quantised(work: Work) -> torch.nn.Module:
    """The step module, state in buffers, with quantised weights, at its initial state."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    dynamic = get_symmetric_quantization_config(is_per_channel=True, is_dynamic=True)
    static = get_symmetric_quantization_config(is_per_channel=True)
    quantizer = XNNPACKQuantizer()
    quantizer.set_operator_type(torch.ops.aten.linear.default, dynamic)
    quantizer.set_operator_type(torch.ops.aten.conv2d.default, static)
    exported = torch.export.export(buffered(work), tuple(map(torch.from_numpy, work.zero_inputs())))
    # The quantiser knows linear layers, not the cell that is made of them, and would leave it in float32.
    decompositions = torch.export.default_decompositions()
    cell = torch.ops.aten.gru_cell.default
    prepared = prepare_pt2e(exported.run_decompositions({cell: decompositions[cell]}).module(), quantizer)
    names = [item.name for item in work.spec.inputs]
    for row in list(zip(*(work.examples[name] for name in names), strict=True))[:CALIBRATION_TICKS]:
        prepared(*map(torch.from_numpy, row))
    module: torch.nn.Module = convert_pt2e(prepared)
    for index, value in enumerate(work.state):  # calibration has moved them
        module.get_buffer(f"state_{index}").copy_(value)
    return module
