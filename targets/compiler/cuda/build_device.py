"""The CUDA C of a step → what a GPU runs of it: images, how many blocks are worth launching, how often they wait."""

from __future__ import annotations

from collections.abc import Sequence

from astroedge.targets.boards.board_file import Target
from astroedge.targets.compiler.cuda.divide_calls import BLOCK_THREADS, DeviceForm
from astroedge.targets.compiler.cuda.kernel_text import ENTRY
from astroedge.targets.cuda.build_images import build_images
from astroedge.targets.cuda.device_code import DeviceCode
from astroedge.targets.cuda.nvrtc import find_nvrtc, load_nvrtc


def build_device(
    text: str, forms: Sequence[DeviceForm], levels: Sequence[int], target: Target, reason: str
) -> DeviceCode:
    """Build `text`, a step whose calls have these forms and levels for a `reason`, for the chips of `target`.

    Raises MissingDependencyError without NVRTC, CompileError for a text that it refuses or that passes no gate.
    """
    nvrtc = load_nvrtc(find_nvrtc())
    images = build_images(text, target.gpu, nvrtc)
    waits = max(levels, default=0) + 1
    return DeviceCode(ENTRY, BLOCK_THREADS, useful_blocks(forms, levels), waits, images, reason, nvrtc.release)


def useful_blocks(forms: Sequence[DeviceForm], levels: Sequence[int]) -> int:
    """How many blocks have something to do in the level that has the most to do."""
    blocks: dict[int, int] = {}
    for form, level in zip(forms, levels, strict=True):
        blocks[level] = blocks.get(level, 0) + (1 if form.repeated else -(-form.parts // BLOCK_THREADS))
    return max(blocks.values(), default=1)
