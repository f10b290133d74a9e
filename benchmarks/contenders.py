"""The ways to make one tick of the same network, each as fast as it goes from Python on one thread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from astroedge.models.astrosnn import AstroSNNStep
from astroedge.runtimes.bound_reference import BoundReference
from astroedge.runtimes.compiled import CompiledSession
from astroedge.session import Array
from subjects import Subject

# One tick: a token in, the logits out.
Tick = Callable[[NDArray[np.int64]], Array]


def compiled(session: CompiledSession) -> Tick:
    """The compiled step through `Session.step`, outputs copied into an array of the caller's."""
    name = session.spec.outputs[0].name
    target = {name: np.empty(session.spec.outputs[0].shape, np.float32)}

    def tick(token: NDArray[np.int64]) -> Array:
        return session.step(out=target, token=token)[name]

    return tick


def onnx_runtime(subject: Subject) -> Tick:
    """ONNX Runtime with every buffer bound once and the state going back and forth between two sets of them."""
    reference = BoundReference(subject.graph)
    given, result = reference.inputs["token"], reference.outputs[subject.graph.spec.outputs[0].name]

    def tick(token: NDArray[np.int64]) -> Array:
        given[...] = token
        reference.tick()
        return result

    return tick


def torch_eager(subject: Subject) -> Tick:
    """PyTorch without compilation, decays frozen, without gradients."""
    step = AstroSNNStep(subject.model)
    state = step.initial_state()

    def tick(token: NDArray[np.int64]) -> Array:
        with torch.inference_mode():
            logits, *state[:] = step(torch.from_numpy(token), *state)
        return logits.numpy()

    return tick
