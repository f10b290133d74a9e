"""The spikes and margins of a probe build are outputs like any other."""

from __future__ import annotations

from dataclasses import replace

from astroedge.step.spec import StepSpec, TensorSpec
from astroedge.targets.compiler.program.step_program import StepProgram


def show_probes(program: StepProgram, spec: StepSpec, margins: tuple[str, ...]) -> tuple[StepProgram, StepSpec]:
    """Make every spike tensor, and its margin if it has one, an output; in `spec` they are named by neuron group.

    `margins` names the spike tensors that the margins of `program` belong to. Two groups may share a value (a neuron
    that is compared twice with its threshold, say), so a value names neither.
    """
    margin_of = dict(zip(margins, program.margins, strict=True))
    outputs, shown = list(program.outputs), list(spec.outputs)
    for spike, fired in zip(spec.spikes, program.spikes, strict=True):
        outputs.append(fired)
        shown.append(TensorSpec(f"spike.{spike.name}", spike.shape, fired.dtype))
        if spike.name in margin_of:
            margin = margin_of[spike.name]
            outputs.append(margin)
            shown.append(TensorSpec(f"margin.{spike.name}", spike.shape, margin.dtype))
    return replace(program, outputs=outputs), replace(spec, outputs=tuple(shown))
