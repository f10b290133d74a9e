"""Kernels that do one thing after the other → kernels of the same bits whose elements do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tvm import tirx

from astroedge.targets.compiler.program.step_program import KernelCall
from astroedge.targets.kernels import by_element
from astroedge.targets.kernels.scan import cumulative_sum
from astroedge.targets.tir_builder import FORM

WRITTEN = {"top_k": 2}
"""How many arrays a kernel writes that has no working memory, where it has some on a processor; that comes last."""

_MAKERS: dict[str, Callable[..., tirx.PrimFunc]] = {
    "cumulative_sum": partial(cumulative_sum, lanes=1),
    "scatter_elements": by_element.scatter_elements_by_element,
    "scatter_slices": by_element.scatter_slices_by_element,
    "top_k": by_element.top_k_by_element,
}


def by_elements(call: KernelCall) -> KernelCall:
    """The call with a kernel for many threads, or as it is where there is none."""
    attributes = call.function.attrs
    if attributes is None or FORM not in attributes:
        return call
    name, *form = attributes[FORM]
    return replace(call, function=_MAKERS[name](*form), writes=call.writes[: WRITTEN.get(name)])
