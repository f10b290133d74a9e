"""The tick of a team of threads → a second native function in an object file of its own, beside the one thread's.

    int32_t astroedge_team_tick(uint8_t *inputs, uint8_t *outputs, uint8_t *state, uint8_t *weights, uint8_t *workspace,
                                astro_team *team, int32_t thread, int32_t threads)

Every thread calls it; the points at which they wait are calls of `shim/team.c`.
"""

from __future__ import annotations

from tvm import ir, tirx

from astroedge.targets.compiler.emit.build_object import Tick
from astroedge.targets.compiler.emit.native_kernels import NativeKernels, pointer
from astroedge.targets.compiler.program.plan_memory import MemoryPlan
from astroedge.targets.compiler.threads.divide_loops import undivided
from astroedge.targets.compiler.threads.plan_team import TeamPlan

TEAM_ENTRY = "astroedge_team_tick"


def build_team_object(team_plan: TeamPlan, plan: MemoryPlan, kernels: NativeKernels) -> bytes:
    """Compile the tick of a team; arguments and errors as of `build_object`."""
    team = tirx.Var("team", pointer("uint8"))
    thread, threads = (tirx.Var(name, ir.PrimType("int32")) for name in ("thread", "threads"))
    tick = Tick(plan, kernels, TEAM_ENTRY, (team, thread, threads))
    statements: list[tirx.Stmt] = []
    alone: list[tirx.Stmt] = []

    def close() -> None:
        if alone:
            block = alone[0] if len(alone) == 1 else tirx.SeqStmt(list(alone))
            statements.append(tirx.IfThenElse(thread == 0, block, None))
            alone.clear()

    for item in team_plan.calls:
        if item.point is not None:
            close()
            statements.append(tirx.Evaluate(tirx.call_extern("void", f"astroedge_{item.point}", team, thread)))
        if item.form is None:
            alone.append(tick.call(item.call, undivided(item.call.function)))
        elif item.others:
            close()
            part = tick.call(item.call, item.form.function, thread - 1, threads - 1)
            statements.append(tirx.IfThenElse(thread > 0, part, None))
        else:
            close()
            statements.append(tick.call(item.call, item.form.function, thread, threads))
    close()
    return tick.compile(statements)
