"""What export can say already of what compile will refuse."""

from __future__ import annotations

import onnx

from astroedge.step.operators import uncompiled


def compiler_notes(graph: onnx.GraphProto) -> tuple[str, ...]:
    """A sentence for each operator that runs in ONNX Runtime alone."""
    return tuple(
        f"{reason}; ONNX Runtime runs the graph, but astroedge compile will refuse it." for reason in uncompiled(graph)
    )
