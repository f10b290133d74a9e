"""The CUDA C of a step → what a GPU runs of it: images, how many blocks are worth launching, how often they wait."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.cuda.divide_calls import DeviceForm
from astroedge.targets.compiler.cuda.kernel_text import BLOCK_THREADS, ENTRY
from astroedge.targets.compiler.program.step_program import KernelCall
from astroedge.targets.cuda.build_images import build_images
from astroedge.targets.cuda.device_code import DeviceCode
from astroedge.targets.cuda.nvrtc import find_nvrtc, load_nvrtc


def build_device(
    text: str, calls: Sequence[KernelCall], forms: Sequence[DeviceForm], levels: Sequence[int], target: Target
) -> DeviceCode:
    """Build `text`, the step of `calls`, for the chips of `target`.

    Raises MissingDependencyError without NVRTC, CompileError for a text that it refuses or that passes no gate.
    """
    images = build_images(text, target.gpu, load_nvrtc(find_nvrtc()))
    return DeviceCode(ENTRY, BLOCK_THREADS, useful_blocks(calls, forms, levels), max(levels, default=0) + 1, images)


def useful_blocks(calls: Sequence[KernelCall], forms: Sequence[DeviceForm], levels: Sequence[int]) -> int:
    """How many blocks have something to do in the level that has the most to do."""
    blocks: dict[int, int] = {}
    for call, form, level in zip(calls, forms, levels, strict=True):
        threads = form.parts if form.function is not None else _elements(call)
        blocks[level] = blocks.get(level, 0) + -(-threads // BLOCK_THREADS)
    return max(blocks.values(), default=1)


def _elements(call: KernelCall) -> int:
    """The elements that a function of the library has a thread for: those it writes, or those it counts or sums up."""
    written = sum(prod(value.shape) for value in call.writes)
    read = max((prod(value.shape) for value in call.reads if value.kind != "weight"), default=0)
    return max(written, read)
