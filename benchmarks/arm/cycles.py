"""Cycles of blocks of instructions by llvm-mca, which simulates a processor's pipelines by LLVM's own model of it.

The model knows latencies, units and issue width; it knows no caches (every load hits the first), no branch predictor and
no memory that stands still. So a figure is what the instructions need at least, by that model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arm.tools import Tools

Block = tuple[str, ...]

ITERATIONS = 100
# The processors, and by whose model LLVM 22 simulates them. For a Cortex-A76 LLVM itself takes the model of the
# Cortex-A57, an older and narrower core; the Neoverse N1 is the A76's own design for servers.
MODELS = {"cortex-a53": "cortex-a53", "cortex-a72": "cortex-a72", "cortex-a76": "neoverse-n1"}
MODEL_NAMES = {
    "cortex-a53": "LLVM's model of the Cortex-A53 (in order, two a cycle)",
    "cortex-a72": "LLVM's model of the Cortex-A57, which it takes for the A72 (three a cycle)",
    "neoverse-n1": "LLVM's model of the Neoverse N1, the same core for servers (LLVM itself takes the A57's for the A76)",
}
_REGION = re.compile(r"^\[\d+\] Code Region - b(\d+)\n(.*?)(?=^\[\d+\] Code Region|\Z)", re.MULTILINE | re.DOTALL)
_FIGURE = re.compile(r"^(Iterations|Instructions|Total Cycles):\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Estimate:
    """Cycles of instructions, and how many of them there were, of a tick or of anything else."""

    cycles: float
    instructions: float


def block_cycles(tools: Tools, cpu: str, blocks: Sequence[Block]) -> dict[Block, float]:
    """Cycles that `cpu` needs for each block, executed time and again: a loop's, where it is one.

    A block that is no loop is simulated as one too: what it waits for before its first instruction is not known.
    """
    if not blocks:
        return {}
    texts = disassemble(tools, blocks)
    source = "".join(
        f"# LLVM-MCA-BEGIN b{number}\n" + "\n".join(lines) + "\n# LLVM-MCA-END\n" for number, lines in enumerate(texts)
    )
    shown = tools.llvm("llvm-mca", *_cpu(MODELS[cpu]), f"-iterations={ITERATIONS}", "-all-views=0", "-summary-view", given=source)
    cycles = read_cycles(shown)
    return {block: cycles[number] for number, block in enumerate(blocks)}


def disassemble(tools: Tools, blocks: Sequence[Block]) -> list[list[str]]:
    """The instructions of each block as assembler."""
    words = [word for block in blocks for word in block]
    source = "\n".join(" ".join(f"0x{byte:02x}" for byte in int(word, 16).to_bytes(4, "little")) for word in words)
    shown = tools.llvm("llvm-mc", "--disassemble", "-triple=aarch64", "-mattr=+v8.2a,+dotprod,+fullfp16", given=source)
    lines = [line.strip() for line in shown.splitlines() if line.startswith("\t") and not line.startswith("\t.")]
    if len(lines) != len(words):
        raise ValueError(f"llvm-mc shows {len(lines)} instructions of {len(words)}")
    rest = iter(lines)
    return [[next(rest) for _ in block] for block in blocks]


def read_cycles(shown: str) -> dict[int, float]:
    """Cycles of an iteration by the number of the region `b…`, from the summaries that llvm-mca prints.

    Raises ValueError where it prints none.
    """
    found = {}
    for number, text in _REGION.findall(shown):
        figures = dict(_FIGURE.findall(text))
        found[int(number)] = int(figures["Total Cycles"]) / int(figures["Iterations"])
    if not found:
        raise ValueError("llvm-mca printed no summary of a region")
    return found


def hottest(blocks: Mapping[Block, float], share: float = 0.995) -> list[Block]:
    """The fewest blocks that hold `share` of all instructions executed, the one with most of them first."""
    ordered = sorted(blocks, key=lambda block: -blocks[block] * len(block))
    wanted = share * instructions_of(blocks)
    taken, held = [], 0.0
    for block in ordered:
        if held >= wanted:
            break
        taken.append(block)
        held += blocks[block] * len(block)
    return taken


def instructions_of(blocks: Mapping[Block, float]) -> float:
    """Instructions executed in all blocks."""
    return sum(times * len(block) for block, times in blocks.items())


def estimate(blocks: Mapping[Block, float], cycles: Mapping[Block, float]) -> Estimate:
    """Cycles of all blocks as often as they are executed; those that `cycles` lacks go at the speed of the others."""
    known = sum(blocks[block] * cycles[block] for block in blocks if block in cycles)
    counted = instructions_of({block: times for block, times in blocks.items() if block in cycles})
    total = instructions_of(blocks)
    return Estimate(known * total / counted if counted else 0.0, total)


def is_loop(lines: Iterable[str]) -> bool:
    """Whether a block ends with a branch back to its own first instruction."""
    texts = list(lines)
    match = re.search(r"#(-\d+)$", texts[-1])
    return match is not None and texts[-1].startswith(("b", "cb", "tb")) and int(match[1]) == -4 * (len(texts) - 1)


def _cpu(model: str) -> tuple[str, str]:
    return "-mtriple=aarch64", f"-mcpu={model}"
