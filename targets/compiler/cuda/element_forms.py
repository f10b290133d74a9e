"""Kernels that do one thing after the other → kernels of the same bits whose elements do not wait for each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from tvm import tirx

from astroedge.targets.compiler.program.step_program import KernelCall, Value
from astroedge.targets.kernels import by_element
from astroedge.targets.kernels.arg_blocks import BLOCK, best_of_bests, best_of_blocks, blocks_of
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


def by_elements(call: KernelCall) -> tuple[KernelCall, ...]:
    """The call with a kernel for many threads, or two calls that do the same, or as it is where there is no other."""
    attributes = call.function.attrs
    if attributes is None or FORM not in attributes:
        return (call,)
    name, *form = attributes[FORM]
    if name == "arg_reduce":
        return _arg_calls(call, *form)
    return (replace(call, function=_MAKERS[name](*form), writes=call.writes[: WRITTEN.get(name)]),)


def _arg_calls(call: KernelCall, kind: str, outer: int, width: int, dtype: str) -> tuple[KernelCall, ...]:
    """ArgMax and ArgMin of vectors of more than a block: by blocks, then of these."""
    if width <= BLOCK:
        return (call,)
    places = Value(f"places.{call.writes[0].name}", (outer, blocks_of(width)), "int32", "computed")
    form = (kind, outer, width, dtype)
    return (
        replace(call, function=best_of_blocks(*form), writes=(places,)),
        replace(call, function=best_of_bests(*form), reads=(*call.reads, places)),
    )
