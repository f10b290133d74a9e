"""PyTorch without compilation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch

from benchmarks.peers.peer import Peer
from benchmarks.peers.work import Array, Tick, Work

PEER = Peer(
    name="torch",
    precision="fp32",
    recipe="Eager mode in inference mode; the state is passed from call to call.",
    module=__name__,
    packages=("torch",),
)

_MODES = ExitStack()


def start(work: Work) -> Tick:
    """The step module as it is."""
    infer_on(work.threads)
    return module_tick(work, work.step.eval())


def infer_on(threads: int) -> None:
    """So many threads, and inference mode for the rest of the process, so that no tick pays for entering it."""
    torch.set_num_threads(threads)
    _MODES.enter_context(torch.inference_mode())


def module_tick(work: Work, step: Callable[..., tuple[torch.Tensor, ...]]) -> Tick:
    """A tick of `step`, called as the step module is."""
    state = list(work.state)

    def tick(row: Sequence[Array]) -> Array:
        output, *rest = step(*map(torch.from_numpy, row), *state)
        state[:] = rest[len(rest) - len(state) :]
        result: Array = output.numpy()
        return result

    return tick
