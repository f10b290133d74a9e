"""Cycles of blocks of instructions by llvm-mca, which simulates a processor's pipelines by LLVM's own model of it.

The model knows latencies, units and issue width; it knows no caches (every load hits the first) and
no branch predictor. So a figure is what the instructions need at least, by that model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.arm.tools import Tools

Block = tuple[str, ...]

ITERATIONS = 50


@dataclass(frozen=True)
class Model:
    """By whose model LLVM simulates a processor, and how many micro-operations are dispatched a cycle (0: as it says).

    LLVM bounds dispatch by the width of the decoder, though one instruction may be several micro-operations; here what
    the core dispatches is, and its decoder of `decode` instructions a cycle bounds what comes out.
    """

    cpu: str
    decode: int
    dispatch: int
    words: str


MODELS = {
    "cortex-a53": Model("cortex-a53", 2, 0, "LLVM's model of the Cortex-A53, in order"),
    "cortex-a72": Model("cortex-a72", 3, 5, "LLVM's model of the Cortex-A57, which it takes for the A72"),
    "cortex-a76": Model("neoverse-n1", 4, 8, "LLVM's model of the Neoverse N1, the same core made for servers"),
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
    model = MODELS[cpu]
    options = ("-mtriple=aarch64", f"-mcpu={model.cpu}", f"-dispatch={model.dispatch}", f"-iterations={ITERATIONS}")
    skipping = "-skip-unsupported-instructions=lack-sched"  # atomic ones, which the Neoverse N1's model lacks
    cycles = read_cycles(tools.llvm("llvm-mca", *options, skipping, "-all-views=0", "-summary-view", given=source))
    return {block: max(cycles.get(number, 0.0), len(block) / model.decode) for number, block in enumerate(blocks)}


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


def hottest(blocks: Mapping[Block, float], share: float = 0.98) -> list[Block]:
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
