"""Losses of class numbers: the picked log-probabilities, weighted, ignored, summed."""

from __future__ import annotations

from astroedge.step.node_builder import NodeBuilder
from astroedge.targets.compiler.expand.expansion import Call, Rule
from astroedge.targets.compiler.expand.forms import reduced, reshaped


def softmax_cross_entropy(call: Call, builder: NodeBuilder) -> bool:
    """The negative log-likelihood of a log-softmax over axis 1, which is an output too where that is asked for."""
    _negative_log_likelihood(call, builder, builder.op("LogSoftmax", [call.input(0)], call.output(1) or None, axis=1))
    return True


def negative_log_likelihood(call: Call, builder: NodeBuilder) -> bool:
    """The same of log-probabilities that are given."""
    _negative_log_likelihood(call, builder, call.input(0))
    return True


def _negative_log_likelihood(call: Call, builder: NodeBuilder, scores: str) -> None:
    """−scores[n, target[n, …], …], times the weight of the target; a class that does not exist is the nearest one."""
    shape, classes, dtype = call.shape(0), call.input(1), call.dtype(0)
    ignored = None
    if "ignore_index" in call.options:
        index = builder.constant(call.options["ignore_index"], call.dtype(1), "ignored")
        ignored = builder.op("Equal", [classes, index])
        classes = builder.op("Where", [ignored, builder.constant(0, call.dtype(1), "class"), classes])
    rows = reshaped(builder, classes, (shape[0], 1, *shape[2:]))
    picked = builder.op("GatherElements", [scores, rows], axis=1)
    loss = builder.op("Neg", [reshaped(builder, picked, (shape[0], *shape[2:]))])
    weights = builder.op("Gather", [call.input(2), classes], axis=0) if call.input(2) else None
    if ignored is not None:
        nothing, whole = builder.constant(0, dtype, "nothing"), weights or builder.constant(1, dtype, "whole")
        weights = builder.op("Where", [ignored, nothing, whole])
        loss = builder.op("Where", [ignored, nothing, loss])
    if weights is not None:
        loss = builder.op("Mul", [loss, weights])
    _join(call, builder, loss, weights)


def _join(call: Call, builder: NodeBuilder, loss: str, weights: str | None) -> None:
    """Write the losses themselves, their sum, or their mean by weight."""
    reduction = call.options.get("reduction", b"mean")
    if reduction == b"none":
        builder.op("Identity", [loss], call.output(0))
    elif reduction == b"sum":
        reduced(call, builder, "ReduceSum", loss, [], keep=False, output=call.output(0))
    elif weights is None:
        reduced(call, builder, "ReduceMean", loss, [], keep=False, output=call.output(0))
    else:
        sums = [reduced(call, builder, "ReduceSum", item, [], keep=False) for item in (loss, weights)]
        builder.op("Div", sums, call.output(0))


RULES: dict[str, Rule] = {
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
    "SoftmaxCrossEntropyLoss": softmax_cross_entropy,
}
