"""Batch axes by probing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from astroedge.exporters.shared.batch_axes import find_batch_axes, repeat_first_stream


def test_first_axis_of_an_element_wise_state() -> None:
    """The usual case: streams along the first axis."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        return [0.5 * states[0] + inputs[0]]

    assert find_batch_axes(tick, [torch.ones(1, 4)], [torch.zeros(1, 4)]) == [0]


def test_other_axis_is_found() -> None:
    """A state laid out (layers, batch, width) has its streams along axis 1, whatever the example's batch."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        return [0.5 * states[0] + inputs[0][None]]

    for batch in (1, 4):
        assert find_batch_axes(tick, [torch.ones(batch, 3)], [torch.zeros(2, batch, 3)]) == [1]


def test_states_with_different_axes() -> None:
    """Each state has its own axis, and one without streams has none."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        queue, position = states
        return [torch.cat([queue[1:], inputs[0][None]]), (position + 1) % 3]

    assert find_batch_axes(tick, [torch.ones(1, 4)], [torch.zeros(3, 1, 4), torch.zeros(())]) == [1, None]


def test_mixed_streams_have_no_axis() -> None:
    """Where one stream changes what another does, the axis does not count independent streams."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        return [states[0] + inputs[0].mean(0, keepdim=True)]

    assert find_batch_axes(tick, [torch.ones(1, 4)], [torch.zeros(1, 4)]) == [None]


def test_model_of_one_batch_size_has_no_axis() -> None:
    """A model that fails with two streams leaves the axis unknown."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        return [states[0].reshape(1, 4) + inputs[0].reshape(1, 4)]

    assert find_batch_axes(tick, [torch.ones(1, 4)], [torch.zeros(1, 4)]) == [None]


def test_inputs_without_a_common_first_axis() -> None:
    """Without an axis that all inputs share nothing is probed."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        raise AssertionError("must not run")

    assert find_batch_axes(tick, [torch.ones(()), torch.ones(2)], [torch.zeros(1)]) == [None]


def test_first_stream_is_repeated() -> None:
    """Each state is repeated along its own axis; a counter, which no input changes, stays as it is."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        queue, position = states
        return [torch.cat([queue[1:], inputs[0][None]]), (position + 1) % 3]

    queue = torch.arange(12.0).reshape(3, 1, 4)
    repeated = repeat_first_stream(tick, [torch.ones(1, 4)], [queue, torch.ones(())], 5)
    assert repeated is not None
    assert torch.equal(repeated[0], queue.expand(3, 5, 4))
    assert torch.equal(repeated[1], torch.ones(()))


def test_streams_that_share_a_state_are_not_repeated() -> None:
    """A state without an axis that every stream changes makes the streams depend on each other."""

    def tick(inputs: Sequence[Tensor], states: Sequence[Tensor]) -> list[Tensor]:
        return [0.5 * states[0] + inputs[0], states[1] + inputs[0].sum()]

    states = [torch.zeros(1, 4), torch.zeros(())]
    assert find_batch_axes(tick, [torch.ones(1, 4)], states) == [0, None]
    assert repeat_first_stream(tick, [torch.ones(1, 4)], states, 2) is None
