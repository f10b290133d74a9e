"""A step module that holds its state in buffers and writes the next state back into them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class BufferedStep(nn.Module):
    """`forward(*inputs) -> first output` of a step module `forward(*inputs, *state) -> (*outputs, *state)`."""

    def __init__(self, step: nn.Module, state: Sequence[Tensor]) -> None:
        """Take over `step`; the buffers start as copies of `state`."""
        super().__init__()
        self.step = step
        self._count = len(state)
        for index, value in enumerate(state):
            self.register_buffer(f"state_{index}", value.clone())

    def forward(self, *inputs: Tensor) -> Tensor:
        """One tick."""
        state = [self.get_buffer(f"state_{index}") for index in range(self._count)]
        results: tuple[Tensor, ...] = self.step(*inputs, *state)
        for buffer, value in zip(state, results[len(results) - self._count :], strict=True):
            buffer.copy_(value)
        return results[0]
