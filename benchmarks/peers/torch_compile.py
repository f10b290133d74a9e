"""PyTorch compiled by Inductor to C++."""

from __future__ import annotations

import torch

from benchmarks.peers.peer import Peer
from benchmarks.peers.torch_eager import infer_on, module_tick
from benchmarks.peers.work import Tick, Work

WARM_UP_TICKS = 3

PEER = Peer(
    name="torch.compile",
    precision="fp32",
    recipe="Inductor on the whole graph with freezing and max_autotune, which packs the weights and picks its own C++ "
    "products over MKL's, in inference mode, without guard checks (skip_guard_eval_unsafe); the state is passed from "
    "call to call. The C++ wrapper and a state in buffers were tried and make no difference.",
    module=__name__,
    packages=("torch",),
    programs=("g++",),
)


def start(work: Work) -> Tick:
    """The step module compiled; another stream runs first on zeros, because compilation happens at the first calls."""
    import torch._inductor.config as inductor

    infer_on(work.threads)
    # As options of torch.compile both come too late: which tensors are constants is settled before they apply.
    inductor.freezing = True
    inductor.max_autotune = True
    step = torch.compile(work.step.eval(), fullgraph=True)
    warm_up = module_tick(work, step)
    for _ in range(WARM_UP_TICKS):
        warm_up(work.zero_inputs())
    torch.compiler.set_stance(skip_guard_eval_unsafe=True)
    return module_tick(work, step)
