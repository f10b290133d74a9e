"""Which processor to compile for: by board name, from a board file of one's own, or this machine itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from astroedge.errors import TargetError
from astroedge.host_package import require
from astroedge.nearest_name import did_you_mean
from astroedge.targets.boards.board_file import Target, read_board, shipped_boards
from astroedge.targets.boards.detect import detect_native
from astroedge.targets.boards.gpus import CUDA, gpu_target
from astroedge.targets.families import ARCHITECTURES

NATIVE = "native"

__all__ = ["NATIVE", "Target", "detect_native", "list_targets", "resolve_target", "tvm_target", "zig_target"]


def list_targets() -> tuple[Target, ...]:
    """The boards AstroEdge ships, by name; "native" and own board files come on top."""
    return tuple(shipped_boards().values())


def resolve_target(target: str | os.PathLike[str] | Target) -> Target:
    """The target that a name, a path or a `Target` stands for.

    A text is "native", the name of a shipped board, "cuda" for this machine's GPU, "cuda:sm_87" (several chips with
    commas between them) for GPUs beside a processor like this machine's, or, when it ends in .toml or holds a path
    separator, the path of a board file.

    Raises TargetError for an unknown name, listing the known ones and the nearest, for an invalid board file, and for
    "cuda" where no GPU is found.
    """
    if isinstance(target, Target):
        return target
    text = os.fspath(target)
    if text == NATIVE:
        return detect_native()
    if text.endswith(".toml") or os.sep in text:
        return read_board(Path(text))
    boards = shipped_boards()
    found = boards.get(text) or gpu_target(text)
    if found is None:
        raise TargetError(_unknown(text, [NATIVE, CUDA, f"{CUDA}:sm_87", *boards]))
    return found


def tvm_target(target: Target) -> Any:
    """The `tvm.target.Target` that generates code for a target; its host is the target itself.

    Raises MissingDependencyError without TVM, TargetError when TVM's LLVM does not know the processor.
    """
    tvm = require("tvm.target", "compiling a step")
    codegen = require("tvm.target.codegen", "compiling a step")
    record: dict[str, Any] = {
        "kind": "llvm",
        "mtriple": target.triple,
        "mcpu": target.cpu,
        # TVM tells LLVM that two buffers never overlap. Kernels of a step share one workspace, so once they are inlined
        # into each other that is wrong, and a load may move above the store it reads.
        "cl-opt": ["-enable-tbaa:bool=false"],
    }
    known = codegen.llvm_get_cpu_archlist(tvm.Target({"kind": "llvm", "mtriple": target.triple}))
    if target.cpu not in known:
        hint = did_you_mean(target.cpu, known) or "see LLVM's list of processors (llc -mcpu=help)."
        raise TargetError(f"Target {target.name} names the processor {target.cpu!r}, which LLVM does not know; {hint}")
    architecture = ARCHITECTURES[target.arch]
    attributes = [*target.attributes, *architecture.attributes]
    if attributes:
        record["mattr"] = attributes
    if architecture.float_abi:
        record["mfloat-abi"] = architecture.float_abi
    return tvm.Target(record, host=tvm.Target(record))


def zig_target(target: Target) -> str:
    """What `zig cc -target` takes to link for a target: the triple and the C library, "aarch64-linux-gnu.2.28"."""
    return f"{target.triple}.{target.glibc}"


def _unknown(text: str, names: list[str]) -> str:
    """The message for a name that is no target."""
    near = did_you_mean(text, names, cutoff=0.5)
    hint = f"{near} " if near else ""
    return f"There is no target {text!r}; {hint}Known: {', '.join(names)}, or the path of a board file (.toml)."
