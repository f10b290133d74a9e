"""Which axis of a state counts independent streams, found by running the model with 2 and with 3 of them.

The model is run on copies of one example along axis 0 of its inputs. An axis is the batch axis when the state grows
along it with the number of streams, and every stream gets what it gets alone even while another stream sees something
else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product

import torch
from torch import Tensor

PROBES = (2, 3)
MAX_TRIALS = 32
TICKS = 3

StepTick = Callable[[Sequence[Tensor], Sequence[Tensor]], list[Tensor]]
"""`(inputs, states) -> next states`, one tick."""


def find_batch_axes(tick: StepTick, inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[int | None]:
    """The batch axis of each state; None for a shared one, and for all when the model runs with one batch size only."""
    return _search(tick, inputs, states, may_share=True) or [None] * len(states)


def repeat_first_stream(
    tick: StepTick, inputs: Sequence[Tensor], states: Sequence[Tensor], count: int
) -> list[Tensor] | None:
    """The states for `count` streams, each as the first; None when they cannot be told from what streams share.

    A state without a batch axis stays as it is if no stream's input changes it, as none changes a counter of ticks.
    """
    axes = _search(tick, inputs, states, may_share=False)
    if axes is None:
        return None
    return [_streams(state, axis, count) for state, axis in zip(states, axes, strict=True)]


def _search(
    tick: StepTick, inputs: Sequence[Tensor], states: Sequence[Tensor], *, may_share: bool
) -> list[int | None] | None:
    """The first way to assign axes under which streams are independent; None if there is none."""
    batch = _batch(inputs)
    if batch is None:
        return None
    for axes in islice(_candidates(states, batch), MAX_TRIALS):
        if all(_independent(tick, inputs, states, axes, probe, may_share) for probe in PROBES):
            return list(axes)
    return None


def _batch(inputs: Sequence[Tensor]) -> int | None:
    """The extent that all inputs share along axis 0, or None."""
    extents = {tensor.shape[0] if tensor.ndim else 0 for tensor in inputs}
    return extents.pop() if len(extents) == 1 and 0 not in extents else None


def _candidates(states: Sequence[Tensor], batch: int) -> Iterator[tuple[int | None, ...]]:
    """Ways to assign an axis to each state: the same axis everywhere first, then every combination, unbatched last."""
    options = [[axis for axis, extent in enumerate(state.shape) if extent == batch] for state in states]
    for axis in range(max((state.ndim for state in states), default=0)):
        if all(axis in option for option in options):
            yield tuple([axis] * len(states))
    yield from product(*([*option, None] for option in options))


def _streams(tensor: Tensor, axis: int | None, count: int) -> Tensor:
    """`count` copies of the first stream."""
    if axis is None:
        return tensor.clone()
    return tensor.narrow(axis, 0, 1).repeat_interleave(count, dim=axis).contiguous()


def _independent(
    tick: StepTick,
    inputs: Sequence[Tensor],
    states: Sequence[Tensor],
    axes: Sequence[int | None],
    count: int,
    may_share: bool,
) -> bool:
    """Whether the first of `count` streams does the same when the last one sees another input.

    States without an axis may then change only if streams `may_share` them.
    """
    alike = [_streams(tensor, 0, count) for tensor in inputs]
    other = [tensor.clone() for tensor in alike]
    for tensor in other:
        tensor[-1] = torch.zeros_like(tensor[-1])
    try:
        one, two = ([_streams(state, axis, count) for state, axis in zip(states, axes, strict=True)] for _ in range(2))
        for _ in range(TICKS):
            shapes = [state.shape for state in one]
            one, two = tick(alike, one), tick(other, two)
            if [state.shape for state in one] != shapes:
                return False
    except Exception:  # whatever the model raises at this batch size, it has not shown that its streams are apart
        return False
    return all(
        may_share or torch.equal(a, b) if axis is None else torch.equal(a.narrow(axis, 0, 1), b.narrow(axis, 0, 1))
        for a, b, axis in zip(one, two, axes, strict=True)
    )
