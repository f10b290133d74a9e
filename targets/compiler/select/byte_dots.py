"""Which processors multiply bytes four by four, and with what."""

from __future__ import annotations

from functools import cache

from tvm.target import codegen

from astroedge.targets.boards.board_file import Target
from astroedge.targets.boards.target import tvm_target
from astroedge.targets.kernels.products.dot_gemv import ByteDots
from astroedge.targets.precision.storage import Storage


def byte_dots(target: Target, storage: Storage) -> ByteDots | None:
    """The widest instruction that `dot_gemv` may use for weights of a storage; None for `fixed_gemv`."""
    return _widest(target) if storage.packs_nibbles and storage.scaled_by_group else None


@cache
def _widest(target: Target) -> ByteDots | None:
    """As LLVM sees the processor: an instruction that it does not allow itself ends the process."""
    found = [
        ByteDots(intrinsic, lanes)
        for attribute, (intrinsic, lanes) in target.family.byte_dots.items()
        if 32 * lanes <= target.vector_bits and codegen.llvm_cpu_has_features(attribute, tvm_target(target))
    ]
    return max(found, key=lambda dots: dots.lanes, default=None)
