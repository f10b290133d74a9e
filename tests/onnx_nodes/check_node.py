"""One node test through export, compile and a session: what came of it, and in whose words."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

import astroedge
from astroedge.errors import AstroEdgeError
from tests.onnx_nodes.node_cases import COUNT, COUNTED, Arrays, NodeCase, reference

NAMED = re.compile(r"\b(is|has|takes) \w*(float|int|bool|string)\w*|holds a NaN|has shape \(.*0")
Outcome = Literal["passed", "refused", "unnamed", "wrong", "crashed"]
LAST_PLACES = 4
FOREIGN = re.compile(
    r"TVM could not import|failed inside TVM|failed in the pass|onnxruntime|Traceback|defect of the comp"
)
"""What a refusal says that leaves the user with somebody else's words."""


@dataclass(frozen=True)
class Verdict:
    """What a node test showed.

    "refused" is an error of ours that names the operator, dtype or shape in its way; "unnamed" is any other of ours.
    `held` says whether further inputs had to be constants. `text` is the error, on one line.
    """

    name: str
    operators: tuple[str, ...]
    outcome: Outcome
    held: bool
    text: str
    seconds: float


def check_node(case: NodeCase) -> Verdict:
    """Export, compile and run one case: first with every input fed at each tick, then with fewer (`NodeCase.held`).

    An operator whose input says how large its result is cannot be a step with that input open.
    """
    start = time.perf_counter()
    for held in case.held:
        outcome, text = _try(case, held)
        if outcome not in ("refused", "unnamed"):
            break
    return Verdict(case.name, case.operators, outcome, bool(held), text, round(time.perf_counter() - start, 1))


def _try(case: NodeCase, held: tuple[str, ...]) -> tuple[Outcome, str]:
    """The outcome with the inputs `held` constant."""
    fed = {name: array for name, array in case.fed.items() if name not in held}
    try:
        graph = astroedge.export_onnx(
            case.counting(),
            {COUNT: COUNTED},
            constants={name: case.fed[name] for name in held},
            examples=[fed, fed],
            name=case.name,
        )
        with astroedge.load(astroedge.compile(graph)) as session:
            given = session.step(**fed)
    except AstroEdgeError as error:
        text = " ".join(str(error).split())
        named = any(operator in text for operator in case.operators) or NAMED.search(text)
        return ("refused" if named and not FOREIGN.search(text) else "unnamed"), text
    except Exception as error:
        return "crashed", f"{type(error).__name__}: {' '.join(str(error).split())}"
    wrong = _differing(given, case.expected, case)
    if wrong:
        made = reference(case)
        wrong = wrong if made is None else _differing(given, made, case)
    return ("wrong", wrong) if wrong else ("passed", "")


def _differing(given: Arrays, wanted: Arrays, case: NodeCase) -> str:
    """The first output that differs from what is wanted, with both; "" where none does."""
    for name, array in wanted.items():
        made = given.get(name)
        if made is None or made.shape != array.shape or made.dtype != array.dtype:
            found = "missing" if made is None else f"{made.dtype}{list(made.shape)}"
            return f"{name} is {found}, not {array.dtype}{list(array.shape)}"
        if not np.allclose(
            made.astype(np.float64), array.astype(np.float64), case.rtol, _atol(case, array), equal_nan=True
        ):
            return f"{name} is {made.reshape(-1)[:6]}, not {array.reshape(-1)[:6]}"
    return ""


def _atol(case: NodeCase, wanted: np.ndarray[Any, np.dtype[Any]]) -> float:
    """What the test allows, or a few last places of the largest number: a sum of large ones may be a small one."""
    finite = np.abs(wanted[np.isfinite(wanted)], dtype=np.float64) if wanted.dtype.kind == "f" else np.zeros(0)
    return max(case.atol, LAST_PLACES * float(np.finfo(wanted.dtype).eps) * finite.max()) if finite.size else case.atol
